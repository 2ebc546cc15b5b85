"""What a job holds that goes row by row does not grow with its input, of as many keys: sorted, folded and written in
bounded memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

DAY_US = 86_400_000_000
ROWS = 100_000
DAYS = 30
# Three months fill what is bounded: a month's window, the index of known ids, and as many runs as are merged at once.
MONTHS = 3
TIMES = 10 if os.environ.get("FRAUDGATE_PROVE") else 3
# What a row takes as it is sorted.
BYTES_A_ROW = 90


def _history(folder: Path, times: int) -> list[str]:
    """The same customers and terminals for so many times as long, in no order within a month, so that it is sorted."""
    draw = np.random.default_rng(9)
    folder.mkdir()
    schema = pa.schema(
        {
            "transaction_id": pa.int64(),
            "event_time_us": pa.int64(),
            "kind": pa.string(),
            "customer": pa.int64(),
            "terminal": pa.int64(),
            "amount_minor": pa.int64(),
            "currency": pa.string(),
            "utc_offset_minutes": pa.int32(),
        }
    )
    with pq.ParquetWriter(folder / "transactions.parquet", schema) as writer:
        for month in range(times):
            columns = {
                "transaction_id": np.arange(ROWS) + month * ROWS,
                "event_time_us": 1_600_000_000_000_000 + draw.integers(0, DAYS * DAY_US, ROWS) + month * DAYS * DAY_US,
                "kind": np.full(ROWS, "purchase"),
                "customer": draw.integers(0, 500, ROWS),
                "terminal": draw.integers(0, 800, ROWS),
                "amount_minor": draw.integers(1, 10_000, ROWS),
                "currency": np.full(ROWS, "EUR"),
                "utc_offset_minutes": np.zeros(ROWS, np.int32),
            }
            writer.write_table(pa.table(columns, schema=schema), row_group_size=20_000)
    labels = {"transaction_id": [0], "event_time_us": [1_600_000_000_000_000], "kind": ["purchase"], "customer": [0]}
    labels |= {"terminal": [0], "fraud": [True], "arrival_us": [1_600_000_000_000_000 + 7 * DAY_US]}
    pq.write_table(pa.table(labels), folder / "labels.parquet")
    return [str(folder / f"{name}.parquet") for name in ("transactions", "labels")]


def _peak_bytes(files: list[str], output: Path) -> int:
    """The most that the command held."""
    command = [sys.executable, "-m", "tests.backfill.taken", *files, str(output), "4000", "40000", "0"]
    # What is freed goes back at once: else an allocator holds more the more was freed, and by chance.
    returned = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    settings = os.environ | {"ARROW_DEFAULT_MEMORY_POOL": "system"} | returned
    with subprocess.Popen(command, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_maxrss * 1_024


@pytest.mark.slow
def test_more_rows_of_as_many_keys_take_as_much_memory(tmp_path: Path) -> None:
    once, more = (
        _peak_bytes(_history(tmp_path / str(months), months), tmp_path / f"out-{months}")
        for months in (MONTHS, MONTHS * TIMES)
    )
    further = (TIMES - 1) * MONTHS * ROWS
    assert more - once < further * BYTES_A_ROW / 2, f"{once:,} and {more:,} bytes"
