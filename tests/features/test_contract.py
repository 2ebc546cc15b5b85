"""Every feature is what its definition says, in every bit, at every prefix of every stream."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Folder
from features import (
    Amount,
    CompiledPlan,
    Count,
    Hour,
    Max,
    Mean,
    Min,
    Night,
    Plan,
    Risk,
    SinceFirst,
    SinceLast,
    Sum,
    Weekday,
    Weekend,
)
from features.kept import Bounds
from features.oracle import Label, Oracle, Transaction
from tests.features.streams import (
    BEGINNING_US,
    ENTITIES,
    KEY,
    SECOND_US,
    assert_equal_bits,
    bounds,
    engine_rows,
    engine_says,
    label_table,
    oracle_rows,
    oracle_says,
    plans,
    prove,
    seconds,
    streams,
    transaction_table,
)

UNBOUNDED = -(2**63)
Inputs = list[Transaction | Label]


@prove
@given(plans(), streams(), st.sampled_from([UNBOUNDED, BEGINNING_US - 30 * SECOND_US, BEGINNING_US + 40 * SECOND_US]))
def test_the_engine_gives_what_the_definitions_give(plan: CompiledPlan, inputs: Inputs, complete_since: int) -> None:
    found = engine_rows(Folder(plan.json, KEY, complete_since), inputs)
    assert_equal_bits(found, oracle_rows(Oracle(plan.json, complete_since), inputs), plan.features)


@prove
@given(st.data(), bounds(), st.sampled_from([1, 900]))
def test_within_any_bounds_the_engine_sees_and_says_what_is_kept(data: st.DataObject, kept: Bounds, unit: int) -> None:
    """Values to the bit, and which are missing, incomplete or approximate; in units of a second, and of 15 minutes."""
    plan, inputs = data.draw(plans(unit)), data.draw(streams(unit))
    folder = Folder(plan.json, KEY, UNBOUNDED, **kept._asdict())
    expected = oracle_says(Oracle(plan.json, UNBOUNDED, kept, folder.costs()), inputs)
    found, said = engine_says(folder, inputs)
    assert said == ["".join(letter for _, letter in row) for row in expected]
    assert_equal_bits(found, [[value for value, _ in row] for row in expected], plan.features)


@prove
@given(plans(), streams(), st.frozensets(st.integers(0, 49)))
def test_where_the_inputs_are_cut_never_shows(plan: CompiledPlan, inputs: Inputs, cuts: frozenset[int]) -> None:
    whole = engine_rows(Folder(plan.json, KEY, UNBOUNDED), inputs)
    cut = engine_rows(Folder(plan.json, bytes(32), UNBOUNDED), inputs, cuts)
    assert whole.tobytes() == cut.tobytes()


@prove
@given(plans(), streams())
def test_float32_is_float64_rounded_once(plan: CompiledPlan, inputs: Inputs) -> None:
    table = transaction_table([one for one in inputs if isinstance(one, Transaction)])
    single = pa.array(Folder(plan.json, KEY, UNBOUNDED).fold(table)).flatten().to_numpy()
    double = pa.array(Folder(plan.json, KEY, UNBOUNDED).fold(table, precision="float64")).flatten().to_numpy()
    assert single.dtype == np.float32
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(single, double.astype(np.float32))


@pytest.mark.parametrize("seed", range(4))
def test_extremes_of_a_busy_key_are_exact(seed: int) -> None:
    """Hundreds of live events on one key: whole blocks, broken blocks, late ones in their midst, and eviction."""
    drawn = random.Random(seed)
    windows = [seconds(s) for s in (3, 64, 130, 300)]
    plan = Plan(
        name="busy",
        currency="EUR",
        entities=ENTITIES,
        lateness=seconds(100),
        features=[
            feature(f"{feature.op}_{place}_{kind}", entity="card", window=window, kinds=[kind], delay=delay)
            for feature in (Min, Max)
            for place, window in enumerate(windows)
            for kind in ("purchase", "refund")
            for delay in (seconds(7 * place),)
        ],
    ).compile()
    inputs: Inputs = []
    now = BEGINNING_US
    for _ in range(700):
        now += drawn.choice([0, 1, 1, 2]) * SECOND_US
        late = drawn.choice([0, 0, 0, 0, 20, 90]) * SECOND_US
        amount = None if drawn.random() < 0.1 else drawn.randrange(10**6)
        kind = drawn.choice(["purchase", "purchase", "refund", "event"])
        inputs.append(Transaction(now - late, {"card": "a"}, amount, kind))
    table = transaction_table([one for one in inputs if isinstance(one, Transaction)], numbers=())
    found = pa.array(Folder(plan.json, KEY, UNBOUNDED).fold(table, precision="float64")).flatten().to_numpy()
    expected = oracle_rows(Oracle(plan.json, UNBOUNDED), inputs)
    assert_equal_bits(found.reshape(len(inputs), -1), expected, plan.features)


@prove
@given(
    st.datetimes(datetime(1970, 1, 3), datetime(9999, 12, 30)),
    st.integers(-1080, 1080),
    st.integers(0, 23),
)
def test_calendar_features_are_python_s_calendar(time: datetime, offset: int, through_hour: int) -> None:
    features = [Hour("hour"), Weekday("weekday"), Weekend("weekend"), Night("night", through_hour=through_hour)]
    plan = Plan(name="calendar", currency="EUR", entities=ENTITIES, features=features).compile()
    event_time_us = (time.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    transaction = Transaction(event_time_us, {}, utc_offset_minutes=offset)
    found = pa.array(Folder(plan.json, KEY, UNBOUNDED).fold(transaction_table([transaction], numbers=()))).flatten()
    local = time + timedelta(minutes=offset)
    expected = [local.hour, local.weekday(), local.weekday() >= 5, local.hour <= through_hour]
    assert found.to_pylist() == [float(value) for value in expected]


def test_a_label_is_taken_in_before_the_first_transaction_that_reaches_its_arrival() -> None:
    plan = Plan(
        name="labels",
        currency="EUR",
        entities=ENTITIES,
        features=[Risk("risk", entity="card", window=seconds(100))],
    ).compile()
    times = [BEGINNING_US + s * SECOND_US for s in (0, 10, 5, 20, 20)]
    transactions = [Transaction(time, {"card": "a"}, 1) for time in times]
    subject = Label("t0", times[0], {"card": "a"}, fraud=True)
    folder = Folder(plan.json, KEY, UNBOUNDED)

    def risks(labels: list[int], rows: list[Transaction]) -> list[float]:
        table = label_table([subject] * len(labels), labels)
        found: list[float] = pa.array(folder.fold(transaction_table(rows, ()), table)).flatten().to_pylist()
        return found

    # The third row's own event time is 5 s, but an earlier one had reached 10 s.
    assert risks([times[1]], transactions[:3]) == [0.0, 1.0, 1.0]
    assert risks([], transactions[3:4]) == [np.float32(1 / 3)]
    # Over calls too: 20 s was reached before, so a label that arrives then is due at once.
    withdrawn = label_table([Label("t0", times[0], {"card": "a"}, fraud=None)], [times[3]])
    assert pa.array(folder.fold(transaction_table(transactions[4:], ()), withdrawn)).flatten().to_pylist() == [0.0]


def test_ids_are_the_same_as_numbers_and_as_their_digits() -> None:
    plan = Plan(
        name="ids",
        currency="EUR",
        entities=("card",),
        features=[Count("count", entity="card", window=seconds(100))],
    ).compile()
    columns = {"event_time_us": [BEGINNING_US] * 3, "amount_minor": pa.array([1, 2, 3], pa.int32())}
    kinds = (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint64(), pa.string(), pa.large_string())
    folder = Folder(plan.json, KEY, UNBOUNDED)
    counts = []
    for kind in kinds:
        ids = pa.array([7, None, 8]).cast(kind)
        counts += pa.array(folder.fold(pa.table(columns | {"card": ids}))).flatten().to_pylist()
    assert counts[::3] == counts[2::3] == list(range(len(kinds)))
    assert all(np.isnan(counts[1::3]))


def test_timestamps_of_every_unit_are_the_same_moment() -> None:
    plan = Plan(name="times", currency="EUR", entities=(), features=[Hour("hour"), Amount("amount")]).compile()
    moment = BEGINNING_US // SECOND_US * SECOND_US
    wholes = pa.array([moment], pa.timestamp("us", "UTC"))
    for unit in ("s", "ms", "us", "ns"):
        batch = pa.record_batch({"event_time_us": wholes.cast(pa.timestamp(unit, "UTC")), "amount_minor": [250]})
        rows = pa.array(Folder(plan.json, KEY, UNBOUNDED).fold(batch)).flatten().to_pylist()
        assert rows == [float(datetime.fromtimestamp(moment // SECOND_US, UTC).hour), 2.5]


def test_what_was_evicted_still_tells_the_newest_and_the_oldest() -> None:
    plan = Plan(
        name="evicted",
        currency="EUR",
        entities=("card",),
        lateness=seconds(0),
        features=[
            SinceLast("last", entity="card", kinds=["refund"]),
            SinceFirst("first", entity="card", kinds=["refund"]),
            Sum("sum", entity="card", window=seconds(10), kinds=["purchase"]),
            Mean("mean", entity="card", window=seconds(10), kinds=["purchase"]),
        ],
    ).compile()
    kinds = ["refund", "refund", *["purchase"] * 100]
    inputs: Inputs = [
        Transaction(BEGINNING_US + place * 20 * SECOND_US, {"card": "a"}, place, kind)
        for place, kind in enumerate(kinds)
    ]
    table = transaction_table([one for one in inputs if isinstance(one, Transaction)], ())
    rows = pa.array(Folder(plan.json, KEY, UNBOUNDED).fold(table, precision="float64")).to_pylist()
    assert rows[-1][:3] == [100 * 20.0, 101 * 20.0, 0.0]
    assert_equal_bits(np.array(rows), oracle_rows(Oracle(plan.json, UNBOUNDED), inputs), plan.features)
