"""Labels and outcomes, beside transactions or in files of their own: they arrive at the same place of the order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from service.backfill import job
from service.backfill.mapping import Mapping
from service.tables import Tables
from tests.backfill.conftest import PLAN, parts, refused, run

DAY_US = 86_400_000_000
SECOND_US = 1_000_000


def _mapped(**arrives: Any) -> Mapping:
    return Mapping.model_validate(
        {
            "transaction_id": "transaction_id",
            "event_time": "event_time_us",
            "kind": {"column": "kind"},
            "amount": {"column": "amount_minor", "unit": "minor", "currency_column": "currency"},
            "entities": {"customer": "customer", "terminal": "terminal"},
            "label": {"class": {"column": "class", "names": {"fraud": "third_party_fraud", "": ""}}, **arrives},
            "outcome": {"fate": {"column": "fate"}, "decider": {"column": "decider"}, **arrives},
        }
    )


@pytest.fixture(scope="module")
def told(world: Tables) -> pa.Table:
    """The world, with what is told of some of it, and when that is told."""
    draw = np.random.default_rng(23)
    rows = world.transactions.slice(0, 6_000)
    times = rows["event_time_us"].to_numpy()
    columns = {name: rows[name] for name in rows.column_names if name not in ("fraud", "scenario")}
    some = draw.random(len(rows))
    columns["class"] = pa.array(np.where(some < 0.3, "fraud", ""))
    columns["fate"] = pa.array(draw.choice(["approved", "declined", "timed_out"], len(rows)), mask=some < 0.5)
    columns["decider"] = pa.array(draw.choice(["issuer", "merchant"], len(rows)), mask=some < 0.5)
    columns["told_us"] = pa.array(times + draw.integers(0, 20 * DAY_US, len(rows)))
    return pa.table(columns)


def _apart(told: pa.Table, folder: Path) -> dict[str, Path]:
    """Labels in CSV and outcomes in Arrow, in no order, beside transactions without them."""
    shuffled = told.take(pa.array(np.random.default_rng(4).permutation(len(told))))
    labels = shuffled.drop_columns(["fate", "decider", "amount_minor", "currency"])
    pyarrow.csv.write_csv(labels.filter(pc.equal(labels["class"], "fraud")), folder / "labels.csv")
    outcomes = shuffled.drop_columns(["class"]).filter(pc.is_valid(shuffled["fate"]))
    with pa.ipc.new_file(str(folder / "outcomes.arrow"), outcomes.schema) as file:
        file.write_table(outcomes)
    pq.write_table(told.drop_columns(["class", "fate", "decider", "told_us"]), folder / "alone.parquet")
    return {"labels": folder / "labels.csv", "outcomes": folder / "outcomes.arrow"}


@pytest.mark.parametrize("arrives", [{"arrival": "told_us"}, {"delay_days": 7}])
def test_what_is_told_apart_is_what_is_told_beside(told: pa.Table, arrives: dict[str, Any], tmp_path: Path) -> None:
    pq.write_table(told, tmp_path / "beside.parquet")
    beside = run(tmp_path / "beside.parquet", tmp_path / "one", _mapped(**arrives), block_rows=0)
    apart = run(
        tmp_path / "alone.parquet", tmp_path / "two", _mapped(**arrives), **_apart(told, tmp_path), block_rows=0
    )
    one, two = parts(tmp_path / "one"), parts(tmp_path / "two")
    assert (beside.refused, beside.answered, beside.digest) == (0, len(told), apart.digest)
    # Beside features stands what rows turned out to be, where their own table says it.
    assert one.drop_columns(["label_class", "label_order_us"]).equals(two)
    # Frauds were seen, and an input each is what was told before.
    assert any((pc.max(one[name]).as_py() or 0) > 0 for name in PLAN.features if "RISK" in name)
    taken = np.searchsorted(
        np.sort(_places(told, arrives)), one["event_time"].cast(pa.int64()).to_numpy(), side="right"
    )
    np.testing.assert_array_equal(one["sequence"].to_numpy().astype(int), np.arange(1, len(told) + 1) + taken)


def _places(told: pa.Table, arrives: dict[str, Any]) -> np.ndarray:
    """When each label and outcome arrives: at the beginning of a second, and after its own transaction."""
    times = told["event_time_us"].to_numpy()
    at = told["told_us"].to_numpy() if "arrival" in arrives else times + 7 * DAY_US
    places = at // SECOND_US * SECOND_US
    places = np.where(places <= times, times + 1, places)
    is_label = np.array(told["class"].to_pylist()) == "fraud"
    return np.concatenate([places[is_label], places[told["fate"].is_valid().to_numpy(zero_copy_only=False)]])


@pytest.mark.parametrize(
    ("which", "column", "value", "reason"),
    [
        ("label", "class", "theft", "holds a word that the mapping does not name"),
        ("label", "transaction_id", None, "is required"),
        ("label", "told_us", 1, "lies before the transaction that it tells of"),
        ("label", "told_us", None, "is required where something is told"),
        ("outcome", "fate", "lost", "holds a word that the mapping does not name"),
        ("outcome", "event_time_us", None, "is required"),
        ("outcome", "kind", "gift", "holds a word that the mapping does not name"),
        ("outcome", "customer", "x" * 129, "is longer than 128 bytes"),
    ],
)
def test_what_is_told_wrongly_is_refused_by_its_own_row(
    told: pa.Table, which: str, column: str, value: Any, reason: str, tmp_path: Path
) -> None:
    rows = told.slice(0, 4).to_pylist()
    for row in rows:
        row |= {"class": "fraud", "fate": "approved", "decider": "issuer", "customer": str(row["customer"])}
    rows[2][column] = value
    for name in ("label", "outcome"):
        pq.write_table(pa.Table.from_pylist(rows if name == which else rows[:1]), tmp_path / f"{name}.parquet")
    pq.write_table(told.slice(0, 4), tmp_path / "in.parquet")
    mapping = _mapped(arrival="told_us")
    files = {f"{name}s": tmp_path / f"{name}.parquet" for name in ("label", "outcome")}
    done = run(tmp_path / "in.parquet", tmp_path / "out", mapping, wanted=job.Wanted(), **files)
    assert done.answered == 4
    (row,) = refused(tmp_path / "out")
    assert (row["input"], row["row"], row["column"]) == (which, 3, column)
    assert row["file"] == str(tmp_path / f"{which}.parquet")
    assert reason in row["reason"]
