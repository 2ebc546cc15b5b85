"""A job: the features of a fold, in whatever form and order its input comes, and the same bytes however it is cut."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from features.fold import fold
from service.backfill import job
from service.backfill.order import by_order
from service.backfill.refused import TooManyBad
from service.tables import Tables
from tests.backfill.conftest import PLAN, parts, refused, run


@pytest.fixture(scope="module")
def folded(world: Tables) -> np.ndarray:
    """What each transaction saw, by the fold of tables."""
    begins_us = world.transactions["event_time_us"][0].as_py()
    return fold(PLAN, world.transactions, world.labels, complete_since_us=begins_us - 1, precision="float64")


def _features(answered: pa.Table) -> np.ndarray:
    return np.column_stack([answered[name].to_numpy() for name in PLAN.features])


def test_features_are_those_of_a_fold(written: tuple[Path, Path], folded: np.ndarray, tmp_path: Path) -> None:
    transactions, labels = written
    done = run(transactions, tmp_path / "out", labels=labels)
    answered = parts(tmp_path / "out")
    assert done.answered == done.transactions == len(folded) == len(answered)
    assert done.order == "assumed: event time, then row"
    np.testing.assert_array_equal(_features(answered), folded)
    assert answered.schema.metadata[b"fraudgate.order"] == b"assumed: event time, then row"
    assert answered.schema.metadata[b"fraudgate.plan_digest"].decode() == PLAN.digest


def test_the_form_of_the_input_does_not_show(
    world: Tables, written: tuple[Path, Path], folded: np.ndarray, tmp_path: Path
) -> None:
    transactions = world.transactions.select([n for n in world.transactions.column_names if n != "scenario"])
    inputs = tmp_path / "in"
    inputs.mkdir()
    pa.csv.write_csv(transactions, inputs / "one.csv")
    with pa.ipc.new_file(str(inputs / "one.arrow"), transactions.schema) as file:
        file.write_table(transactions, max_chunksize=5_000)
    half = len(transactions) // 2
    pq.write_table(transactions.slice(0, half), inputs / "a-1.parquet", row_group_size=1_000)
    pq.write_table(transactions.slice(half), inputs / "a-2.parquet")
    day = pc.strftime(transactions["event_time_us"].cast(pa.timestamp("us")), "%Y-%m")
    ds.write_dataset(
        transactions.append_column("month", day),
        inputs / "months",
        format="parquet",
        partitioning=ds.partitioning(pa.schema([("month", pa.string())]), flavor="hive"),
    )
    for number, source in enumerate(("one.csv", "one.arrow", "a-*.parquet", "months")):
        output = tmp_path / str(number)
        run(inputs / source, output, labels=written[1])
        np.testing.assert_array_equal(_features(parts(output)), folded, err_msg=source)


def test_an_input_out_of_order_is_sorted(
    world: Tables, written: tuple[Path, Path], folded: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.backfill.job.by_order", partial(by_order, run_rows=3_000))
    shuffled = np.random.default_rng(5).permutation(len(world.transactions))
    pq.write_table(world.transactions.take(pa.array(shuffled)), tmp_path / "shuffled.parquet")
    run(tmp_path / "shuffled.parquet", tmp_path / "out", labels=written[1])
    answered = parts(tmp_path / "out")
    times = answered["event_time"].cast(pa.int64()).to_numpy()
    assert (np.diff(times) >= 0).all()
    places = np.searchsorted(world.transactions["transaction_id"].to_numpy(), answered["transaction_id"].to_numpy())
    # Of one moment, transactions go by their rows: which of them comes first the shuffling decided.
    alone = np.ones(len(times), bool)
    same = np.diff(times) == 0
    alone[1:] &= ~same
    alone[:-1] &= ~same
    np.testing.assert_array_equal(_features(answered)[alone], folded[places][alone])


@pytest.mark.parametrize("block_rows", [0, 1_000, job.BLOCK_ROWS])
def test_how_it_is_cut_into_batches_does_not_show(
    written: tuple[Path, Path], block_rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for rows in (777, 65_536):
        monkeypatch.setattr("service.backfill.source.BATCH_ROWS", rows)
        output = tmp_path / str(rows)
        done = run(written[0], output, labels=written[1], part_rows=4_000, block_rows=block_rows)
        made.append((done, {path.name: path.read_bytes() for path in output.iterdir()}))
    assert made[0] == made[1]


def test_another_job_does_not_go_on_where_one_stopped(written: tuple[Path, Path], tmp_path: Path) -> None:
    run(written[0], tmp_path / "out", labels=written[1])
    with pytest.raises(ValueError, match="give --resume"):
        run(written[0], tmp_path / "out", labels=written[1])
    with pytest.raises(ValueError, match="another job: part_rows differ"):
        run(written[0], tmp_path / "out", labels=written[1], part_rows=10, resume=True)
    assert run(written[0], tmp_path / "out", labels=written[1], resume=True).digest is None
    assert not (tmp_path / "out/.work").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").touch()
    with pytest.raises(ValueError, match="is not empty"):
        run(written[0], tmp_path / "full", labels=written[1])


def test_what_happened_before_the_first_score_is_folded_only(
    world: Tables, written: tuple[Path, Path], folded: np.ndarray, tmp_path: Path
) -> None:
    times = world.transactions["event_time_us"].to_numpy()
    moment = int(times[len(times) // 2])
    run(written[0], tmp_path / "out", labels=written[1], score_from_us=moment)
    np.testing.assert_array_equal(_features(parts(tmp_path / "out")), folded[times >= moment])


def test_refused_rows_stand_beside_and_are_bounded(world: Tables, written: tuple[Path, Path], tmp_path: Path) -> None:
    amounts = world.transactions["amount_minor"].to_numpy().copy()
    amounts[[3, 500]] = -1
    place = world.transactions.schema.get_field_index("amount_minor")
    bad = world.transactions.set_column(place, "amount_minor", pa.array(amounts))
    source = tmp_path / "bad.parquet"
    pq.write_table(bad, source)
    done = run(source, tmp_path / "out", labels=written[1])
    assert (done.refused, done.answered) == (2, len(amounts) - 2)
    assert refused(tmp_path / "out") == [
        {
            "input": "transaction",
            "file": str(source),
            "row_of_file": row,
            "row": row,
            "column": "amount_minor",
            "reason": "must not be negative: the kind says which way money moves",
        }
        for row in (4, 501)
    ]
    with pytest.raises(TooManyBad, match=r"bad\.parquet, row 4, column amount_minor: must not be negative"):
        run(source, tmp_path / "strict", labels=written[1], max_bad=1)
