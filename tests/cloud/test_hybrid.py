"""The cloud asked at once, while a caller waits: a real engine, the real service over mutual TLS, and clouds that are
late, away, or come back. What is said in time stands beside the edge's answer, and changes no bit of it.
"""

from __future__ import annotations

import json
from pathlib import Path

import grpc
import numpy as np
import pytest

import engine
from fraudgate.v1 import decision_pb2, rescore_pb2, scoring_pb2
from service.cloud.forwarder import Forwarder
from service.cloud.lake import Lake
from service.cloud.rescorer import Message, Rescorer
from tests.cloud.asking import BAND, HURRIED_S, PATIENT_S, asking, is_uncertain, payment, score, until
from tests.cloud.edge import KEY, POP, Shipping, Telling, pop, teacher_of_shop
from tests.scorer import FEATURES, small_model


def journaled(path: Path) -> dict[str, object]:
    """What a replay of the PoP's journal finds."""
    plan = FEATURES.compile()
    model = small_model(plan.digest, plan.features)
    runtime = str(engine.onnxruntime_library())
    replayed: dict[str, object] = json.loads(
        engine.journal_replay(str(path / "journal"), KEY, 1_000_000, runtime, lambda _: (*model, None))
    )
    return replayed


def test_what_is_uncertain_gets_the_teachers_word_to_the_bit_of_the_batch_and_the_assessment_stays_what_it_was(
    tmp_path: Path,
) -> None:
    with asking(tmp_path / "asking") as (scorer, _):
        answers = [score(scorer, number) for number in range(200)]
        asked = [answer for answer in answers if answer.HasField("rescored")]
        assert 10 < len(asked) < 190
        assert [answer for answer in answers if is_uncertain(answer)] == asked
        stats = scorer.server.stats()
        assert (stats["hybrid_asked"], stats["hybrid_answered"], stats["hybrid_breaker"]) == (len(asked), len(asked), 0)
        # Beside it, the same transactions go by the topic.
        shipped, told = Shipping(), Telling()
        Forwarder(scorer.server.forward(POP), shipped, 4096).step()
        rescorer = Rescorer({"shop": teacher_of_shop()}, told, Lake(tmp_path / "lake"))
        rescorer.begin("rescore", 0)
        rescorer.take([Message("rescore", 0, at, value) for at, value in enumerate(shipped.values)])
        rescorer.keep()
        rescorer.wait()
        assert scorer.server.take("rescored", told.records()) == len(told.values)
        # The topic's alone are counted, each once.
        assert scorer.server.stats()["rescored.shop"] == rescorer.counts.rows >= len(asked)
        assert scorer.server.stats()["rescore_reversed.shop"] == rescorer.counts.reversed > 0
        digest = scorer.server.digest()
    by_sequence = in_batch(told)
    for answer in asked:
        said = answer.rescored
        batch = by_sequence[answer.receipt.sequence]
        assert (said.fraud_probability, said.risk_score, said.policy_verdict) == batch
        assert (said.verdict, said.model_digest) == (said.policy_verdict, bytes(32))
        assert said.sequence > answer.receipt.sequence
    # The journal gives the same state and answers again, and knows what was said.
    with pop(tmp_path / "asking", rescore=BAND) as scorer:
        assert scorer.server.digest() == digest
        again = score(scorer, 0)
        assert again.receipt.replayed
        assert again.assessment == answers[0].assessment
    found = journaled(tmp_path / "asking")
    assert found["assessments"] == {**found["assessments"], "same": 200, "differing": 0}  # type: ignore[dict-item]
    # And a PoP that never asks answers the same bytes.
    never = {**BAND, "hybrid": False}
    with pop(tmp_path / "never", rescore=never) as scorer:
        for number, answer in enumerate(answers):
            other = scorer.score(payment(number))
            other.assessment.policy_digest = answer.assessment.policy_digest
            assert other.assessment.SerializeToString() == answer.assessment.SerializeToString()
            assert not other.HasField("rescored")


