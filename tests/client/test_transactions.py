"""What the builders write, field by field."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

import fraudgate
from fraudgate.v1 import feedback_pb2, transaction_pb2
from fraudgate.v1.transaction_pb2 import Kind

NOON = datetime(2026, 6, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))


def test_a_purchase_holds_what_was_written() -> None:
    written = fraudgate.purchase(
        id="a1",
        program="cards",
        event_time=NOON,
        amount="57.16",
        currency="USD",
        reference=("52.90", "EUR"),
        entities={"customer": "c1", "terminal": "t9"},
        attributes={"basket_items": 3, "mcc": "5411"},
        place=(48.2, 16.4),
        decide_by=NOON + timedelta(seconds=1),
    )
    assert written == transaction_pb2.Transaction(
        id="a1",
        program="cards",
        event_time_us=1_780_308_000_123_456,
        utc_offset_minutes=120,
        kind=transaction_pb2.KIND_PURCHASE,
        mode=transaction_pb2.MODE_SCORE,
        amount_minor=5716,
        currency="USD",
        reference_amount_minor=5290,
        entities=[{"name": "customer", "value": "c1"}, {"name": "terminal", "value": "t9"}],
        attributes=[{"name": "basket_items", "number": 3.0}, {"name": "mcc", "text": "5411"}],
        location={"latitude": 48.2, "longitude": 16.4},
        decide_by_us=1_780_308_001_123_456,
    )


def test_every_kind_has_a_builder_whose_mode_and_relation_are_valid_for_it() -> None:
    """The table of valid combinations in transaction.proto."""
    facts = {"id": "a", "program": "p", "event_time": NOON}
    money = {**facts, "amount": "1", "currency": "EUR"}
    original = fraudgate.subject(fraudgate.purchase(**money))
    built = [
        (fraudgate.purchase(**money, retries=original), "PURCHASE", "SCORE", "RETRIES"),
        (fraudgate.withdrawal(**money), "WITHDRAWAL", "SCORE", None),
        (fraudgate.transfer(**money, fold=True), "TRANSFER", "FOLD", None),
        (fraudgate.payout(**money), "PAYOUT", "SCORE", None),
        (fraudgate.refund(**money, refunds=original), "REFUND", "SCORE", "REFUNDS"),
        (fraudgate.reversal(**money, reverses=original), "REVERSAL", "FOLD", "REVERSES"),
        (fraudgate.incremental(**money, increments=original), "INCREMENTAL", "SCORE", "INCREMENTS"),
        (fraudgate.clearing(**money, clears=original), "CLEARING", "FOLD", "CLEARS"),
        (fraudgate.verification(**facts), "VERIFICATION", "SCORE", None),
        (fraudgate.event("login", **facts), "EVENT", "SCORE", None),
    ]
    assert {transaction.kind for transaction, *_ in built} == set(Kind.values()) - {0}
    for transaction, kind, mode, relation in built:
        assert Kind.Name(transaction.kind) == f"KIND_{kind}"
        assert transaction_pb2.Mode.Name(transaction.mode) == f"MODE_{mode}"
        assert transaction.HasField("link") == (relation is not None)
        if relation is not None:
            assert transaction_pb2.Relation.Name(transaction.link.relation) == f"RELATION_{relation}"
            assert transaction.link.subject == original
        assert transaction.HasField("amount_minor") == (kind not in ("VERIFICATION", "EVENT"))
    assert built[-1][0].event_name == "login"


def test_a_label_repeats_what_the_scorer_needs_of_its_subject() -> None:
    paid = fraudgate.purchase(
        id="a", program="p", event_time=NOON, amount="1", currency="EUR", entities={"customer": "c"}
    )
    label = fraudgate.label(paid, "third_party_fraud", source="chargeback", withdrawn=True)
    assert label.subject == transaction_pb2.Subject(
        transaction_id="a", event_time_us=paid.event_time_us, kind=paid.kind, entities=paid.entities
    )
    assert (label.program, label.source) == ("p", feedback_pb2.LABEL_SOURCE_CHARGEBACK)
    assert getattr(label, "class") == feedback_pb2.LABEL_CLASS_THIRD_PARTY_FRAUD
    assert label.status == feedback_pb2.LABEL_STATUS_WITHDRAWN


def test_a_partial_approval_holds_its_amount_in_the_currency_asked() -> None:
    paid = fraudgate.purchase(id="a", program="p", event_time=NOON, amount="100", currency="JPY")
    outcome = fraudgate.outcome(paid, "partially_approved", decider="issuer", reason="10", approved="40")
    assert (outcome.amount_minor, outcome.currency, outcome.reason) == (40, "JPY", "10")
    assert not fraudgate.outcome(paid, "declined", decider="issuer").HasField("amount_minor")


def test_names_that_there_are_not_are_answered_with_those_that_there_are() -> None:
    paid = fraudgate.purchase(id="a", program="p", event_time=NOON, amount="1", currency="EUR")
    with pytest.raises(ValueError, match="not one of third_party_fraud, first_party_fraud"):
        fraudgate.label(paid, "fraud", source="chargeback")
    with pytest.raises(ValueError, match="not one of engine, issuer"):
        fraudgate.outcome(paid, "declined", decider="unspecified")


def test_times_are_exact_and_need_an_offset() -> None:
    assert fraudgate.microseconds(datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)) == 253_402_300_799_999_999
    with pytest.raises(ValueError, match="without an offset"):
        fraudgate.microseconds(datetime(2026, 6, 1))


def test_an_attribute_is_a_number_or_a_text() -> None:
    with pytest.raises(TypeError, match="'sca' is bool"):
        fraudgate.purchase(id="a", program="p", event_time=NOON, amount="1", currency="EUR", attributes={"sca": True})
