"""Plans and streams for the contract: drawn by hypothesis, small enough for brute force, dense in what goes wrong."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pyarrow as pa
from hypothesis import settings
from hypothesis import strategies as st

import features as declare
from engine import Folder
from features.kept import UNBOUNDED, Bounds
from features.oracle import Label, Oracle, Transaction, Value

BEGINNING_US = 1_600_000_000_000_000
SECOND_US = 1_000_000
ENTITIES = ("card", "shop")
KINDS = ("purchase", "refund", "transfer", "event")
KEY = bytes(range(32))

# A small default keeps `make test` quick; the proof runs many more.
prove = settings(max_examples=5000 if os.environ.get("FRAUDGATE_PROVE") else 150, deadline=None)


@dataclass(frozen=True)
class Told:
    """A label, and of which transaction of the stream (by its place, counted down from the newest)."""

    back: int
    fraud: bool | None
    shift_s: int
    keys: tuple[str | None, str | None] | None


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


@st.composite
def histories(draw: st.DrawFn, name: str, unit: int) -> declare.Feature:
    entity = draw(st.sampled_from(ENTITIES))
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, unique=True))
    op = draw(
        st.sampled_from(
            [
                declare.Count,
                declare.Sum,
                declare.Mean,
                declare.Min,
                declare.Max,
                declare.Risk,
                declare.SinceLast,
                declare.SinceFirst,
            ]
        )
    )
    if issubclass(op, declare.SinceLast | declare.SinceFirst):
        return op(name, entity=entity, kinds=kinds)
    window = seconds(draw(st.sampled_from([1e-6, 5 * unit, 10 * unit, 20 * unit, 60 * unit])))
    delay = seconds(unit * draw(st.sampled_from([0, 0, 10, 30])))
    if issubclass(op, declare.Risk):
        return op(name, entity=entity, kinds=kinds, window=window, delay=delay)
    inclusive = draw(st.booleans()) and not delay
    return op(name, entity=entity, kinds=kinds, window=window, delay=delay, inclusive=inclusive)


@st.composite
def plans(draw: st.DrawFn, unit: int = 1) -> declare.CompiledPlan:
    """Windows are a few dozen units of so many seconds long."""
    names = [f"f{place}" for place in range(draw(st.integers(1, 10)))]
    lateness = draw(st.none() | st.sampled_from([0, 5 * unit, 20 * unit]).map(seconds))
    return declare.Plan(
        name="contract",
        currency=draw(st.sampled_from(["EUR", "JPY", "BHD"])),
        entities=ENTITIES,
        numbers=("distance_km",),
        lateness=lateness,
        features=[
            declare.Amount("amount"),
            declare.Number("distance", number="distance_km"),
            declare.Hour("hour"),
            declare.Weekday("weekday"),
            declare.Weekend("weekend"),
            declare.Night("night", through_hour=draw(st.integers(0, 23))),
            *(draw(histories(name, unit)) for name in names),
        ],
    ).compile()


def steps() -> st.SearchStrategy[int]:
    """Microseconds from one event time to the next: ties, windows' own lengths, gaps, and back."""
    exact = st.sampled_from([0, 0, 5, 10, 10, 20, 30, 60, 200, -5, -10, -20, -60, -200])
    return st.builds(lambda s, us: s * SECOND_US + us, exact, st.sampled_from([0, 0, 0, 1, -1]))


@st.composite
def transactions(draw: st.DrawFn) -> tuple[int, Transaction]:
    amount = st.none() | st.integers(0, 10**14) | st.integers(0, 50)
    step = draw(steps())
    keys = zip(ENTITIES, (draw(st.sampled_from(["a", "a", "b", None])) for _ in ENTITIES), strict=True)
    numbers = draw(st.just({}) | st.floats(allow_nan=False, allow_infinity=False).map(lambda n: {"distance_km": n}))
    return step, Transaction(
        event_time_us=0,
        entities={entity: key for entity, key in keys if key is not None},
        amount_minor=draw(amount),
        kind=draw(st.sampled_from(KINDS)),
        numbers=numbers,
        utc_offset_minutes=draw(st.sampled_from([0, 60, -1080, 1080])),
    )


def labels() -> st.SearchStrategy[Told]:
    key = st.sampled_from(["a", "b", None])
    return st.builds(
        Told,
        back=st.integers(1, 12),
        fraud=st.sampled_from([True, True, True, False, None]),
        shift_s=st.sampled_from([0, 0, 0, 0, 5, -30]),
        keys=st.none() | st.tuples(key, key),
    )


@st.composite
def streams(draw: st.DrawFn, unit: int = 1) -> list[Transaction | Label]:
    """Inputs in their order; labels speak of transactions of the stream, or of some that never came.

    unit: seconds, as a plan's.
    """
    drawn = draw(st.lists(st.one_of(transactions(), transactions(), transactions(), labels()), max_size=50))
    inputs: list[Transaction | Label] = []
    came: list[Transaction] = []
    now = BEGINNING_US
    for one in drawn:
        if not isinstance(one, Told):
            step, transaction = one
            now += unit * step
            came.append(Transaction(**{**transaction.__dict__, "event_time_us": now}))
            inputs.append(came[-1])
        elif came:
            place = max(0, len(came) - one.back)
            subject = came[place]
            entities = subject.entities
            if one.keys is not None:
                entities = {of: key for of, key in zip(ENTITIES, one.keys, strict=True) if key is not None}
            time = subject.event_time_us + unit * one.shift_s * SECOND_US
            inputs.append(Label(f"t{place}", time, entities, one.fraud, subject.kind))
    return inputs