def in_batch(told: Telling) -> dict[int, tuple[float, ...]]:
    """What the batches said, by sequence."""
    said: dict[int, tuple[float, ...]] = {}
    for value in told.values:
        read = rescore_pb2.RescoredDecisions.FromString(value)
        columns = (
            np.frombuffer(read.sequence, "<u8").tolist(),
            np.frombuffer(read.fraud_probability, "<f8").tolist(),
            np.frombuffer(read.risk_score, "<f8").tolist(),
            list(read.rescored_verdict),
        )
        said.update(
            {
                sequence: (probability, risk, verdict)
                for sequence, probability, risk, verdict in zip(*columns, strict=True)
            }
        )
    return said


def test_a_late_cloud_costs_the_second_opinion_and_no_deadline_and_is_left_alone_until_it_answers_again(
    tmp_path: Path,
) -> None:
    with asking(tmp_path) as (scorer, cloud):
        numbers = iter(range(10_000))

        def uncertain(timeout: float) -> decision_pb2.Decision:
            # One that comes later than that is no answer: the call raises.
            answers = (score(scorer, number, timeout) for number in numbers)
            return next(answer for answer in answers if is_uncertain(answer))

        assert uncertain(PATIENT_S).HasField("rescored")
        cloud.forest.goes.clear()
        while scorer.server.stats()["hybrid_breaker"] == 0:
            assert not uncertain(HURRIED_S).HasField("rescored")
        stats = scorer.server.stats()
        assert (stats["hybrid_late"], stats["hybrid_breaker_opened"], stats["hybrid_in_flight"]) == (3, 1, 0)
        # After each pause one question tries it.
        until(scorer.server.stats, "hybrid_breaker", 1)
        assert not uncertain(HURRIED_S).HasField("rescored")
        stats = scorer.server.stats()
        assert (stats["hybrid_asked"], stats["hybrid_breaker"], stats["hybrid_breaker_opened"]) == (5, 2, 2)
        # While it is left alone nothing is asked, and nothing waits.
        assert not uncertain(HURRIED_S).HasField("rescored")
        assert scorer.server.stats()["hybrid_asked"] == 5
        cloud.forest.goes.set()
        until(scorer.server.stats, "hybrid_breaker", 1)
        assert uncertain(PATIENT_S).HasField("rescored")
        assert uncertain(PATIENT_S).HasField("rescored")
        stats = scorer.server.stats()
        assert (stats["hybrid_breaker"], stats["hybrid_answered"]) == (0, 3)


def test_without_a_cloud_all_is_answered_and_when_it_comes_and_goes_and_comes_again_it_is_asked_again(
    tmp_path: Path,
) -> None:
    with asking(tmp_path, is_there=False) as (scorer, cloud):
        answers = [score(scorer, number) for number in range(100)]
        assert not any(answer.HasField("rescored") for answer in answers)
        assert sum(map(is_uncertain, answers)) > 5
        stats = scorer.server.stats()
        # Three failures open the breaker; a slow machine has it try again, and one more opens it again.
        assert stats["hybrid_breaker_opened"] >= 1
        assert (stats["hybrid_failed"] - stats["hybrid_breaker_opened"], stats["hybrid_late"]) == (2, 0)
        first = 100
        for _ in range(2):
            cloud.start()
            until(scorer.server.stats, "hybrid_breaker", 1)
            answers = [score(scorer, number) for number in range(first, first + 50)]
            assert [answer.HasField("rescored") for answer in answers] == list(map(is_uncertain, answers))
            cloud.stop()
            first += 50
            answers = [score(scorer, number) for number in range(first, first + 50)]
            assert not any(answer.HasField("rescored") for answer in answers)
            assert scorer.server.stats()["hybrid_breaker"] > 0
            first += 50


