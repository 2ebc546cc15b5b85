"""What the demo shows at the end: how fast, how well, whom and why."""

from datetime import UTC, datetime
from typing import NamedTuple

import lightgbm
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

import fraudgate
from models.evaluate import Detection
from models.training_set import Rows
from service.demo.week import IN_FLIGHT, Answers
from service.tables import Tables

RISKIEST = 5
REASONS = 3


class Result(NamedTuple):
    """What the demo found out."""

    answers: Answers
    student: Detection
    teacher: Detection
    as_folded: int
    """How many served probabilities are, to the bit, those of the same rows folded and scored offline."""
    assessed: int


def show(
    console: Console,
    result: Result,
    week: Tables,
    rows: Rows,
    features: tuple[str, ...],
    card: str,
    booster: lightgbm.Booster,
) -> None:
    """The run, detection, the riskiest cards. rows: float32 [n, f], what the week's transactions saw."""
    console.print(_run(result))
    console.print(_detection(result))
    console.print(f"\nThe {RISKIEST} riskiest cards, and why (log-odds by LightGBM's TreeSHAP):")
    for told in _riskiest(result.answers, week, rows, features, card, booster):
        console.print(f"  {told}", highlight=False, soft_wrap=True)


def _run(result: Result) -> Table:
    answers, n = result.answers, len(result.answers.risk)
    table = Table(title="\nThe week, over gRPC and mutual TLS", show_header=False, title_justify="left")
    table.add_row("transactions", f"{n:,}")
    table.add_row("labels told between them", f"{answers.labels:,}")
    for verdict, count in zip(*np.unique(answers.verdict, return_counts=True), strict=True):
        table.add_row(f"verdict {_name(verdict)}", f"{count:,} ({count / n:.2%})")
    p50, p99, p999 = np.quantile(answers.lone_s, [0.5, 0.99, 0.999]) * 1e3
    table.add_row("one call at a time, p50 / p99 / p99.9", f"{p50:.2f} / {p99:.2f} / {p999:.2f} ms")
    table.add_row(f"  (the last day's {len(answers.lone_s):,}, as the Python client\n  sees them, beside the server)")
    table.add_row(
        f"streamed, at most {IN_FLIGHT} in flight", f"{answers.streamed / answers.streamed_s:,.0f} transactions/s"
    )
    table.add_row(f"  (the other days' {answers.streamed:,}; bound by this client)")
    table.add_row("answers equal to an offline fold's, to the bit", f"{result.as_folded:,}")
    return table


def _detection(result: Result) -> Table:
    title = f"\nDetection ({result.assessed:,} of them)"
    table = Table(title=title, title_justify="left", caption="cards known to be defrauded left out")
    for column in ("model", "AUC", "AP", "CP@100"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for name, found in (("student, as served", result.student), ("teacher, offline", result.teacher)):
        table.add_row(name, f"{found.auc:.3f}", f"{found.average_precision:.3f}", f"{found.card_precision:.3f}")
    return table


def _riskiest(
    answers: Answers, week: Tables, rows: Rows, features: tuple[str, ...], card: str, booster: lightgbm.Booster
) -> list[str]:
    top = _top(answers.risk, week.transactions[card].to_numpy())
    contributions = np.asarray(booster.predict(rows[top], pred_contrib=True))[:, : len(features)]
    told = []
    for place, row, values, added in zip(
        top, week.transactions.take(top).to_pylist(), rows[top], contributions, strict=True
    ):
        strongest = [i for i in np.argsort(-added)[:REASONS] if added[i] > 0]
        why = ", ".join(f"{features[i]} {values[i]:.4g} ({added[i]:+.2f})" for i in strongest)
        happened = datetime.fromtimestamp(row["event_time_us"] / 1e6, UTC)
        told.append(
            f"{card} {row[card]}, {happened:%m-%d %H:%M}, {row['amount_minor'] / 100:.2f}: "
            f"probability {answers.probability[place]:.3f}, risk {answers.risk[place]:.1f}, "
            f"{_name(answers.verdict[place])}; in truth {'fraud' if row['fraud'] else 'genuine'}\n      {why}"
        )
    return told


def _top(risk: npt.NDArray[np.float64], cards: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """The riskiest transaction of each of the riskiest cards."""
    by_risk = np.argsort(-risk, kind="stable")
    _, first = np.unique(cards[by_risk], return_index=True)
    return by_risk[np.sort(first)[:RISKIEST]]


def _name(verdict: int | np.integer) -> str:
    return fraudgate.Verdict.Name(int(verdict)).removeprefix("VERDICT_").lower()
