"""Asks a scorer from the command line: one transaction by flags, or any number as lines of protobuf's JSON."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from google.protobuf import json_format

import fraudgate
from service.certificates import Folder

# Kinds that one line of flags can say: the others refer to another transaction, or move no money.
KINDS = {
    "purchase": fraudgate.purchase,
    "withdrawal": fraudgate.withdrawal,
    "transfer": fraudgate.transfer,
    "payout": fraudgate.payout,
    "refund": fraudgate.refund,
}


class LineError(ValueError):
    """A line that holds no transaction; the message has its number, never its content."""


class Connection(NamedTuple):
    """Where the scorer is, and who asks."""

    target: str
    ca: Path
    certificate: Path
    key: Path
    server_name: str | None = None

    @classmethod
    def of_folder(cls, target: str, folder: Folder, client: str) -> "Connection":
        """As one of the clients of a folder that `fraudgate certs` made."""
        leaf = folder.client(client)
        return cls(target, folder.ca.certificate, leaf.certificate, leaf.key)

    def open(self, deadline: float = 5.0) -> fraudgate.Client:
        """A client. Raises OSError where a file cannot be read."""
        return fraudgate.Client(
            self.target,
            ca=self.ca,
            certificate=self.certificate,
            key=self.key,
            server_name=self.server_name,
            deadline=deadline,
        )


def of_flags(
    *,
    id: str,
    program: str,
    kind: str,
    time: datetime | None,
    amount: str,
    currency: str,
    entities: Mapping[str, str],
    attributes: Mapping[str, float | str],
) -> fraudgate.Transaction:
    """One transaction; without a time it happens now. Raises ValueError."""
    return KINDS[kind](
        id=id,
        program=program,
        event_time=time or datetime.now(UTC),
        amount=amount,
        currency=currency,
        entities=entities,
        attributes=attributes,
    )


def of_lines(lines: Iterable[str]) -> Iterator[fraudgate.Transaction]:
    """A transaction a line, in protobuf's JSON with the protos' field names; empty lines are skipped.

    Raises LineError.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield json_format.Parse(line, fraudgate.Transaction())
            except json_format.ParseError:
                # The parser's own message quotes the line.
                raise LineError(
                    f"line {number} is no transaction: write an object with the fields of transaction.proto, such as "
                    '{"id": "a1", "program": "cards", "event_time_us": "1767225600000000", "kind": "KIND_PURCHASE", '
                    '"amount_minor": "5716", "currency": "EUR", "entities": [{"name": "customer", "value": "c1"}]}'
                ) from None


def as_json(answer: fraudgate.Decision | fraudgate.FraudgateError) -> str:
    """The answer on one line: a Decision in protobuf's JSON, or {"error": {...}}."""
    if isinstance(answer, fraudgate.FraudgateError):
        told: dict[str, Any] = {"code": answer.code.name, "message": str(answer)}
        if isinstance(answer, fraudgate.InvalidTransaction):
            told["fields"] = [field._asdict() for field in answer.fields]
        if isinstance(answer, fraudgate.Overloaded):
            told["retry_after_s"] = answer.retry_after
        return json.dumps({"error": told})
    return json.dumps(json_format.MessageToDict(answer, preserving_proto_field_name=True))
