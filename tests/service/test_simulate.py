"""The simulated world: the same from the same seed, documented, and with frauds as its scenarios say."""

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from service.simulate import LABELS, TRANSACTIONS, Scale, simulate, write
from service.simulated_fraud import SCENARIOS

SCALE = Scale(customers=1500, terminals=3000, days=60, seed=11)
DAY_US = 86_400_000_000


@pytest.fixture(scope="module")
def world() -> tuple[pa.Table, pa.Table]:
    return simulate(SCALE)


def column(table: pa.Table, name: str) -> npt.NDArray[np.int64]:
    values: npt.NDArray[np.int64] = table[name].to_numpy()
    return values


def test_the_same_seed_gives_the_same_files_and_another_gives_others(
    world: tuple[pa.Table, pa.Table], tmp_path: Path
) -> None:
    first = [path.read_bytes() for path in write(tmp_path / "a", *world)]
    again = [path.read_bytes() for path in write(tmp_path / "b", *simulate(SCALE))]
    other = [
        path.read_bytes() for path in write(tmp_path / "c", *simulate(Scale(customers=1500, terminals=3000, days=60)))
    ]
    assert first == again
    assert first[0] != other[0]


def test_every_column_is_documented_in_the_file(world: tuple[pa.Table, pa.Table], tmp_path: Path) -> None:
    for path, schema in zip(write(tmp_path, *world), (TRANSACTIONS, LABELS), strict=True):
        read = pq.read_schema(path)
        assert read.equals(schema, check_metadata=False)
        assert all(field.metadata[b"description"] for field in read)


def test_transactions_come_in_order_of_event_time_within_the_days_asked(world: tuple[pa.Table, pa.Table]) -> None:
    transactions, _ = world
    times = column(transactions, "event_time_us")
    assert (np.diff(times) >= 0).all()
    assert (column(transactions, "transaction_id") == np.arange(1, len(times) + 1)).all()
    local = times + column(transactions, "utc_offset_minutes").astype(np.int64) * 60_000_000
    began = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
    assert began <= local.min()
    assert local.max() < began + 60 * DAY_US
    assert (column(transactions, "amount_minor") > 0).all()
    assert column(transactions, "customer").max() < 1500
    assert column(transactions, "terminal").max() < 3000


def test_each_scenario_happens_as_often_as_it_says(world: tuple[pa.Table, pa.Table]) -> None:
    transactions, _ = world
    counted = pc.value_counts(transactions["scenario"]).to_pylist()
    share = {each["values"]: each["counts"] / transactions.num_rows for each in counted}
    assert set(share) == set(SCENARIOS)
    assert share["genuine"] == pytest.approx(0.995, abs=0.002)
    # Rates of the scenarios over the payments of a customer and day, 1.87; a compromise catches what is paid there.
    assert share["stolen_card"] == pytest.approx(5e-4 * 8 / 1.87, rel=0.5)
    assert share["account_takeover"] == pytest.approx(3e-4 * 8 / 1.87, rel=0.5)
    assert 0.0005 < share["compromised_terminal"] < 0.005
    told = pc.equal(transactions["fraud"], pc.not_equal(transactions["scenario"], "genuine"))
    assert pc.all(told).as_py()


def test_frauds_look_as_their_scenarios_say(world: tuple[pa.Table, pa.Table]) -> None:
    transactions, _ = world

    def amounts(scenario: str) -> npt.NDArray[np.int64]:
        return column(transactions.filter(pc.equal(transactions["scenario"], scenario)), "amount_minor")

    usual = np.median(amounts("genuine"))
    assert np.median(amounts("compromised_terminal")) == pytest.approx(usual, rel=0.3)
    assert 2 * usual < np.median(amounts("stolen_card")) < 5 * usual
    takeover = amounts("account_takeover")
    assert (takeover <= 500).mean() > 0.5
    assert np.median(takeover[takeover > 500]) > 4 * usual


def test_no_single_limit_tells_frauds_apart(world: tuple[pa.Table, pa.Table]) -> None:
    """Dear things, journeys and sprees are genuine: of the dearest payments most are."""
    transactions, _ = world
    amounts, fraud = column(transactions, "amount_minor"), column(transactions, "fraud")
    dearest = amounts >= np.quantile(amounts, 0.995)
    assert fraud[dearest].mean() < 0.5
    assert fraud[dearest].mean() > fraud.mean()


def test_labels_come_after_what_they_are_about_in_order_of_arrival(world: tuple[pa.Table, pa.Table]) -> None:
    transactions, labels = world
    arrival, happened = column(labels, "arrival_us"), column(labels, "event_time_us")
    assert (np.diff(arrival) >= 0).all()
    assert (arrival > happened).all()
    row = column(labels, "transaction_id") - 1
    for name in ("event_time_us", "customer", "terminal", "kind"):
        assert labels[name].combine_chunks().equals(transactions[name].take(pa.array(row)).combine_chunks())
    delay = np.median((arrival - happened)[labels["fraud"].is_valid().to_numpy()]) / DAY_US
    assert delay == pytest.approx(5, rel=0.15)


def test_most_frauds_are_told_and_every_mistake_is_taken_back(world: tuple[pa.Table, pa.Table]) -> None:
    transactions, labels = world
    fraud = set(transactions.filter(transactions["fraud"])["transaction_id"].to_pylist())
    asserted = set(labels.filter(labels["fraud"].is_valid())["transaction_id"].to_pylist())
    withdrawn = set(labels.filter(labels["fraud"].is_null())["transaction_id"].to_pylist())
    assert len(asserted & fraud) / len(fraud) == pytest.approx(0.95, abs=0.03)
    assert withdrawn
    assert asserted - fraud == withdrawn


def test_atms_give_tens_and_are_withdrawals(world: tuple[pa.Table, pa.Table]) -> None:
    transactions, _ = world
    withdrawals = transactions.filter(pc.equal(transactions["kind"], "withdrawal"))
    assert withdrawals.num_rows > 0
    assert (column(withdrawals, "amount_minor") % 1000 == 0).all()


@pytest.mark.parametrize("wrong", [{"customers": 0}, {"terminals": 99}, {"days": 0}, {"seed": -1}])
def test_a_world_that_cannot_be_is_refused(wrong: dict[str, int]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} is .*; it is at least"):
        Scale(**wrong)  # type: ignore[arg-type]


def test_the_smallest_world_works() -> None:
    transactions, labels = simulate(Scale(customers=1, terminals=100, days=1, start=date(2026, 2, 28), seed=0))
    assert transactions.schema.equals(TRANSACTIONS)
    assert labels.schema.equals(LABELS)
