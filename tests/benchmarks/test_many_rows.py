"""Many rows are few rows so many times over, and what ours costs with them is measured and checked."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import backfill, serve, stage
from benchmarks.peers import tables

TIMES = 3
FEW = pa.table(
    {
        "transaction_id": pa.array([10, 11, 12], pa.int32()),
        "event_time_us": [5, 5, 9],
        "customer": pa.array([0, 32_767, 0], pa.int16()),
        "terminal": pa.array([7, 7, 8], pa.int16()),
        "fraud": [False, True, False],
    }
)
MANY = [
    {
        "transaction_id": row["transaction_id"] * TIMES + copy,
        "event_time_us": row["event_time_us"],
        "customer": row["customer"] + copy * 32_768,
        "terminal": row["terminal"] + copy * 9,
        "fraud": row["fraud"],
    }
    for row in FEW.to_pylist()
    for copy in range(TIMES)
]


def test_copies_stand_beside_each_other_with_keys_and_ids_of_their_own() -> None:
    assert tables.repeated(FEW, TIMES).to_pylist() == MANY


def test_they_are_written_a_piece_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "PIECE_ROWS", 2 * TIMES)
    pq.write_table(FEW, tmp_path / "few.parquet")
    assert tables.write_repeated(tmp_path / "few.parquet", tmp_path / "many.parquet", TIMES) == len(MANY)
    written = pq.ParquetFile(tmp_path / "many.parquet")
    assert [written.metadata.row_group(group).num_rows for group in range(written.num_row_groups)] == [6, 3]
    assert written.read().to_pylist() == MANY


@pytest.mark.slow
def test_what_many_rows_cost_is_measured_of_rows_that_come_to_the_same(tmp_path: Path) -> None:
    prepared, path = stage.prepare(tmp_path / "stage", serve.SMOKE.history), tmp_path / "few.parquet"
    few = backfill.world(path, smoke=True)
    grown = backfill.many(path, prepared, TIMES, rounds=1)
    assert {what: [each.rows for each in sizes] for what, sizes in grown.items()} == {
        "features": [few, TIMES * few],
        "file to file of scores": [few, TIMES * few],
    }
    assert backfill.unlike(grown) is None
    shown = backfill.grown_tables(grown)
    assert f"cpu a row of features of {TIMES * few:,} rows over once" in shown
    assert sorted(each.name for each in tmp_path.iterdir() if each.is_file()) == ["few.parquet", "mapping.toml"]

    _, more = grown["file to file of scores"]
    more.told["fraudgate"][0]["sums"][0] *= 1.001
    assert "file to file of scores computed something else" in str(backfill.unlike(grown))


def test_a_sum_that_is_no_number_differs() -> None:
    assert backfill.differing("theirs", [1.0], [float("nan")], 1.0) is not None
    assert backfill.differing("theirs", [1.0], [1.1], 0.2) is None
