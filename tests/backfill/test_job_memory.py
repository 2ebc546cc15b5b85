"""What a job holds does not grow with its input, of as many keys: it is read, sorted, folded and written in bounds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.backfill.source import BATCH_ROWS

PROVE = bool(os.environ.get("FRAUDGATE_PROVE"))
DAY_US = 86_400_000_000
DAYS = 30
# Three months fill what is bounded: a month's window, the index of known ids, and as many runs as are merged at once.
MONTHS = 3
TIMES = 10 if PROVE else 3
# What a row takes as it is sorted.
BYTES_A_ROW = 90
# What ten times the rows may take beside them once.
FLAT = 1.25
# What is freed goes back at once: else an allocator holds more the more was freed, and by chance.
RETURNED = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


class World(NamedTuple):
    """How many rows there are in a month, and of whom and where."""

    rows: int
    customers: int
    terminals: int


SMALL = World(rows=100_000, customers=500, terminals=800)
# Of which three months are as many rows as the Handbook has.
WHOLE = World(rows=500_000, customers=5_000, terminals=10_000)


def _history(folder: Path, world: World, months: int) -> list[str]:
    """The same customers and terminals for so long, in no order within a month, so that it is sorted."""
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
    began_us = 1_600_000_000_000_000
    with pq.ParquetWriter(folder / "transactions.parquet", schema) as writer:
        for month in range(months):
            columns = {
                "transaction_id": np.arange(world.rows) + month * world.rows,
                "event_time_us": began_us + draw.integers(0, DAYS * DAY_US, world.rows) + month * DAYS * DAY_US,
                "kind": np.full(world.rows, "purchase"),
                "customer": draw.integers(0, world.customers, world.rows),
                "terminal": draw.integers(0, world.terminals, world.rows),
                "amount_minor": draw.integers(1, 10_000, world.rows),
                "currency": np.full(world.rows, "EUR"),
                "utc_offset_minutes": np.zeros(world.rows, np.int32),
            }
            writer.write_table(pa.table(columns, schema=schema), row_group_size=20_000)
    labels = {"transaction_id": [0], "event_time_us": [began_us], "kind": ["purchase"], "customer": [0]}
    labels |= {"terminal": [0], "fraud": [True], "arrival_us": [began_us + 7 * DAY_US]}
    pq.write_table(pa.table(labels), folder / "labels.parquet")
    return [str(folder / f"{name}.parquet") for name in ("transactions", "labels")]


def _peak_bytes(arguments: list[str], settings: Mapping[str, str]) -> int:
    """The most that a process of Python held."""
    command = [sys.executable, *arguments]
    with subprocess.Popen(
        command, env=os.environ | settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as p:
        _, status, used = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
    assert p.returncode == 0
    return used.ru_maxrss * 1_024


@pytest.mark.slow
def test_more_rows_of_as_many_keys_take_as_much_memory(tmp_path: Path) -> None:
    """Where rows are sorted by few at a time, and no row may be held: so it shows in few rows."""

    def peak(months: int) -> int:
        bounds = ("4000", "40000", "0")
        files = _history(tmp_path / str(months), SMALL, months)
        arguments = ["-m", "tests.backfill.taken", *files, str(tmp_path / f"out-{months}"), *bounds]
        return _peak_bytes(arguments, {"ARROW_DEFAULT_MEMORY_POOL": "system", **RETURNED})

    once, more = peak(MONTHS), peak(MONTHS * TIMES)
    further = (TIMES - 1) * MONTHS * SMALL.rows
    assert more - once < further * BYTES_A_ROW / 2, f"{once:,} and {more:,} bytes"


@pytest.mark.slow
@pytest.mark.skipif(not PROVE, reason="takes minutes: FRAUDGATE_PROVE=1")
def test_twenty_five_million_rows_take_the_command_as_much_memory_as_a_tenth_of_them(tmp_path: Path) -> None:
    """As it is run, with nothing set."""

    def peak(months: int) -> int:
        transactions, labels = _history(tmp_path / str(months), WHOLE, months)
        told = ["--mapping", "fraudgate", "--labels", labels]
        command = ["-c", "from service.cli import main; main()", "features", transactions]
        return _peak_bytes([*command, str(tmp_path / f"out-{months}"), *told], {})

    # Five months fill a block of rows too.
    once, more = peak(5), peak(50)
    assert more < FLAT * once, f"{once:,} and {more:,} bytes"


# In a process of its own: what else is held there would count.
_READ = """
import sys, time
import pyarrow as pa
from service.backfill.source import Source

batches = Source(sys.argv[1]).batches(["n"])
_, first = next(batches)
time.sleep(0.5)  # whoever reads ahead has time to
print(pa.total_allocated_bytes(), first.nbytes, first.num_rows + sum(batch.num_rows for _, batch in batches))
"""


def test_a_file_is_read_as_it_is_taken_and_not_far_ahead(tmp_path: Path) -> None:
    rows = 40 * BATCH_ROWS
    pq.write_table(pa.table({"n": np.arange(rows)}), tmp_path / "in.parquet", row_group_size=BATCH_ROWS)
    read = subprocess.run(
        [sys.executable, "-c", _READ, str(tmp_path / "in.parquet")], check=True, capture_output=True, text=True
    )
    held, first, found = (int(word) for word in read.stdout.split())
    # Half of the file: whoever reads ahead without being asked has all of it by now.
    assert held < 20 * first, f"{held:,} bytes"
    assert found == rows