def bounds() -> st.SearchStrategy[Bounds]:
    """Budgets of a few keys, caps of a few rows, and none at all."""
    return st.builds(
        Bounds,
        history_bytes=st.sampled_from([UNBOUNDED.history_bytes, 1_500, 2_500, 4_000, 8_000]),
        rows_a_key=st.sampled_from([UNBOUNDED.rows_a_key, 1, 2, 5]),
        tiles_a_key=st.sampled_from([UNBOUNDED.tiles_a_key, 1, 2, 4]),
    )


def transaction_table(rows: Sequence[Transaction], numbers: Sequence[str] = ("distance_km",)) -> pa.Table:
    columns: dict[str, pa.Array] = {
        "event_time_us": pa.array([t.event_time_us for t in rows], pa.int64()),
        "kind": pa.array([t.kind for t in rows], pa.string()),
        "amount_minor": pa.array([t.amount_minor for t in rows], pa.int64()),
        "utc_offset_minutes": pa.array([t.utc_offset_minutes for t in rows], pa.int16()),
    }
    for entity in ENTITIES:
        columns[entity] = pa.array([t.entities.get(entity) for t in rows], pa.string())
    for number in numbers:
        columns[number] = pa.array([t.numbers.get(number) for t in rows], pa.float64())
    return pa.table(columns)


def label_table(rows: Sequence[Label], arrivals: Sequence[int] | None = None) -> pa.Table:
    columns = {
        "arrival_us": pa.array([0] * len(rows) if arrivals is None else arrivals, pa.int64()),
        "event_time_us": pa.array([label.event_time_us for label in rows], pa.int64()),
        "transaction_id": pa.array([label.transaction_id for label in rows], pa.string()),
        "kind": pa.array([label.kind for label in rows], pa.string()),
        "fraud": pa.array([label.fraud for label in rows], pa.bool_()),
    }
    for entity in ENTITIES:
        columns[entity] = pa.array([label.entities.get(entity) for label in rows], pa.string())
    return pa.table(columns)


def oracle_rows(oracle: Oracle, inputs: Sequence[Transaction | Label]) -> list[list[float]]:
    return [[value for value, _ in row] for row in oracle_says(oracle, inputs)]


def oracle_says(oracle: Oracle, inputs: Sequence[Transaction | Label]) -> list[list[Value]]:
    rows = []
    for one in inputs:
        if isinstance(one, Label):
            oracle.label(one)
        else:
            rows.append(oracle.see(one))
    return rows


def engine_says(folder: Folder, inputs: Sequence[Transaction | Label]) -> tuple[np.ndarray, list[str]]:
    """The engine's rows, and a letter for each of their values; one input after the other."""
    rows, said = [], []
    for one in inputs:
        transactions, labels = ([], [one]) if isinstance(one, Label) else ([one], [])
        told, letters = folder.fold_and_say(transaction_table(transactions), label_table(labels))
        rows += pa.array(told).to_pylist()
        said += [letters.decode()] * len(transactions)
    return np.array(rows), said


def engine_rows(
    folder: Folder, inputs: Sequence[Transaction | Label], cuts: frozenset[int] = frozenset()
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The engine's rows; inputs are handed over in as few calls as their order allows, and cut at `cuts` besides."""
    parts = []
    transactions_so_far: list[Transaction] = []

    def hand_over(labels: Sequence[Label] = ()) -> None:
        rows = pa.array(
            folder.fold(transaction_table(transactions_so_far), label_table(labels, after(labels)), precision="float64")
        )
        parts.append(rows.flatten().to_numpy().reshape(len(rows), rows.type.list_size))
        transactions_so_far.clear()

    def after(labels: Sequence[Label]) -> list[int]:
        # Never due before a transaction, so taken in after the last.
        return [2**62] * len(labels)

    for place, one in enumerate(inputs):
        if isinstance(one, Label):
            hand_over([one])
        else:
            transactions_so_far.append(one)
        if place in cuts:
            hand_over()
    hand_over()
    return np.concatenate(parts)


def assert_equal_bits(found: np.ndarray, expected: list[list[float]], names: Sequence[str]) -> None:
    """Equal in every bit; one NaN is as good as another."""
    assert len(found) == len(expected)
    for place, (row, wanted) in enumerate(zip(found.tolist(), expected, strict=True)):
        for name, value, want in zip(names, row, wanted, strict=True):
            same = math.isnan(value) and math.isnan(want)
            assert same or (value == want and math.copysign(1, value) == math.copysign(1, want)), (
                f"transaction {place}, {name}: engine {value!r}, oracle {want!r}"
            )
