"""Records in bulk through the engine's door, and what leaves of the journal behind it: without a broker."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

import engine
from fraudgate.v1 import decision_pb2, feedback_pb2, operation_pb2, stream_pb2, transaction_pb2
from tests.scorer import FEATURES, Scorer, journal_settings, running_scorer, small_model
from tests.stream.records import Record, purchase, purchases

KEY = bytes(range(32))


@contextmanager
def scorer(path: Path, **changed: object) -> Iterator[Scorer]:
    journal = journal_settings(path / "journal", **changed)
    with running_scorer(path, journal_key=KEY, journal=journal, ahead_us=None) as running:
        yield running


def read(running: Scorer, name: str = "topics") -> list[tuple[str, str, bytes, list[tuple[str, bytes]]]]:
    cursor = running.server.cursor(name)
    through, leaves = cursor.read(1_000_000, 0.0)
    cursor.keep(through)
    assert cursor.behind() == 0
    return leaves


def test_the_same_transactions_in_bulk_and_by_call_give_equal_bytes_of_each_assessment(tmp_path: Path) -> None:
    with scorer(tmp_path / "bulk") as bulk:
        assert bulk.server.take("transactions", purchases(range(700))) == 700
        leaves = read(bulk)
        digest = bulk.server.digest()
        assert bulk.server.offsets() == [("payments", 0, 699)]
    assert [(said, key) for said, key, _, _ in leaves] == [("decision", f"t-{n}") for n in range(700)]
    with scorer(tmp_path / "calls") as calls:
        for number, (_, _, value, headers) in enumerate(leaves):
            answered, left = calls.score(purchase(number)), decision_pb2.Decision.FromString(value)
            assert left.assessment.SerializeToString() == answered.assessment.SerializeToString()
            assert left.receipt.sequence == answered.receipt.sequence == number + 1
            assert dict(headers) == {
                "type": b"fraudgate.v1.Decision",
                "version": b"1",
                "epoch": b"1",
                "sequence": str(number + 1).encode(),
            }
        # But for where it was read, the state is the same.
        assert calls.server.offsets() == []
        assert calls.server.digest() != digest


def test_what_the_state_contains_is_not_taken_again_also_after_a_restart(tmp_path: Path) -> None:
    with scorer(tmp_path) as first:
        first.server.take("transactions", purchases(range(100)))
        assert first.server.take("transactions", purchases(range(50, 150))) == 100
        assert first.server.stats()["transactions"] == 150
        digest = first.server.digest()
    with scorer(tmp_path) as again:
        assert again.server.offsets() == [("payments", 0, 149)]
        again.server.take("transactions", purchases(range(150)))
        assert again.server.digest() == digest
        assert len(read(again)) == 150
        assert read(again) == []


def test_a_record_that_cannot_be_taken_leaves_one_dead_letter_that_repeats_nothing_of_it(tmp_path: Path) -> None:
    secret = purchase(1)
    secret.currency = "4111111111111111"
    other = purchase(2)
    other.amount_minor += 1
    kind = [("type", b"fraudgate.v1.Label")]
    poison = [
        (b"\xff\xff4111111111111111", None, "transaction"),
        (secret.SerializeToString(), None, "currency"),
        (secret.SerializeToString()[:20], None, ""),
        (b"", None, "program"),
        (b"\x0a" * (1 << 21), None, "larger than"),
        (purchase(3).SerializeToString(), kind, "headers"),
        (purchase(3).SerializeToString(), [("version", b"2")], "headers"),
        (other.SerializeToString(), None, "known with another payload"),
    ]
    with scorer(tmp_path) as running:
        running.server.take("transactions", purchases([2]))
        records = [Record(value, 10 + at, said=said) for at, (value, said, _) in enumerate(poison)]
        assert running.server.take("transactions", records) == len(records)
        assert running.server.stats()["passed"] == len(records)
        leaves = read(running)[1:]
    with scorer(tmp_path) as again:
        assert again.server.offsets() == [("payments", 0, 17)]
        assert read(again) == []
    assert [said for said, *_ in leaves] == ["dead letter"] * len(poison)
    for at, ((value, _, reason), (_, key, sent, _)) in enumerate(zip(poison, leaves, strict=True)):
        letter = stream_pb2.DeadLetter.FromString(sent)
        assert key == f"payments/0/{10 + at}"
        assert (letter.topic, letter.partition, letter.offset) == ("payments", 0, 10 + at)
        assert letter.sha256 == hashlib.sha256(value).digest()
        assert reason in letter.reason
        assert b"4111" not in sent


def test_a_repeated_transaction_is_answered_again_with_its_first_answer(tmp_path: Path) -> None:
    with scorer(tmp_path) as running:
        first = running.score(purchase(7))
        running.server.take("transactions", [Record(purchase(7).SerializeToString(), 0)])
        ((said, key, value, _),) = read(running)
        again = decision_pb2.Decision.FromString(value)
        assert (said, key) == ("decision", "t-7")
        assert again.assessment == first.assessment
        assert again.receipt.replayed
        assert running.server.stats()["transactions"] == 1


def test_an_id_that_is_a_card_number_leaves_only_as_its_hash_or_is_refused_as_the_program_says(tmp_path: Path) -> None:
    numbered = purchase(1)
    numbered.id = "4111-1111-1111-1111"
    strict = transaction_pb2.Transaction()
    strict.CopyFrom(numbered)
    strict.program = "strict"
    with scorer(tmp_path) as running:
        records = [Record(numbered.SerializeToString(), 0), Record(strict.SerializeToString(), 1)]
        assert running.server.take("transactions", records) == 2
        (decision, letter) = read(running)
    assert decision[0] == "decision"
    assert len(decision[1]) == 32
    assert "1111" not in decision[1]
    assert stream_pb2.DeadLetter.FromString(letter[2]).reason.startswith("id: is a card number")


def test_what_another_place_answers_is_folded_and_has_no_decision(tmp_path: Path) -> None:
    with scorer(tmp_path / "mirrored") as mirrored:
        mirrored.server.take("mirrored", purchases(range(50)))
        mirrored.server.take("transactions", [Record(purchase(50).SerializeToString(), 0, on="own")])
        ((_, key, value, _),) = read(mirrored)
        assert key == "t-50"
    with scorer(tmp_path / "own") as own:
        own.server.take("transactions", purchases(range(51)))
        last = read(own)[-1][2]
    found, expected = decision_pb2.Decision.FromString(value), decision_pb2.Decision.FromString(last)
    assert found.assessment == expected.assessment


def test_an_assessment_says_that_a_mirror_was_too_far_behind_and_its_journal_says_it_again(tmp_path: Path) -> None:
    with scorer(tmp_path) as running:
        for place, behind in enumerate((False, True, True, False)):
            running.server.mirror_behind(behind)
            # Controls are obeyed in their order: what is told before this answer is done.
            running.server.stats()
            running.server.take("transactions", purchases(range(place * 10, place * 10 + 10)))
        said = [decision_pb2.Decision.FromString(value).assessment.mirror_behind for _, _, value, _ in read(running)]
    assert said == [False] * 10 + [True] * 20 + [False] * 10
    plan = FEATURES.compile()
    model = small_model(plan.digest, plan.features)
    runtime = str(engine.onnxruntime_library())
    folder = str(tmp_path / "journal")
    found = json.loads(engine.journal_replay(folder, KEY, 100_000, runtime, lambda _: (*model, None)))
    assert (found["assessments"]["same"], found["assessments"]["differing"]) == (40, 0)


def test_labels_and_outcomes_come_the_same_way(tmp_path: Path) -> None:
    subject = transaction_pb2.Subject(
        transaction_id="t-1", event_time_us=1_700_000_000_001_000, kind=transaction_pb2.KIND_PURCHASE
    )
    label = feedback_pb2.Label(
        program="shop",
        subject=subject,
        **{"class": feedback_pb2.LABEL_CLASS_THIRD_PARTY_FRAUD},
        source=feedback_pb2.LABEL_SOURCE_CHARGEBACK,
    )
    outcome = feedback_pb2.Outcome(
        program="shop", subject=subject, fate=feedback_pb2.FATE_APPROVED, decider=feedback_pb2.DECIDER_ISSUER
    )
    with scorer(tmp_path) as running:
        assert running.server.take("labels", [Record(label.SerializeToString(), 4, on="labels")]) == 1
        assert running.server.take("outcomes", [Record(outcome.SerializeToString(), 5, on="outcomes")]) == 1
        assert running.server.take("labels", [Record(b"\xff", 5, on="labels")]) == 1
        stats = running.server.stats()
        assert (stats["labels"], stats["outcomes"], stats["passed"]) == (1, 1, 1)
        assert running.server.offsets() == [("labels", 0, 5), ("outcomes", 0, 5)]
        ((said, *_),) = read(running)
        assert said == "dead letter"


def test_an_error_among_messages_is_raised_and_nothing_is_taken(tmp_path: Path) -> None:
    with scorer(tmp_path) as running:
        records = [*purchases(range(3)), Record(None, 3, wrong="the topic is gone")]
        with pytest.raises(RuntimeError, match="the topic is gone"):
            running.server.take("transactions", records)
        assert running.server.offsets() == []
        with pytest.raises(ValueError, match="kind must be"):
            running.server.take("others", [])  # type: ignore[arg-type]


def test_erasures_by_record_are_those_by_call_and_a_restart_knows_where_they_stood(tmp_path: Path) -> None:
    def erasure(customer: str) -> operation_pb2.EraseRequest:
        key = transaction_pb2.EntityKey(name="customer", value=customer)
        return operation_pb2.EraseRequest(program="shop", entity=key)

    records = [
        Record(stream_pb2.Control(erase=erasure("c-1")).SerializeToString(), 0, on="control"),
        Record(b"", 1, on="control"),
        Record(
            stream_pb2.Control(erase=erasure("c-1")).SerializeToString(), 2, on="control", said=[("type", b"other")]
        ),
        Record(stream_pb2.Control(erase=erasure("c-2")).SerializeToString(), 3, on="control"),
    ]
    with scorer(tmp_path / "record") as by_record:
        assert by_record.server.take("transactions", purchases(range(200))) == 200
        assert by_record.server.take("control", records) == 4  # type: ignore[arg-type] # they are like messages
        # What is handed over again was taken.
        assert by_record.server.take("control", records) == 4  # type: ignore[arg-type] # they are like messages
        stats = by_record.server.stats()
        assert (stats["erasures"], stats["passed"]) == (2, 2)
        letters = [
            stream_pb2.DeadLetter.FromString(value) for said, _, value, _ in read(by_record) if said != "decision"
        ]
        assert [(letter.offset, letter.reason.split(":")[0]) for letter in letters] == [(1, "change"), (2, "headers")]
        digest = by_record.server.digest()
        found = [by_record.score(purchase(number)).assessment for number in range(1_000, 1_050)]
    with scorer(tmp_path / "record") as again:
        assert ("control", 0, 3) in again.server.offsets()
        assert again.server.take("control", records) == 4  # type: ignore[arg-type] # they are like messages
        assert again.server.stats()["erasures"] == 0
        # The digest is that of before, and of what was scored since.
        assert again.server.digest() != digest
        assert all(again.score(purchase(number)).receipt.replayed for number in range(1_000, 1_050))
    with scorer(tmp_path / "call") as by_call:
        assert by_call.server.take("transactions", purchases(range(200))) == 200
        erase = by_call.channel("operator").unary_unary("/fraudgate.v1.Operation/Erase")
        for customer in ("c-1", "c-2"):
            erase(erasure(customer).SerializeToString(), timeout=10)
        assert [by_call.score(purchase(number)).assessment for number in range(1_000, 1_050)] == found
    assert any(assessment.incomplete_features for assessment in found)


def test_statistics_are_for_operators_and_hold_what_other_threads_told_last(tmp_path: Path) -> None:
    with scorer(tmp_path) as running:
        running.server.tell({"stream_lag.payments.0": 7, "stream_decisions": 1})
        running.server.tell({"stream_lag.payments.0": 0})
        ask = "/fraudgate.v1.Operation/Stats"
        told = running.channel("operator").unary_unary(ask)(b"", timeout=10)
        values = dict(operation_pb2.StatsResponse.FromString(told).values)
        assert (values["stream_lag.payments.0"], values["stream_decisions"]) == (0, 1)
        assert values.keys() == running.server.stats().keys()
        with pytest.raises(grpc.RpcError) as refused:
            running.channel("all").unary_unary(ask)(b"", timeout=10)
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
