"""The order of inputs: sorted in bounded memory exactly as numpy sorts in all of it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from service.backfill import order


def _batches(orders: list[int], cuts: list[int]) -> list[pa.RecordBatch]:
    rows = np.arange(len(orders))
    table = pa.record_batch({"order_us": pa.array(orders, pa.int64()), "row": pa.array(rows, pa.int64())})
    ends = sorted({min(cut, len(orders)) for cut in cuts} | {len(orders)})
    begins = [0, *ends[:-1]]
    return [table.slice(begin, end - begin) for begin, end in zip(begins, ends, strict=True) if end > begin]


@settings(max_examples=150, deadline=None)
@given(
    orders=st.lists(st.integers(0, 12), min_size=1, max_size=300),
    cuts=st.lists(st.integers(1, 300), max_size=6),
    run_rows=st.integers(1, 60),
)
def test_rows_are_sorted_by_order_and_then_by_how_they_came(orders: list[int], cuts: list[int], run_rows: int) -> None:
    # Runs are more than are merged at a time, and batches of a run more than one.
    order._MERGED_ROWS = 3  # type: ignore[misc]
    try:
        with tempfile.TemporaryDirectory() as work:
            found = list(order.by_order(_batches(orders, cuts), Path(work), run_rows=run_rows))
            assert not list(Path(work).iterdir())
    finally:
        order._MERGED_ROWS = 8_192  # type: ignore[misc]
    rows = np.concatenate([batch["row"].to_numpy() for batch in found])
    np.testing.assert_array_equal(rows, np.argsort(orders, kind="stable"))


def test_a_survey_says_how_many_since_when_and_whether_they_are_in_order() -> None:
    def batch(orders: list[int], times: list[int], taken: list[bool]) -> pa.RecordBatch:
        return pa.record_batch({"order_us": orders, "event_time_us": times, "taken": taken})

    one, two = batch([5, 6], [50, 40], [True, True]), batch([6, 0, 9], [60, 0, 90], [True, False, True])
    assert order.survey([one, two]) == (5, 40, True)
    assert order.survey([two, one]) == (5, 40, False)
    assert order.survey([batch([6, 5], [1, 2], [True, True])]) == (2, 1, False)
    assert order.survey([]) == (0, 1, True)
