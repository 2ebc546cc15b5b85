from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from fraudgate.v1 import transaction_pb2
from tests.scorer import Scorer, new_purchase, running_scorer


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scorer]:
    with running_scorer(tmp_path_factory.mktemp("scorer")) as scorer:
        yield scorer


@pytest.fixture(scope="session")
def new_transaction() -> Callable[[], transaction_pb2.Transaction]:
    """Makes a transaction that was never sent before."""
    numbers = itertools.count()

    def new() -> transaction_pb2.Transaction:
        return new_purchase(f"transaction-{next(numbers)}", 1_999)

    return new
