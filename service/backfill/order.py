"""The order of inputs: what a survey of their times finds, and a sort in bounded memory where they are not in order.

Runs of rows are sorted in memory and spilled as Arrow IPC, then merged by whole batches: what no later batch of any run
can precede goes out together. That is a page of numpy, so no library of tables is needed for it.
"""

from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

RUN_ROWS: Final = 1 << 20
"""Rows that are sorted in memory."""
_WIDTH: Final = 32
"""Runs that are merged at a time; of each a batch is in memory."""
_MERGED_ROWS: Final = 8_192


class Survey(NamedTuple):
    """What is known of an input before it is read: how many rows, since when (us), and whether they are in order."""

    rows: int
    begins_us: int
    in_order: bool


def survey(batches: Iterable[pa.RecordBatch]) -> Survey:
    """Look at columns event_time_us and order_us of all rows that have a time (taken)."""
    rows, begins_us, last, in_order = 0, None, None, True
    for batch in batches:
        rows += batch.num_rows
        taken = batch["taken"].to_numpy(zero_copy_only=False)
        orders = batch["order_us"].to_numpy()[taken]
        if len(orders) == 0:
            continue
        in_order &= bool((np.diff(orders) >= 0).all()) and (last is None or last <= orders[0])
        last = int(orders[-1])
        least = int(batch["event_time_us"].to_numpy()[taken].min())
        begins_us = least if begins_us is None else min(begins_us, least)
    return Survey(rows, 1 if begins_us is None else begins_us, in_order)


def by_order(batches: Iterable[pa.RecordBatch], work: Path, *, run_rows: int = RUN_ROWS) -> Iterator[pa.RecordBatch]:
    """The same rows by order_us, and where that is equal in the order in which they came.

    work: an empty folder for what does not fit; what is written there is removed again.
    """
    numbers = count()

    def spill(run: pa.RecordBatch) -> Path:
        return _spill([run], work, next(numbers))

    # No name holds a run while the next one is gathered.
    runs = list(map(spill, _runs(batches, run_rows)))
    while len(runs) > _WIDTH:
        merged = _spill(_merge(runs[:_WIDTH]), work, next(numbers))
        for path in runs[:_WIDTH]:
            path.unlink()
        runs = [merged, *runs[_WIDTH:]]
    yield from _merge(runs)
    for path in runs:
        path.unlink()


def _runs(batches: Iterable[pa.RecordBatch], run_rows: int) -> Iterator[pa.RecordBatch]:
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        held.append(batch)
        rows += batch.num_rows
        if rows >= run_rows:
            yield _sorted(held)
            held, rows = [], 0
    if rows:
        yield _sorted(held)


def _sorted(pieces: list[pa.RecordBatch]) -> pa.RecordBatch:
    """The rows of all in order. What is given is let go, so that it is not held twice while it is sorted."""
    whole = pieces[0] if len(pieces) == 1 else pa.concat_batches(pieces)
    pieces.clear()
    orders = whole["order_us"].to_numpy()
    if (np.diff(orders) >= 0).all():
        return whole
    return whole.take(pa.array(np.argsort(orders, kind="stable")))


def _spill(batches: Iterable[pa.RecordBatch], work: Path, number: int) -> Path:
    path = work / f"run-{number:06}.arrow"
    writer = None
    try:
        for batch in batches:
            if writer is None:
                writer = pa.ipc.new_file(str(path), batch.schema)
            for begin in range(0, batch.num_rows, _MERGED_ROWS):
                writer.write_batch(batch.slice(begin, _MERGED_ROWS))
    finally:
        if writer is not None:
            writer.close()
    return path


class _Run:
    """A sorted run, a batch at a time."""

    def __init__(self, path: Path) -> None:
        # Read, not mapped: what was mapped would stay in the process until the run ends.
        self._reader = pa.ipc.open_file(pa.OSFile(str(path)))
        self._next = 0
        self.advance()

    def advance(self) -> None:
        """To the next batch; `batch` is None after the last."""
        self.batch: pa.RecordBatch | None = None
        self.begin = 0
        if self._next < self._reader.num_record_batches:
            self.batch = self._reader.get_batch(self._next)
            self.orders: npt.NDArray[np.int64] = self.batch["order_us"].to_numpy()
            self._next += 1


def _merge(paths: list[Path]) -> Iterator[pa.RecordBatch]:
    """Rows of later runs come after those of earlier ones where their order is equal."""
    runs = [_Run(path) for path in paths]
    while live := [run for run in runs if run.batch is not None]:
        # Up to the end of the batch that ends first nothing is still to come from any run. At equal ends it is the
        # earlier run's, whose next batch may go on with the same.
        first = min(live, key=lambda run: run.orders[-1])
        horizon = first.orders[-1]
        pieces = []
        before = True
        for run in live:
            before &= run is not first
            # What of a later run is equal to the horizon must wait for all of the earlier one.
            side: Literal["left", "right"] = "right" if before or run is first else "left"
            end = int(np.searchsorted(run.orders, horizon, side=side))
            if run.batch is not None and end > run.begin:
                pieces.append(run.batch.slice(run.begin, end - run.begin))
                run.begin = end
            if end == len(run.orders):
                run.advance()
        yield _sorted(pieces)
