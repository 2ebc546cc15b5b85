"""Messages that are pleasant to write: one function a kind, exact money, aware times, entities and attributes by name.

Nothing here checks what the scorer checks (it answers with the field's name); only what would be lost on the way is
refused: floats as money, times without an offset, values of the wrong type.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Required, TypedDict, Unpack

from fraudgate.money import minor_units
from fraudgate.v1 import feedback_pb2 as feedback
from fraudgate.v1 import transaction_pb2 as messages

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Facts(TypedDict, total=False):
    """What any transaction may say; see transaction.proto for each."""

    id: Required[str]
    program: Required[str]
    event_time: Required[datetime]
    """Aware. Its offset from UTC becomes the local time of calendar features."""
    entities: Mapping[str, str]
    """Keys by the entity's name: {"customer": "c1"}."""
    attributes: Mapping[str, float | str]
    """Numbers and texts by name: {"basket_items": 3, "mcc": "5411"}."""
    place: tuple[float, float]
    """Degrees north and east."""
    fold: bool
    """Take it into the state and do not score it."""
    decide_by: datetime
    """Aware. The caller no longer waits after this moment."""


class Money(Facts, total=False):
    """A transaction that moves money."""

    amount: Required[str | Decimal]
    """Major units: "57.16"."""
    currency: Required[str]
    reference: tuple[str | Decimal, str]
    """Amount and code in the program's reference currency, where that is another: ("52.90", "EUR")."""


class Payment(Money, total=False):
    """A transaction that may be the same wish of the payer again."""

    retries: messages.Subject


def purchase(**facts: Unpack[Payment]) -> messages.Transaction:
    """Goods or services paid for."""
    return _transaction(messages.KIND_PURCHASE, **facts)


def withdrawal(**facts: Unpack[Payment]) -> messages.Transaction:
    """Cash taken out."""
    return _transaction(messages.KIND_WITHDRAWAL, **facts)


def transfer(**facts: Unpack[Payment]) -> messages.Transaction:
    """Money pushed from one account to another."""
    return _transaction(messages.KIND_TRANSFER, **facts)


def payout(**facts: Unpack[Payment]) -> messages.Transaction:
    """Money paid out by a merchant or platform."""
    return _transaction(messages.KIND_PAYOUT, **facts)


class _Refund(Payment, total=False):
    refunds: messages.Subject


def refund(**facts: Unpack[_Refund]) -> messages.Transaction:
    """Money given back for an earlier purchase."""
    return _transaction(messages.KIND_REFUND, **facts)


class _Reversal(Money):
    reverses: messages.Subject


def reversal(**facts: Unpack[_Reversal]) -> messages.Transaction:
    """Advice that an earlier transaction is undone in full or in part. Always folded, never scored."""
    return _transaction(messages.KIND_REVERSAL, **{**facts, "fold": True})


class _Incremental(Money):
    increments: messages.Subject


def incremental(**facts: Unpack[_Incremental]) -> messages.Transaction:
    """A further amount on an authorisation that stands."""
    return _transaction(messages.KIND_INCREMENTAL, **facts)


class _Clearing(Money, total=False):
    clears: messages.Subject


def clearing(**facts: Unpack[_Clearing]) -> messages.Transaction:
    """Settlement of an earlier authorisation. Always folded, never scored."""
    return _transaction(messages.KIND_CLEARING, **{**facts, "fold": True})


class _Verification(Facts, total=False):
    retries: messages.Subject


def verification(**facts: Unpack[_Verification]) -> messages.Transaction:
    """A card or account is checked without money."""
    return _transaction(messages.KIND_VERIFICATION, **facts)


def event(name: str, **facts: Unpack[Facts]) -> messages.Transaction:
    """Something that is not a payment, such as event("login", ...)."""
    transaction = _transaction(messages.KIND_EVENT, **facts)
    transaction.event_name = name
    return transaction


def subject(transaction: messages.Transaction) -> messages.Subject:
    """The transaction as others refer to it."""
    return messages.Subject(
        transaction_id=transaction.id,
        event_time_us=transaction.event_time_us,
        kind=transaction.kind,
        entities=transaction.entities,
    )


