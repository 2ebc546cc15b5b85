"""The whole road in one command: certificates, a model, a server of its own process, and a week through the wire.

Everything that it makes stays in one folder, so that what it shows can be tried by hand.
"""

import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import lightgbm
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from features import CompiledPlan
from models.evaluate import detection
from models.manifest import Bundle
from models.teacher import log_odds
from models.training_set import Rows, TrainingSet
from service import certificates, training
from service.demo import configuration, report, scorer
from service.demo import week as scored
from service.demo.configuration import CLIENT, CURRENCY, PROGRAM
from service.demo.story import Story, model_of, week_of
from service.scoring import Connection
from service.tables import Tables


def play(story: Story, folder: Path, console: Console) -> None:
    """Play it, into `folder`."""
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    _step(console, began, f"{story.tables.transactions.num_rows:,} transactions of {story.name}")
    plan = training.plan("handbook")
    rows = training.fold(plan, story.tables)
    _step(console, began, f"folded into {len(plan.features)} features each")
    bundle, place = model_of(folder, story, plan, rows)
    _step(console, began, f"model {bundle.digest[:12]}: {place}")
    made = certificates.make(folder / "certificates", clients=[CLIENT], renew=True)
    config, target = configuration.scorer(folder, story.tables.before(story.fold.assessed_from_us), place)
    with scorer.running(config, folder / "server.log", Connection.of_folder(target, made, CLIENT)) as client:
        _step(
            console, began, f"a scorer listens on {target}, warmed with all before the week; log: {folder}/server.log"
        )
        week, of_week = week_of(story)
        with _progress(console, week.transactions.num_rows) as progress:
            answers = scored.score(client, week, PROGRAM, CURRENCY, training.entities(plan), progress)
    _step(console, began, "the scorer has drained and stopped")
    result = _result(story, plan, rows, of_week, bundle, answers)
    student = lightgbm.Booster(model_str=bundle.student.decode())
    report.show(console, result, week, rows[of_week], plan.features, "customer", student)
    _next(console, config, made, target, week)


def _result(
    story: Story, plan: CompiledPlan, rows: Rows, of_week: slice, bundle: Bundle, answers: scored.Answers
) -> report.Result:
    truth = story.tables.transactions["fraud"].to_numpy()
    history = training.training_set(plan, rows, story.tables, truth)
    assessed = story.fold.is_assessed(history)[of_week]
    week: TrainingSet = training.training_set(
        plan, rows[of_week], Tables(story.tables.transactions[of_week.start :], story.tables.labels), truth[of_week]
    )
    teacher = log_odds(lightgbm.Booster(model_str=bundle.teacher.decode()), week.rows)
    folded = bundle.manifest.probability.at(bundle.scorer().log_odds(week.rows).astype(np.float64))
    return report.Result(
        answers=answers,
        student=detection(week.where(assessed), answers.probability[assessed]),
        teacher=detection(week.where(assessed), teacher[assessed]),
        as_folded=int((answers.probability == folded).sum()),
        assessed=int(assessed.sum()),
    )


def _step(console: Console, began: float, told: str) -> None:
    console.print(f"[dim]{time.monotonic() - began:6.1f} s[/dim]  {told}", highlight=False, soft_wrap=True)


@contextmanager
def _progress(console: Console, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; elsewhere a line every tenth."""
    if console.is_terminal:
        columns = TextColumn("scoring"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("scoring", total=total)
            yield lambda done: bar.update(task, completed=done)
        return
    told = 0

    def line(done: int) -> None:
        nonlocal told
        if done * 10 // total > told:
            told = done * 10 // total
            console.print(f"          {done:,} of {total:,} scored")

    yield line


def _next(console: Console, config: Path, made: certificates.Folder, target: str, week: Tables) -> None:
    first = week.transactions.slice(0, 1).to_pylist()[0]
    at = datetime.fromtimestamp(first["event_time_us"] // 1_000_000 + 60, UTC)
    command = os.path.relpath(sys.argv[0]) if sys.argv[0].endswith("fraudgate") else "fraudgate"
    serve = [command, "serve", "--config", str(config)]
    score = [command, "score", "--target", target, "--certificates", str(made.path), "--program", PROGRAM]
    score += ["--id", "by-hand-1", "--time", at.strftime("%Y-%m-%dT%H:%M:%SZ"), "--amount", "220.00"]
    score += ["--entity", f"customer={first['customer']}", "--entity", f"terminal={first['terminal']}"]
    console.print("\nTry next, in one terminal and in another:")
    for line in (serve, score):
        console.print(f"  {shlex.join(line)}", highlight=False, soft_wrap=True, markup=False)
