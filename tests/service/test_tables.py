"""Tables of transactions and labels: read in order, labels when they are known, rows as messages."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fraudgate
from fraudgate.v1 import feedback_pb2, transaction_pb2
from service import messages, tables
from service.tables import DAY_US, Tables


def transactions(**columns: object) -> pa.Table:
    table = {
        "event_time_us": [10, 20, 30, 40],
        "transaction_id": [1, 2, 3, 4],
        "customer": pa.array([7, None, 7, 8]),
        "amount_minor": pa.array([100, 200, None, 400]),
        "fraud": [True, False, False, True],
    }
    return pa.table({name: column for name, column in {**table, **columns}.items() if column is not None})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table.parquet"


def test_without_labels_each_fraud_is_known_after_the_delay(path: Path) -> None:
    pq.write_table(transactions(), path)
    read = tables.read(path, None, delay_days=7)
    assert read.labels.to_pydict() == {
        "arrival_us": [10 + 7 * DAY_US, 40 + 7 * DAY_US],
        "event_time_us": [10, 40],
        "transaction_id": [1, 4],
        "customer": [7, 8],
        "fraud": [True, True],
    }


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"fraud": None}, "has no column fraud: give the labels as a table of their own"),
        ({"amount_minor": None}, "has no column amount_minor; it has event_time_us"),
        ({"event_time_us": [10, 30, 20, 40]}, "is not in order of event_time_us: sort it"),
    ],
)
def test_a_table_that_cannot_be_used_is_told(path: Path, columns: dict[str, object], told: str) -> None:
    pq.write_table(transactions(**columns), path)
    with pytest.raises(ValueError, match=told):
        tables.read(path, None, delay_days=7)


def test_what_is_not_parquet_is_told(path: Path) -> None:
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="is not Parquet"):
        tables.read(path, None, delay_days=7)


def test_the_last_label_that_arrived_counts() -> None:
    labels = pa.table(
        {
            "arrival_us": [50, 60, 70, 80],
            "transaction_id": [1, 2, 1, 1],
            "fraud": pa.array([True, True, None, True]),
        }
    )
    read = Tables(transactions(), labels)
    for moment, known in ((50, []), (51, [1]), (65, [1, 2]), (75, [2]), (81, [1, 2])):
        assert (np.flatnonzero(tables.known_frauds(read, moment)) + 1).tolist() == known


def test_a_row_becomes_the_message_that_a_client_sends() -> None:
    table = transactions(kind=["purchase", "withdrawal", "purchase", "refund"], utc_offset_minutes=[0, 60, -60, 120])
    first, second, third, _ = messages.transactions(table, "cards", "EUR", ["customer"])
    assert second == transaction_pb2.Transaction(
        id="2",
        program="cards",
        event_time_us=20,
        utc_offset_minutes=60,
        kind=transaction_pb2.KIND_WITHDRAWAL,
        amount_minor=200,
        currency="EUR",
    )
    assert list(first.entities) == [transaction_pb2.EntityKey(name="customer", value="7")]
    assert third.utc_offset_minutes == -60
    assert not third.HasField("amount_minor")


def test_a_label_row_becomes_a_chargeback_about_its_transaction() -> None:
    table = pa.table(
        {
            "arrival_us": [1, 2, 3],
            "event_time_us": [10, 10, 10],
            "transaction_id": ["a", "a", "a"],
            "customer": ["c", "c", "c"],
            "fraud": pa.array([True, False, None]),
        }
    )
    made = messages.labels(table, "cards", ["customer"])
    told = [(getattr(label, "class"), label.status) for label in made]
    fraud, genuine = feedback_pb2.LABEL_CLASS_THIRD_PARTY_FRAUD, feedback_pb2.LABEL_CLASS_GENUINE
    asserted, withdrawn = feedback_pb2.LABEL_STATUS_ASSERTED, feedback_pb2.LABEL_STATUS_WITHDRAWN
    assert told == [(fraud, asserted), (genuine, asserted), (fraud, withdrawn)]
    assert made[0].subject == fraudgate.Subject(
        transaction_id="a",
        event_time_us=10,
        kind=transaction_pb2.KIND_PURCHASE,
        entities=[{"name": "customer", "value": "c"}],
    )
