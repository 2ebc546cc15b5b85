"""A table that does not fit its plan is refused in words that name the column, and changes nothing."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from engine import Folder
from features import Count, Plan, days
from tests.features.streams import BEGINNING_US, KEY

PLAN = Plan(
    name="table",
    currency="EUR",
    entities=("card",),
    numbers=("distance_km",),
    features=[Count("count", entity="card", window=days(1))],
).compile()
TRANSACTIONS: dict[str, Any] = {
    "event_time_us": [BEGINNING_US, BEGINNING_US],
    "card": ["a", "a"],
    "amount_minor": [1, None],
    "distance_km": [0.5, None],
}
LABELS: dict[str, Any] = {
    "arrival_us": [BEGINNING_US, BEGINNING_US + 1],
    "event_time_us": [BEGINNING_US, BEGINNING_US],
    "transaction_id": ["x", "y"],
    "card": ["a", "a"],
    "fraud": [True, None],
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"card": None}, "no column `card`"),
        ({"distance_km": None}, "no column `distance_km`"),
        ({"amount_minor": None}, "no column `amount_minor`"),
        ({"amount_minor": [1.5, 2.5]}, "`amount_minor` is Float64"),
        ({"amount_minor": [1, -1]}, "not 0 to 10\\^14"),
        ({"amount_minor": [1, 10**14 + 1]}, "not 0 to 10\\^14"),
        ({"event_time_us": [BEGINNING_US, None]}, "`event_time_us` holds nulls"),
        ({"event_time_us": [BEGINNING_US, 0]}, "between 1970 and 9999"),
        ({"event_time_us": pa.array([1, 2**62], pa.timestamp("s"))}, "does not fit"),
        ({"event_time_us": ["2020", "2021"]}, "`event_time_us` is Utf8"),
        ({"card": [0.5, 1.5]}, "`card` is Float64"),
        ({"card": pa.array([1, 2**63], pa.uint64())}, "2\\^63"),
        ({"distance_km": [1.0, float("inf")]}, "infinity"),
        ({"distance_km": ["far", "near"]}, "`distance_km` is Utf8"),
        ({"kind": ["purchase", "sale"]}, "no kind of transaction"),
        ({"kind": ["purchase", None]}, "no kind of transaction"),
        ({"utc_offset_minutes": [0, 1081]}, "-1080 to 1080"),
    ],
)
def test_transactions_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    folder = Folder(PLAN.json, KEY, 0)
    folder.fold(pa.table(TRANSACTIONS))
    columns = {name: column for name, column in (TRANSACTIONS | changes).items() if column is not None}
    with pytest.raises(ValueError, match=message):
        folder.fold(pa.table(columns))
    assert pa.array(folder.fold(pa.table(TRANSACTIONS))).flatten().to_pylist() == [2.0, 3.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fraud": None}, "no column `fraud`"),
        ({"fraud": [1, 0]}, "`fraud` is Int64"),
        ({"transaction_id": ["x", None]}, "`transaction_id` holds nulls"),
        ({"arrival_us": [BEGINNING_US, BEGINNING_US - 1]}, "sorted by their arrival"),
        ({"arrival_us": None}, "no column `arrival_us`"),
        ({"card": None}, "no column `card`"),
    ],
)
def test_labels_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    columns = {name: column for name, column in (LABELS | changes).items() if column is not None}
    with pytest.raises(ValueError, match=message):
        Folder(PLAN.json, KEY, 0).fold(pa.table(TRANSACTIONS), pa.table(columns))


def test_what_is_no_table_is_refused() -> None:
    folder = Folder(PLAN.json, KEY, 0)
    with pytest.raises(TypeError, match="__arrow_c_stream__"):
        folder.fold(TRANSACTIONS)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be a table"):
        folder.fold(pa.array([1, 2]))
    with pytest.raises(ValueError, match="precision"):
        folder.fold(pa.table(TRANSACTIONS), precision="float16")  # type: ignore[arg-type]


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_hash_key_is_32_bytes(length: int) -> None:
    with pytest.raises(ValueError, match="32"):
        Folder(PLAN.json, bytes(length), 0)


def test_an_empty_table_gives_no_rows() -> None:
    schema = pa.table(TRANSACTIONS).schema
    assert len(pa.array(Folder(PLAN.json, KEY, 0).fold(schema.empty_table()))) == 0
