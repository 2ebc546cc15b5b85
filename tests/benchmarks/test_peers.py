"""The Python peers do the work that they are compared for."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks import traffic
from benchmarks.peers.features import History
from features import handbook
from features.fold import fold

DAYS = 45
REACH_DAYS = 37


def rows_of_the_peers(transactions: pa.Table, labels: pa.Table) -> np.ndarray:
    history = History()
    for terminal, time in zip(labels["terminal"].to_pylist(), labels["event_time_us"].to_pylist(), strict=True):
        history.label_fraud(terminal, time)
    columns = [transactions[name].to_pylist() for name in ("customer", "terminal", "event_time_us", "amount_minor")]
    return np.array([history.see(*each) for each in zip(*columns, strict=True)], np.float32)


def rows_of_the_engine(transactions: pa.Table, labels: pa.Table) -> np.ndarray:
    plan = handbook.PLAN.compile()
    return fold(plan, transactions, labels, complete_since_us=traffic.COMPLETE_SINCE_US)


def whole_windows(transactions: pa.Table) -> np.ndarray:
    since = traffic.START_US + REACH_DAYS * traffic.DAY_US
    return pc.greater_equal(transactions["event_time_us"], since).to_numpy()


def test_the_peers_see_what_the_engine_sees() -> None:
    transactions, labels = traffic.history(traffic.Span.of(DAYS))
    whole = whole_windows(transactions)
    engine, peers = rows_of_the_engine(transactions, labels)[whole], rows_of_the_peers(transactions, labels)[whole]
    assert (engine[:, -1] > 0).any()
    np.testing.assert_array_equal(peers, engine)


def test_the_peers_see_the_same_when_transactions_come_out_of_order() -> None:
    transactions, labels = traffic.history(traffic.Span.of(DAYS))
    places = np.arange(len(transactions)) + np.random.default_rng(1).uniform(0, 200, len(transactions))
    transactions = transactions.take(np.argsort(places))
    whole = whole_windows(transactions)
    engine, peers = rows_of_the_engine(transactions, labels)[whole], rows_of_the_peers(transactions, labels)[whole]
    np.testing.assert_array_equal(peers, engine)
