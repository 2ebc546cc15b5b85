"""Rows of tables as the messages that a client sends."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import pyarrow as pa

from fraudgate import Kind, Label, Subject, Transaction
from fraudgate.v1 import feedback_pb2
from fraudgate.v1.transaction_pb2 import EntityKey

_ROWS_AT_ONCE: Final = 8192


def transactions(table: pa.Table, program: str, currency: str, entities: Sequence[str]) -> Iterator[Transaction]:
    """A message for each row; see `tables` for the columns. An absent key or amount is left out."""
    for row in _rows(table):
        yield Transaction(
            id=str(row["transaction_id"]),
            program=program,
            event_time_us=row["event_time_us"],
            utc_offset_minutes=row.get("utc_offset_minutes"),
            kind=_kind(row),
            amount_minor=row["amount_minor"],
            currency=currency,
            entities=_keys(row, entities),
        )


def labels(table: pa.Table, program: str, entities: Sequence[str]) -> list[Label]:
    """A chargeback for each row; a row without `fraud` takes one back."""
    return [
        Label(
            program=program,
            subject=Subject(
                transaction_id=str(row["transaction_id"]),
                event_time_us=row["event_time_us"],
                kind=_kind(row),
                entities=_keys(row, entities),
            ),
            **{"class": _class(row["fraud"])},
            status=feedback_pb2.LABEL_STATUS_WITHDRAWN if row["fraud"] is None else feedback_pb2.LABEL_STATUS_ASSERTED,
            source=feedback_pb2.LABEL_SOURCE_CHARGEBACK,
        )
        for row in _rows(table)
    ]


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(_ROWS_AT_ONCE):
        yield from batch.to_pylist()


def _kind(row: dict[str, Any]) -> Any:
    return Kind.Value(f"KIND_{row.get('kind', 'purchase').upper()}")


def _class(fraud: bool | None) -> int:
    genuine = fraud is False
    return feedback_pb2.LABEL_CLASS_GENUINE if genuine else feedback_pb2.LABEL_CLASS_THIRD_PARTY_FRAUD


def _keys(row: dict[str, Any], entities: Sequence[str]) -> list[EntityKey]:
    return [EntityKey(name=name, value=str(row[name])) for name in entities if row[name] is not None]
