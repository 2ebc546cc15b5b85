from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

import pytest

from fraudgate.v1 import transaction_pb2
from tests.scorer import Scorer, running_scorer


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scorer]:
    with running_scorer(tmp_path_factory.mktemp("scorer")) as scorer:
        yield scorer


@pytest.fixture(scope="session")
def new_transaction() -> Callable[[], transaction_pb2.Transaction]:
    """Makes a transaction that was never sent before."""
    numbers = itertools.count()

    def new() -> transaction_pb2.Transaction:
        return transaction_pb2.Transaction(
            id=f"transaction-{next(numbers)}",
            program="shop",
            event_time_us=time.time_ns() // 1_000,
            kind=transaction_pb2.KIND_PURCHASE,
            amount_minor=1_999,
            currency="EUR",
            entities=[
                transaction_pb2.EntityKey(name="customer", value="c-1"),
                transaction_pb2.EntityKey(name="terminal", value="t-1"),
            ],
        )

    return new
