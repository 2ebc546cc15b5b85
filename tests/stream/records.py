"""Records as a client of a broker gives them, without a broker."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fraudgate.v1 import transaction_pb2


@dataclass(frozen=True)
class Record:
    """One; see `engine.Message`."""

    sent: bytes | None
    at: int
    of: int = 0
    on: str = "payments"
    said: list[tuple[str, bytes]] | None = field(default=None)
    wrong: object | None = None

    def error(self) -> object | None:
        return self.wrong

    def topic(self) -> str:
        return self.on

    def partition(self) -> int:
        return self.of

    def offset(self) -> int:
        return self.at

    def value(self) -> bytes | None:
        return self.sent

    def headers(self) -> list[tuple[str, bytes]] | None:
        return self.said


def purchase(number: int) -> transaction_pb2.Transaction:
    """A purchase, always the same for a number."""
    return transaction_pb2.Transaction(
        id=f"t-{number}",
        program="shop",
        event_time_us=1_700_000_000_000_000 + number * 1_000,
        kind=transaction_pb2.KIND_PURCHASE,
        amount_minor=number % 997,
        currency="EUR",
        entities=[
            transaction_pb2.EntityKey(name="customer", value=f"c-{number % 50}"),
            transaction_pb2.EntityKey(name="terminal", value=f"t-{number % 7}"),
        ],
    )


def purchases(numbers: Iterable[int]) -> list[Record]:
    """The purchases of those numbers, each at its number's offset."""
    return [Record(purchase(number).SerializeToString(), number) for number in numbers]