def label(
    transaction: messages.Transaction, label_class: str, *, source: str, withdrawn: bool = False
) -> feedback.Label:
    """What a transaction turned out to be: label(t, "third_party_fraud", source="chargeback").

    Names are LabelClass's and LabelSource's in lower case; another raises ValueError with those that there are.
    """
    return feedback.Label(
        program=transaction.program,
        subject=subject(transaction),
        **{"class": _member(feedback.LabelClass, "LABEL_CLASS_", label_class)},
        status=feedback.LABEL_STATUS_WITHDRAWN if withdrawn else feedback.LABEL_STATUS_ASSERTED,
        source=_member(feedback.LabelSource, "LABEL_SOURCE_", source),
    )


def outcome(
    transaction: messages.Transaction,
    fate: str,
    *,
    decider: str,
    reason: str = "",
    approved: str | Decimal | None = None,
) -> feedback.Outcome:
    """What became of an ask: outcome(t, "declined", decider="issuer", reason="51").

    Names are Fate's and Decider's in lower case. `approved` is the amount, in the transaction's currency, of a
    "partially_approved".
    """
    told = feedback.Outcome(
        program=transaction.program,
        subject=subject(transaction),
        fate=_member(feedback.Fate, "FATE_", fate),
        decider=_member(feedback.Decider, "DECIDER_", decider),
        reason=reason,
    )
    if approved is not None:
        told.amount_minor, told.currency = minor_units(approved, transaction.currency), transaction.currency
    return told


def microseconds(time: datetime) -> int:
    """Microseconds since 1970-01-01T00:00:00Z, exactly. Raises ValueError when the time has no offset from UTC."""
    if time.utcoffset() is None:
        raise ValueError("a time without an offset from UTC: write datetime(..., tzinfo=...)")
    return (time - _EPOCH) // timedelta(microseconds=1)


_RELATIONS: Final = {
    "retries": messages.RELATION_RETRIES,
    "refunds": messages.RELATION_REFUNDS,
    "reverses": messages.RELATION_REVERSES,
    "increments": messages.RELATION_INCREMENTS,
    "clears": messages.RELATION_CLEARS,
}


def _transaction(kind: messages.Kind, **facts: Any) -> messages.Transaction:
    time: datetime = facts["event_time"]
    transaction = messages.Transaction(
        id=facts["id"],
        program=facts["program"],
        event_time_us=microseconds(time),
        kind=kind,
        mode=messages.MODE_FOLD if facts.get("fold") else messages.MODE_SCORE,
        entities=[messages.EntityKey(name=name, value=value) for name, value in facts.get("entities", {}).items()],
        attributes=[_attribute(name, value) for name, value in facts.get("attributes", {}).items()],
    )
    offset = time.utcoffset()
    if offset:
        transaction.utc_offset_minutes = offset // timedelta(minutes=1)
    if "amount" in facts:
        transaction.amount_minor = minor_units(facts["amount"], facts["currency"])
        transaction.currency = facts["currency"]
    if "reference" in facts:
        transaction.reference_amount_minor = minor_units(*facts["reference"])
    if "place" in facts:
        transaction.location.latitude, transaction.location.longitude = facts["place"]
    if "decide_by" in facts:
        transaction.decide_by_us = microseconds(facts["decide_by"])
    for name, relation in _RELATIONS.items():
        if name in facts:
            transaction.link.CopyFrom(messages.Link(relation=relation, subject=facts[name]))
    return transaction


def _attribute(name: str, value: float | str) -> messages.Attribute:
    if isinstance(value, str):
        return messages.Attribute(name=name, text=value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return messages.Attribute(name=name, number=value)
    raise TypeError(f"attribute {name!r} is {type(value).__name__}: give a number or a text")


def _member(enum: Any, prefix: str, name: str) -> Any:
    members = {key.removeprefix(prefix).lower(): number for key, number in enum.items()}
    del members["unspecified"]
    if name not in members:
        raise ValueError(f"not one of {', '.join(members)}")
    return members[name]
