"""Bad input gets a clear error in the field's terms, at the door, and changes no state."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc import StatusCode

from fraudgate.v1 import decision_pb2, feedback_pb2, scoring_pb2, status_pb2, transaction_pb2
from tests.contract.bad_input import BAD_BYTES, BAD_TRANSACTIONS, CARD_NUMBER, Bad, BadBytes
from tests.scorer import Scorer, new_purchase, running_scorer

SCORE = "/fraudgate.v1.Scoring/Score"
SCORE_BATCH = "/fraudgate.v1.Scoring/ScoreBatch"
SCORE_STREAM = "/fraudgate.v1.Scoring/ScoreStream"
LABEL = "/fraudgate.v1.Feedback/Label"
REPORT = "/fraudgate.v1.Feedback/Report"


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scorer]:
    with running_scorer(tmp_path_factory.mktemp("scorer"), message_bytes=65_536, batch=16) as scorer:
        yield scorer


def good(number: int = 0) -> transaction_pb2.Transaction:
    """A transaction that is taken; the same number always gives the same one but for its time."""
    return new_purchase(f"good-{number}", 5_716)


def bad(case: Bad) -> transaction_pb2.Transaction:
    transaction = good()
    transaction.id = f"bad {case.name}"[:100]
    case.change(transaction)
    return transaction


def refusal(scorer: Scorer, method: str, request: bytes, identity: str = "all") -> tuple[StatusCode, status_pb2.Status]:
    """The refusal of a unary call, with its details. Fails where the call is taken."""
    call = scorer.channel(identity).unary_unary(method)
    with pytest.raises(grpc.RpcError) as raised:
        call(request, timeout=10)
    error = raised.value
    details = dict(error.trailing_metadata()).get("grpc-status-details-bin", b"")
    status = status_pb2.Status.FromString(details)
    assert status.code == error.code().value[0]
    assert status.message == error.details()
    assert CARD_NUMBER.encode() not in status.SerializeToString()
    return error.code(), status


def stream(scorer: Scorer, requests: list[scoring_pb2.ScoreStreamRequest]) -> list[scoring_pb2.ScoreStreamResponse]:
    """What one stream answers."""
    call = scorer.channel().stream_stream(
        SCORE_STREAM,
        request_serializer=scoring_pb2.ScoreStreamRequest.SerializeToString,
        response_deserializer=scoring_pb2.ScoreStreamResponse.FromString,
    )
    return list(call(iter(requests), timeout=20))


def violation(status: status_pb2.Status) -> str:
    """The field that a BadRequest names."""
    (detail,) = status.details
    assert detail.type_url == "type.googleapis.com/google.rpc.BadRequest"
    request = error_details_pb2.BadRequest.FromString(detail.value)
    (only,) = request.field_violations
    assert only.description
    return only.field


def reason(status: status_pb2.Status) -> str:
    """The reason that an ErrorInfo gives."""
    (detail,) = status.details
    assert detail.type_url == "type.googleapis.com/google.rpc.ErrorInfo"
    info = error_details_pb2.ErrorInfo.FromString(detail.value)
    assert info.domain == "fraudgate"
    return info.reason


@pytest.mark.parametrize("case", BAD_TRANSACTIONS, ids=lambda case: case.name)
def test_a_bad_transaction_is_refused_by_the_name_of_its_field(scorer: Scorer, case: Bad) -> None:
    code, status = refusal(scorer, SCORE, bad(case).SerializeToString())
    assert (code, violation(status)) == (case.code, case.field)


@pytest.mark.parametrize("case", BAD_BYTES, ids=lambda case: case.name)
def test_malformed_bytes_are_refused_by_the_name_of_the_field_where_they_end(scorer: Scorer, case: BadBytes) -> None:
    code, status = refusal(scorer, SCORE, case.change(good().SerializeToString()))
    assert (code, violation(status)) == (StatusCode.INVALID_ARGUMENT, case.field)


def test_a_bad_item_of_a_batch_is_refused_alone(scorer: Scorer) -> None:
    items = [good(100), *(bad(case) for case in BAD_TRANSACTIONS[:10]), good(101)]
    call = scorer.channel().unary_unary(SCORE_BATCH, response_deserializer=scoring_pb2.ScoreBatchResponse.FromString)
    response = call(scoring_pb2.ScoreBatchRequest(transactions=items).SerializeToString(), timeout=10)
    kinds = [result.WhichOneof("result") for result in response.results]
    assert kinds == ["decision", *["status"] * 10, "decision"]
    for place, case in enumerate(BAD_TRANSACTIONS[:10], start=1):
        assert violation(response.results[place].status) == f"transactions[{place}].{case.field}"


def test_a_bad_item_of_a_stream_is_refused_alone_and_in_its_place(scorer: Scorer) -> None:
    items = [good(200), *(bad(case) for case in BAD_TRANSACTIONS), good(201)]
    requests = [scoring_pb2.ScoreStreamRequest(ordinal=7 * i, transaction=item) for i, item in enumerate(items)]
    responses = stream(scorer, requests)
    assert [response.ordinal for response in responses] == [7 * i for i in range(len(items))]
    for case, response in zip(BAD_TRANSACTIONS, responses[1:-1], strict=True):
        assert response.status.code == case.code.value[0]
        assert violation(response.status) == f"transaction.{case.field}"
    assert {responses[0].WhichOneof("result"), responses[-1].WhichOneof("result")} == {"decision"}


def test_a_stream_item_without_a_transaction_is_refused(scorer: Scorer) -> None:
    (response,) = stream(scorer, [scoring_pb2.ScoreStreamRequest(ordinal=3)])
    assert (response.ordinal, violation(response.status)) == (3, "transaction")


@pytest.mark.parametrize("method", [SCORE_BATCH, LABEL, REPORT])
def test_an_empty_batch_is_refused(scorer: Scorer, method: str) -> None:
    field = {SCORE_BATCH: "transactions", LABEL: "labels", REPORT: "outcomes"}[method]
    code, status = refusal(scorer, method, b"")
    assert (code, violation(status)) == (StatusCode.INVALID_ARGUMENT, field)


def test_a_batch_over_its_cap_is_refused(scorer: Scorer) -> None:
    request = scoring_pb2.ScoreBatchRequest(transactions=[good(300 + i) for i in range(17)])
    code, status = refusal(scorer, SCORE_BATCH, request.SerializeToString())
    assert (code, violation(status)) == (StatusCode.INVALID_ARGUMENT, "transactions")


def test_a_message_over_its_cap_is_refused(scorer: Scorer) -> None:
    transaction = good(400)
    transaction.attributes.add(name="note", text="x" * 70_000)
    code, status = refusal(scorer, SCORE, transaction.SerializeToString())
    assert (code, reason(status)) == (StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE")


def test_the_same_id_with_another_payload_is_refused(scorer: Scorer) -> None:
    transaction = good(500)
    scorer.score(transaction)
    transaction.amount_minor += 1
    code, status = refusal(scorer, SCORE, transaction.SerializeToString())
    assert (code, reason(status)) == (StatusCode.ALREADY_EXISTS, "ID_REUSED")


def test_a_deadline_that_cannot_be_met_is_refused_without_a_fold(scorer: Scorer) -> None:
    transaction = good(600)
    transaction.decide_by_us = transaction.event_time_us - 1_000_000
    before = scorer.server.stats()["transactions"]
    code, status = refusal(scorer, SCORE, transaction.SerializeToString())
    assert code == StatusCode.RESOURCE_EXHAUSTED
    (detail,) = status.details
    assert detail.type_url == "type.googleapis.com/google.rpc.RetryInfo"
    retry = error_details_pb2.RetryInfo.FromString(detail.value).retry_delay
    assert retry.seconds * 1_000_000_000 + retry.nanos >= 0
    assert scorer.server.stats()["transactions"] == before
    transaction.decide_by_us = 0
    assert not scorer.score(transaction).receipt.replayed


@pytest.mark.parametrize(
    ("identity", "method"), [("scoring", LABEL), ("scoring", REPORT), ("feedback", SCORE), ("nothing", SCORE)]
)
def test_an_identity_that_is_not_allowed_is_refused(scorer: Scorer, identity: str, method: str) -> None:
    code, status = refusal(scorer, method, good().SerializeToString() if method == SCORE else b"", identity)
    assert (code, reason(status)) == (StatusCode.PERMISSION_DENIED, "IDENTITY_NOT_ALLOWED")


def test_a_program_without_a_model_is_unavailable_for_scores_and_takes_folds(scorer: Scorer) -> None:
    transaction = good(700)
    transaction.program = "unmodelled"
    code, status = refusal(scorer, SCORE, transaction.SerializeToString())
    assert (code, reason(status)) == (StatusCode.UNAVAILABLE, "NO_MODEL")
    transaction.mode = transaction_pb2.MODE_FOLD
    decision = scorer.score(transaction)
    assert not decision.HasField("assessment")
    assert decision.receipt.sequence > 0


WRITTEN = [CARD_NUMBER, "4111 1111 1111 1111", "pan:4111-1111-1111-1111;", "４１１１１１１１１１１１１１１１"]


@pytest.mark.parametrize("written", WRITTEN)
def test_a_card_number_in_a_text_is_dropped_and_flagged_and_the_rest_is_scored(scorer: Scorer, written: str) -> None:
    transaction = good(800)
    transaction.id = f"text {len(written)} {hash(written)}"
    transaction.attributes.add(name="note", text=written)
    transaction.attributes.add(name="memo", text="ordinary")
    assessment = scorer.score(transaction).assessment
    assert list(assessment.dropped_attributes) == ["note"]
    assert assessment.tier == decision_pb2.TIER_FULL


def test_a_card_number_as_a_key_is_hashed_or_refused_as_the_program_says(scorer: Scorer) -> None:
    transaction = good(900)
    transaction.entities[0].value = CARD_NUMBER
    assert scorer.score(transaction).assessment.tier == decision_pb2.TIER_FULL
    transaction.program = "strict"
    code, status = refusal(scorer, SCORE, transaction.SerializeToString())
    assert (code, violation(status)) == (StatusCode.INVALID_ARGUMENT, "entities[0].value")


def _feedback(transaction: transaction_pb2.Transaction) -> transaction_pb2.Subject:
    return transaction_pb2.Subject(
        transaction_id=transaction.id,
        event_time_us=transaction.event_time_us,
        kind=transaction.kind,
        entities=transaction.entities,
    )


BAD_LABELS = [
    ("no program", lambda label: label.ClearField("program"), "program"),
    ("no subject", lambda label: label.ClearField("subject"), "subject"),
    ("subject without an id", lambda label: label.subject.ClearField("transaction_id"), "subject.transaction_id"),
    ("subject without a kind", lambda label: label.subject.ClearField("kind"), "subject.kind"),
    (
        "undeclared entity",
        lambda label: label.subject.entities.add(name=CARD_NUMBER, value="1"),
        "subject.entities[2].name",
    ),
    ("no class", lambda label: label.ClearField("class"), "class"),
    ("no source", lambda label: label.ClearField("source"), "source"),
    ("unknown status", lambda label: setattr(label, "status", 9), "status"),
]


@pytest.mark.parametrize(("name", "change", "field"), BAD_LABELS, ids=[name for name, _, _ in BAD_LABELS])
def test_a_bad_label_is_refused_by_the_name_of_its_field(scorer: Scorer, name: str, change, field: str) -> None:
    label = feedback_pb2.Label(program="shop", subject=_feedback(good()), source=feedback_pb2.LABEL_SOURCE_CHARGEBACK)
    setattr(label, "class", feedback_pb2.LABEL_CLASS_THIRD_PARTY_FRAUD)
    change(label)
    call = scorer.channel().unary_unary(LABEL, response_deserializer=scoring_pb2.LabelResponse.FromString)
    (result,) = call(scoring_pb2.LabelRequest(labels=[label]).SerializeToString(), timeout=10).results
    assert violation(result.status) == f"labels[0].{field}"


BAD_OUTCOMES = [
    ("no fate", lambda outcome: outcome.ClearField("fate"), "fate"),
    ("no decider", lambda outcome: outcome.ClearField("decider"), "decider"),
    (
        "partial without an amount",
        lambda outcome: setattr(outcome, "fate", feedback_pb2.FATE_PARTIALLY_APPROVED),
        "amount_minor",
    ),
    ("amount of a full approval", lambda outcome: setattr(outcome, "amount_minor", 1), "amount_minor"),
    ("currency alone", lambda outcome: setattr(outcome, "currency", "EUR"), "currency"),
    ("reason over its cap", lambda outcome: setattr(outcome, "reason", "x" * 65), "reason"),
]


@pytest.mark.parametrize(("name", "change", "field"), BAD_OUTCOMES, ids=[name for name, _, _ in BAD_OUTCOMES])
def test_a_bad_outcome_is_refused_by_the_name_of_its_field(scorer: Scorer, name: str, change, field: str) -> None:
    outcome = feedback_pb2.Outcome(
        program="shop",
        subject=_feedback(good()),
        fate=feedback_pb2.FATE_APPROVED,
        decider=feedback_pb2.DECIDER_ISSUER,
    )
    change(outcome)
    call = scorer.channel().unary_unary(REPORT, response_deserializer=scoring_pb2.ReportResponse.FromString)
    (result,) = call(scoring_pb2.ReportRequest(outcomes=[outcome]).SerializeToString(), timeout=10).results
    assert violation(result.status) == f"outcomes[0].{field}"


def test_after_the_whole_table_a_good_transaction_gets_the_assessment_it_would_have_got(tmp_path) -> None:
    first, second = good(1), good(2)
    second.event_time_us += 1_000_000
    with running_scorer(tmp_path / "undisturbed") as undisturbed:
        undisturbed.score(first)
        expected = undisturbed.score(second)
    with running_scorer(tmp_path / "disturbed") as disturbed:
        disturbed.score(first)
        for case in BAD_TRANSACTIONS:
            refusal(disturbed, SCORE, bad(case).SerializeToString())
        for malformed in BAD_BYTES:
            refusal(disturbed, SCORE, malformed.change(good().SerializeToString()))
        reused = good(1)
        reused.amount_minor = 1
        refusal(disturbed, SCORE, reused.SerializeToString())
        found = disturbed.score(second)
    assert found.assessment == expected.assessment
    assert found.receipt.sequence == expected.receipt.sequence == 2
