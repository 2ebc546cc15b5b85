"""What two answers differ in, counted by the module and by plain Python over the same rows."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudgate.v1 import feedback_pb2
from service.backfill import compare
from service.cli import main

FRAUDS = {
    feedback_pb2.LABEL_CLASS_THIRD_PARTY_FRAUD,
    feedback_pb2.LABEL_CLASS_FIRST_PARTY_FRAUD,
    feedback_pb2.LABEL_CLASS_MANIPULATED_PAYER,
}
VERDICTS = st.sampled_from(["approve", "challenge", "decline", None])
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["purchase", "refund"]),
            # Bands end at 1,000, 10,000 and 100,000 minor units.
            "amount_minor": st.sampled_from([None, 0, 999, 1_000, 9_999, 10_000, 99_999, 100_000, 10**14]),
            "label_class": st.sampled_from([None, *feedback_pb2.LabelClass.values()[1:]]),
            "replayed": st.booleans(),
            "before": VERDICTS,
            "after": VERDICTS,
        }
    ),
    min_size=1,
    max_size=40,
)
TYPES = pa.schema(
    {
        "row": pa.int64(),
        "kind": pa.string(),
        "amount_minor": pa.int64(),
        "label_class": pa.int8(),
        "replayed": pa.bool_(),
        "verdict": pa.string(),
    }
)


def _written(folder: Path, rows: list[dict[str, Any]], which: str, parts: int) -> Path:
    output = folder / which
    output.mkdir()
    table = pa.Table.from_pylist(
        [row | {"row": at, "verdict": row[which]} for at, row in enumerate(rows)], schema=TYPES
    )
    for part in range(parts):
        begin, end = len(rows) * part // parts, len(rows) * (part + 1) // parts
        pq.write_table(table.slice(begin, end - begin), output / f"part-{part:05}.parquet")
    return output


def _band(amount: int | None) -> str | None:
    if amount is None:
        return None
    bounds = ((1_000, "< 1,000"), (10_000, "< 10,000"), (100_000, "< 100,000"))
    return next((name for bound, name in bounds if amount < bound), ">= 100,000")


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, parts=st.integers(1, 3))
def test_flips_are_counted_by_segment_and_in_money(rows: list[dict[str, Any]], parts: int) -> None:
    cells: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    live = [row for row in rows if not row["replayed"]]
    for row in live:
        if row["before"] != row["after"]:
            cell = cells[row["kind"], _band(row["amount_minor"]), row["before"], row["after"]]
            amount, fraud = row["amount_minor"] or 0, row["label_class"] in FRAUDS
            for place, more in enumerate((1, amount, fraud, amount * fraud)):
                cell[place] += more
    with tempfile.TemporaryDirectory() as folder:
        before, after = (_written(Path(folder), rows, which, parts) for which in ("before", "after"))
        found = compare.compare(before, after, ("kind", "amount_band")).to_pylist()
        totals = compare.totals(before, after)
    keys = ("kind", "amount_band", "before", "after")
    sums = ("rows", "amount_minor", "frauds", "fraud_amount_minor")
    counted = {tuple(row[key] for key in keys): [row[name] or 0 for name in sums] for row in found}
    assert counted == dict(cells)
    assert totals == (len(live), sum(count for count, *_ in cells.values()))


def test_the_command_shows_the_report_and_writes_it(tmp_path: Path) -> None:
    same = {"kind": "purchase", "label_class": None, "replayed": False, "before": "approve", "after": "approve"}
    rows = [same | {"amount_minor": 5}, same | {"amount_minor": 1_234_500, "after": "decline", "label_class": 1}]
    before, after = (_written(tmp_path, rows, which, 1) for which in ("before", "after"))
    done = CliRunner().invoke(main, ["compare", str(before), str(after), "--out", str(tmp_path / "report.csv")])
    assert done.exit_code == 0, done.output
    assert "1 of 2 verdicts differ" in done.output
    assert "1,234,500" in done.output
    assert pyarrow.csv.read_csv(tmp_path / "report.csv").to_pylist() == [
        {
            "kind": "purchase",
            "before": "approve",
            "after": "decline",
            "rows": 1,
            "amount_minor": 1_234_500,
            "frauds": 1,
            "fraud_amount_minor": 1_234_500,
        }
    ]


@pytest.mark.parametrize(
    ("by", "told"),
    [("nothing", "there is no column nothing; there are row, kind"), ("kind", "not answers to the same rows")],
)
def test_what_cannot_be_compared_is_told(by: str, told: str, tmp_path: Path) -> None:
    row = {
        "kind": "purchase",
        "amount_minor": 1,
        "label_class": None,
        "replayed": False,
        "before": None,
        "after": "hold",
    }
    before = _written(tmp_path, [row], "before", 1)
    after = _written(tmp_path, [row] * (2 if by == "kind" else 1), "after", 1)
    with pytest.raises(ValueError, match=told):
        compare.compare(before, after, (by,))
