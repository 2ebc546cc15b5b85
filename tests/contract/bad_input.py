"""The table of bad inputs: what is sent, and the refusal that a caller gets.

Each row is sent by a real client to a real server. A row changes a good transaction; `field` is the path that the
refusal must name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from grpc import StatusCode

from fraudgate.v1 import transaction_pb2 as pb

CARD_NUMBER = "4111111111111111"
"""A published test number: no answer, log line or file may ever hold it."""


@dataclass(frozen=True)
class Bad:
    """One bad input."""

    name: str
    change: Callable[[pb.Transaction], object]
    field: str
    code: StatusCode = StatusCode.INVALID_ARGUMENT


def _subject(transaction: pb.Transaction, **fields: object) -> pb.Subject:
    subject = pb.Subject(
        transaction_id="before",
        event_time_us=transaction.event_time_us,
        kind=pb.KIND_PURCHASE,
        entities=transaction.entities,
    )
    for name, value in fields.items():
        setattr(subject, name, value)
    return subject


def _link(transaction: pb.Transaction, relation: pb.Relation, **fields: object) -> None:
    transaction.link.CopyFrom(pb.Link(relation=relation, subject=_subject(transaction, **fields)))


def _retry(**fields: object) -> Callable[[pb.Transaction], None]:
    return lambda transaction: _link(transaction, pb.RELATION_RETRIES, **fields)


def _event(transaction: pb.Transaction, name: str) -> None:
    transaction.kind, transaction.event_name = pb.KIND_EVENT, name
    for field in ("amount_minor", "currency"):
        transaction.ClearField(field)


def _set(**fields: object) -> Callable[[pb.Transaction], None]:
    def change(transaction: pb.Transaction) -> None:
        for name, value in fields.items():
            setattr(transaction, name, value)

    return change


def _clear(field: str) -> Callable[[pb.Transaction], None]:
    return lambda transaction: transaction.ClearField(field)


def _key(name: str, value: str) -> Callable[[pb.Transaction], object]:
    return lambda transaction: transaction.entities.add(name=name, value=value)


def _attribute(**fields: object) -> Callable[[pb.Transaction], object]:
    return lambda transaction: transaction.attributes.add(**fields)


def _twice(first: Callable[[pb.Transaction], object]) -> Callable[[pb.Transaction], object]:
    return lambda transaction: (first(transaction), first(transaction))


# The good transaction has the entities customer and terminal; its plan also declares the entity device, the number
# `age` and the texts `note` and `memo`.
BAD_TRANSACTIONS = [
    Bad("no id", _clear("id"), "id"),
    Bad("id too long", _set(id="x" * 129), "id"),
    Bad("id with a control character", _set(id="a\nb"), "id"),
    Bad("no program", _clear("program"), "program"),
    Bad("unknown program", _set(program=CARD_NUMBER), "program"),
    Bad("no event time", _clear("event_time_us"), "event_time_us"),
    Bad("event time before 1970", _set(event_time_us=-1), "event_time_us"),
    Bad("event time after 9999", _set(event_time_us=2**63 - 1), "event_time_us"),
    Bad("offset beyond the date line", _set(utc_offset_minutes=1081), "utc_offset_minutes"),
    Bad("no kind", _clear("kind"), "kind"),
    Bad("unknown kind", _set(kind=99), "kind"),
    Bad("unknown mode", _set(mode=99), "mode"),
    Bad("reversal to be scored", lambda t: (_set(kind=pb.KIND_REVERSAL)(t), _link(t, pb.RELATION_REVERSES)), "mode"),
    Bad("reversal of nothing", _set(kind=pb.KIND_REVERSAL, mode=pb.MODE_FOLD), "link"),
    Bad("event without a name", lambda t: _event(t, ""), "event_name"),
    Bad("event with a name in capitals", lambda t: _event(t, "Login"), "event_name"),
    Bad("purchase with an event's name", _set(event_name="login"), "event_name"),
    Bad("event with an amount", _set(kind=pb.KIND_EVENT, event_name="login"), "amount_minor"),
    Bad("no amount", _clear("amount_minor"), "amount_minor"),
    Bad("negative amount", _set(amount_minor=-1), "amount_minor"),
    Bad("amount over its cap", _set(amount_minor=10**14 + 1), "amount_minor"),
    Bad("verification with an amount", _set(kind=pb.KIND_VERIFICATION), "amount_minor"),
    Bad("no currency", _clear("currency"), "currency"),
    Bad("currency not in ISO 4217", _set(currency="EUX"), "currency"),
    Bad("currency in lower case", _set(currency="eur"), "currency"),
    Bad("no currency at all", _set(currency="XXX"), "currency"),
    Bad("negative reference amount", _set(reference_amount_minor=-1), "reference_amount_minor"),
    Bad("two amounts in one currency", _set(reference_amount_minor=1), "reference_amount_minor"),
    Bad("link without a relation", lambda t: _link(t, pb.RELATION_UNSPECIFIED), "link.relation"),
    Bad("link with an unknown relation", lambda t: _link(t, 99), "link.relation"),  # type: ignore[arg-type]
    Bad("purchase that clears", lambda t: _link(t, pb.RELATION_CLEARS), "link.relation"),
    Bad("link without a subject", lambda t: t.link.MergeFrom(pb.Link(relation=pb.RELATION_RETRIES)), "link.subject"),
    Bad("subject without an id", _retry(transaction_id=""), "link.subject.transaction_id"),
    Bad("subject without a time", _retry(event_time_us=0), "link.subject.event_time_us"),
    Bad("subject without a kind", _retry(kind=0), "link.subject.kind"),
    Bad("undeclared entity", _key(CARD_NUMBER, "1"), "entities[2].name"),
    Bad("entity twice", _key("customer", "1"), "entities[2].name"),
    Bad("empty key", _key("device", ""), "entities[2].value"),
    Bad("key too long", _key("device", "x" * 129), "entities[2].value"),
    Bad("key with a control character", _key("device", "a\x00b"), "entities[2].value"),
    Bad("undeclared attribute", _attribute(name=CARD_NUMBER, number=1.0), "attributes[0].name"),
    Bad("attribute without a value", _attribute(name="age"), "attributes[0]"),
    Bad("attribute of another type", _attribute(name="age", text=CARD_NUMBER), "attributes[0].text"),
    Bad("text attribute as a number", _attribute(name="note", number=1.0), "attributes[0].number"),
    Bad("number twice", _twice(_attribute(name="age", number=1.0)), "attributes[1].name"),
    Bad("text twice", _twice(_attribute(name="note", text="x")), "attributes[1].name"),
    Bad("dropped text twice", _twice(_attribute(name="note", text=CARD_NUMBER)), "attributes[1].name"),
    Bad("NaN", _attribute(name="age", number=math.nan), "attributes[0].number"),
    Bad("infinity", _attribute(name="age", number=math.inf), "attributes[0].number"),
    Bad("empty text", _attribute(name="note", text=""), "attributes[0].text"),
    Bad("text over its cap", _attribute(name="note", text="x" * 257), "attributes[0].text"),
    Bad("text with a control character", _attribute(name="note", text="a\x1bb"), "attributes[0].text"),
    Bad("latitude beyond the pole", lambda t: t.location.MergeFrom(pb.Location(latitude=90.5)), "location.latitude"),
    Bad("longitude NaN", lambda t: t.location.MergeFrom(pb.Location(longitude=math.nan)), "location.longitude"),
    Bad("negative decide-by", _set(decide_by_us=-1), "decide_by_us"),
    Bad(
        "61 seconds ahead of the clock",
        lambda t: _set(event_time_us=t.event_time_us + 61_000_000)(t),
        "event_time_us",
        StatusCode.OUT_OF_RANGE,
    ),
]


@dataclass(frozen=True)
class BadBytes:
    """Bytes that are no transaction."""

    name: str
    change: Callable[[bytes], bytes]
    field: str


BAD_BYTES = [
    BadBytes("truncated", lambda good: good[:-1], "entities"),
    BadBytes("a length beyond the end", lambda good: good + b"\x0a\xff\x01x", "id"),
    BadBytes("an id that is not UTF-8", lambda good: good + b"\x0a\x02\xff\xfe", "id"),
    BadBytes("a key that is not UTF-8", lambda good: good + b"\x62\x04\x12\x02\xff\xfe", "entities.value"),
    BadBytes("a text where a number belongs", lambda good: good + b"\x1a\x01x", "event_time_us"),
    BadBytes("an overlong varint", lambda good: good + b"\x18" + b"\xff" * 11, "event_time_us"),
    BadBytes("a group that never ends", lambda good: good + b"\xfb\x01" * 3, "transaction"),
    BadBytes("no protobuf at all", lambda good: b"\xff" * 40, "transaction"),
]
