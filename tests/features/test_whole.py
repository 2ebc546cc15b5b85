"""A table that is folded whole, key by key, gives what the history that serves gives of its rows in turn."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine
from engine import Folder
from features import Count, Max, Mean, Plan, Risk, SinceFirst, SinceLast
from features.oracle import Label, Transaction
from features.plan import CompiledPlan
from tests.features.streams import (
    BEGINNING_US,
    KEY,
    SECOND_US,
    label_table,
    plans,
    prove,
    seconds,
    streams,
    transaction_table,
)


def assert_same(plan: CompiledPlan, transactions: Any, labels: Any, complete_since_us: int) -> None:
    for precision in ("float32", "float64"):
        one_by_one = Folder(plan.json, KEY, complete_since_us).fold(transactions, labels, precision=precision)
        whole = engine.fold(
            plan.json, KEY, transactions, labels, complete_since_us=complete_since_us, precision=precision
        )
        expected, found = pa.array(one_by_one), pa.array(whole)
        assert found.type == expected.type
        kind = np.uint32 if precision == "float32" else np.uint64
        np.testing.assert_array_equal(
            found.flatten().to_numpy().view(kind), expected.flatten().to_numpy().view(kind), err_msg=precision
        )


def arrivals(inputs: Sequence[Transaction | Label]) -> tuple[list[Label], list[int]]:
    """Labels, each arriving when the newest transaction before it happened."""
    newest, labels, times = BEGINNING_US, [], []
    for one in inputs:
        if isinstance(one, Label):
            labels.append(one)
            times.append(newest)
        else:
            newest = max(newest, one.event_time_us)
    return labels, times


@prove
@given(plans(), streams(), st.sampled_from([0, BEGINNING_US]), st.integers(1, 20))
def test_it_is_to_the_bit_what_the_rows_give_in_turn(
    plan: CompiledPlan, inputs: list[Transaction | Label], complete_since_us: int, batch: int
) -> None:
    table = transaction_table([one for one in inputs if isinstance(one, Transaction)])
    pieces = pa.Table.from_batches(table.to_batches(max_chunksize=batch), table.schema)
    assert_same(plan, pieces, label_table(*arrivals(inputs)), complete_since_us)


PLAN = Plan(
    name="busy",
    currency="EUR",
    entities=("card", "shop"),
    lateness=seconds(3_000),
    features=[
        Count("count", entity="card", window=seconds(40_000)),
        Mean("mean", entity="card", window=seconds(90_000), inclusive=True),
        Max("max", entity="card", window=seconds(90_000)),
        Risk("risk", entity="card", window=seconds(90_000), delay=seconds(100)),
        SinceFirst("first", entity="shop"),
        SinceLast("last", entity="shop"),
    ],
).compile()


def busy(rows: int, cards: Any, shops: Any) -> tuple[pa.Table, pa.Table]:
    """A second from one to the next, now and then late, more than late enough among them; labels of every twentieth."""
    drawn = random.Random(7)
    late = [drawn.choice([0, 0, 0, 20, 2_900, 3_100]) if place % 50 == 0 else 0 for place in range(rows)]
    times = [BEGINNING_US + (place - back) * SECOND_US for place, back in enumerate(late)]
    transactions = pa.table(
        {
            "event_time_us": times,
            "amount_minor": pa.array([None if place % 31 == 0 else drawn.randrange(10**6) for place in range(rows)]),
            "card": cards(rows, drawn),
            "shop": shops(rows, drawn),
        }
    )
    told = transactions.take(pa.array(range(0, rows, 20))).drop_columns(["amount_minor"])
    ids = pa.array([str(drawn.randrange(1 + rows // 100)) for _ in range(len(told))])
    arrival = pa.array(sorted(time.as_py() + drawn.randrange(200) * SECOND_US for time in told["event_time_us"]))
    fraud = pa.array([drawn.choice([True, True, False, None]) for _ in range(len(told))])
    labels = told.append_column("transaction_id", ids).append_column("arrival_us", arrival)
    return transactions, labels.append_column("fraud", fraud)


def test_of_a_key_with_more_rows_than_are_told_apart() -> None:
    one, of_many = lambda rows, _: [5] * rows, lambda rows, drawn: [drawn.randrange(9_000) for _ in range(rows)]
    assert_same(PLAN, *busy(100_000, one, of_many), 0)


@pytest.mark.parametrize("ids", ["near", "far", "texts", "mixed", "none"])
def test_whatever_its_ids_are(ids: str) -> None:
    def column(rows: int, drawn: random.Random) -> list[Any]:
        numbers = [drawn.randrange(-20, 20) if drawn.random() < 0.9 else None for _ in range(rows)]
        match ids:
            case "near" | "mixed":
                return numbers
            case "far":
                return [number and number * 2**57 for number in numbers]
            case "texts":
                return [None if number is None else f"c{number}" for number in numbers]
            case _:
                return [None] * rows

    transactions, labels = busy(2_000, column, column)
    if ids == "none":
        keys = {name: pa.nulls(len(transactions), pa.int64()) for name in ("card", "shop")}
        for name, column_of_nulls in keys.items():
            transactions = transactions.set_column(transactions.schema.get_field_index(name), name, column_of_nulls)
            labels = labels.set_column(labels.schema.get_field_index(name), name, pa.nulls(len(labels), pa.string()))
    if ids == "mixed":
        # A number is the same id as its digits.
        labels = labels.set_column(labels.schema.get_field_index("card"), "card", labels["card"].cast(pa.string()))
    assert_same(PLAN, transactions, labels, 0)


def test_of_a_table_that_does_not_fit_it_says_why() -> None:
    transactions, labels = busy(100, lambda rows, _: [1] * rows, lambda rows, _: [1] * rows)
    with pytest.raises(ValueError, match="no column `shop`"):
        engine.fold(PLAN.json, KEY, transactions.drop_columns(["shop"]), complete_since_us=0)
    with pytest.raises(ValueError, match="`arrival_us` goes back"):
        engine.fold(PLAN.json, KEY, transactions, pa.concat_tables([labels, labels]), complete_since_us=0)