def test_who_leaves_no_room_and_who_asks_for_many_at_once_is_answered_by_the_edge_alone(tmp_path: Path) -> None:
    with asking(tmp_path, spare_ms=10_000) as (scorer, _):
        answers = [score(scorer, number) for number in range(60)]
        hurried = sum(map(is_uncertain, answers))
        stats = scorer.server.stats()
        assert (stats["hybrid_asked"], stats["hybrid_hurried"]) == (0, hurried)
        assert hurried > 3
        # Without a deadline there is room.
        assert score(scorer, 0).receipt.replayed
        answers = [score(scorer, number, timeout=None) for number in range(60, 120)]
        assert [answer.HasField("rescored") for answer in answers] == list(map(is_uncertain, answers))
        asked = scorer.server.stats()["hybrid_asked"]
        batch = scoring_pb2.ScoreBatchRequest(transactions=[payment(number) for number in range(120, 220)])
        together = scorer.channel().unary_unary("/fraudgate.v1.Scoring/ScoreBatch")(batch.SerializeToString())
        results = scoring_pb2.ScoreBatchResponse.FromString(together).results
        assert any(is_uncertain(result.decision) for result in results)
        assert not any(result.decision.HasField("rescored") for result in results)
        assert scorer.server.stats()["hybrid_asked"] == asked


def test_callers_that_wait_together_are_each_told_of_their_own_transaction(tmp_path: Path) -> None:
    with asking(tmp_path) as (scorer, _):
        call = scorer.channel().unary_unary("/fraudgate.v1.Scoring/Score")
        calls = [call.future(payment(number).SerializeToString(), timeout=20) for number in range(300)]
        answers = [decision_pb2.Decision.FromString(each.result()) for each in calls]
        teacher = teacher_of_shop()
        shipped = Shipping()
        Forwarder(scorer.server.forward(POP), shipped, 4096).step()
        expected = {}
        for request in shipped.requests:
            rows = np.frombuffer(request.rows, "<f4").reshape(-1, request.features)
            for sequence, risk in zip(np.frombuffer(request.sequence, "<u8"), teacher.score(rows)[1], strict=True):
                expected[int(sequence)] = float(risk)
        told = [answer for answer in answers if answer.HasField("rescored")]
        # More than 64 may want to ask at once: who finds no room is answered by the edge alone.
        assert len(told) > 20
        assert all(answer.rescored.risk_score == expected[answer.receipt.sequence] for answer in told)


def test_the_cloud_answers_nobody_that_it_does_not_know_and_nothing_that_it_cannot_score(tmp_path: Path) -> None:
    with asking(tmp_path, allow=("dns:scoring.example",)) as (scorer, cloud):
        answers = [score(scorer, number) for number in range(60)]
        assert not any(answer.HasField("rescored") for answer in answers)
        assert scorer.server.stats()["hybrid_failed"] == 3
        shipped = Shipping()
        Forwarder(scorer.server.forward(POP), shipped, 4096).step()
        good = shipped.requests[0]

        def refused(identity: str, request: bytes) -> grpc.StatusCode:
            leaf = cloud.folder.client(f"{identity}.example")
            credentials = grpc.ssl_channel_credentials(
                cloud.folder.ca.certificate.read_bytes(), leaf.key.read_bytes(), leaf.certificate.read_bytes()
            )
            with grpc.secure_channel(f"localhost:{cloud.port}", credentials) as channel:
                try:
                    channel.unary_unary("/fraudgate.v1.Rescoring/Rescore")(request, timeout=10)
                except grpc.RpcError as error:
                    code: grpc.StatusCode = error.code()  # type: ignore[attr-defined]
                    return code
            return grpc.StatusCode.OK

        whole = good.SerializeToString()
        assert refused("scoring", whole) == grpc.StatusCode.OK
        assert refused("all", whole) == grpc.StatusCode.PERMISSION_DENIED
        for field_, value in (("program", "other"), ("plan_digest", bytes(32)), ("epoch", b"1"), ("sequence", b"")):
            wrong = rescore_pb2.RescoreRequest.FromString(whole)
            setattr(wrong, field_, value)
            assert refused("scoring", wrong.SerializeToString()) == grpc.StatusCode.INVALID_ARGUMENT, field_
        assert refused("scoring", b"\xff" * 40) == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(("member", "value"), [("within_ms", 0), ("address", "nowhere"), ("failures", 0), ("zzz", 1)])
def test_settings_that_cannot_be_are_refused_by_name(tmp_path: Path, member: str, value: object) -> None:
    with pytest.raises(ValueError, match=member), asking(tmp_path, **{member: value}):
        pass
