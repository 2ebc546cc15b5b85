"""The degradation ladder through the real door: what moves a transaction down, what it is answered, how it climbs."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from pathlib import Path

import grpc
import numpy as np
import onnx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from onnx import TensorProto, helper, numpy_helper

from fraudgate.v1 import decision_pb2, scoring_pb2, transaction_pb2
from tests.scorer import FEATURES, Program, Scorer, new_purchase, running_scorer, small_model
from tests.server.test_journal import KEY, settings

PLAN = FEATURES.compile()
FULL = decision_pb2.TIER_FULL, decision_pb2.CAUSE_UNSPECIFIED
APPROVE, CHALLENGE, DECLINE = (
    decision_pb2.VERDICT_APPROVE,
    decision_pb2.VERDICT_CHALLENGE,
    decision_pb2.VERDICT_DECLINE,
)
DECLARED = {
    "verdict": "decline",
    "cap_minor": 10_000,
    "window_us": 3_600_000_000,
    "beyond_cap": "challenge",
    "segments": [
        {"verdict": "challenge", "channel": ["ecommerce", "moto"]},
        {"verdict": "approve", "kinds": ["purchase"], "below_minor": 5_000, "mcc": ["5411"]},
    ],
}


def rung(assessment: decision_pb2.Assessment) -> tuple[int, int]:
    return assessment.tier, assessment.cause


def two_students(full: bytes) -> tuple[tuple[bytes, bytes], bytes]:
    """A manifest of `full` and of the small forest as its reduced student, and the ONNX of both."""
    told, reduced = small_model(PLAN.digest, PLAN.features)
    members = json.loads(told)
    tables = {name: members[name] for name in ("probability", "risk")}
    members["onnx_sha256"] = hashlib.sha256(full).hexdigest()
    members["reduced"] = {"onnx_sha256": hashlib.sha256(reduced).hexdigest(), **tables}
    return (json.dumps(members, sort_keys=True).encode(), full), reduced


def failing_above(limit: int) -> bytes:
    """ONNX that looks the whole amount up in a table of `limit` zeros, so that a run with a larger one fails."""
    column = numpy_helper.from_array(np.array([PLAN.features.index("amount")], np.int64), "column")
    table = numpy_helper.from_array(np.zeros(limit, np.float32), "table")
    nodes = [
        helper.make_node("Gather", ["features", "column"], ["amount"], axis=1),
        helper.make_node("Cast", ["amount"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "whole"], ["log_odds"], axis=0),
    ]
    graph = helper.make_graph(
        nodes,
        "looks_up",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", len(PLAN.features)])],
        [helper.make_tensor_value_info("log_odds", TensorProto.FLOAT, ["n", 1])],
        [column, table],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 15)])
    onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString()
    return serialized


def batch(scorer: Scorer, transactions: list[transaction_pb2.Transaction]) -> list[scoring_pb2.ScoreResult]:
    call = scorer.channel().unary_unary(
        "/fraudgate.v1.Scoring/ScoreBatch", response_deserializer=scoring_pb2.ScoreBatchResponse.FromString
    )
    request = scoring_pb2.ScoreBatchRequest(transactions=transactions)
    return list(call(request.SerializeToString(), timeout=30).results)


def test_a_deadline_that_the_queue_cannot_meet_in_full_is_answered_on_a_lower_rung_and_folded(tmp_path: Path) -> None:
    model, reduced = two_students(small_model(PLAN.digest, PLAN.features)[1])
    programs = [Program("shop", {"default": DECLARED}, model, reduced)]
    size = 8_192
    with running_scorer(tmp_path, programs=programs, batch=size, queue=size, message_bytes=1 << 24) as scorer:
        answered: Counter[tuple[int, int]] = Counter()
        lowered = 0
        # What a batch takes depends on the machine: longer deadlines after one that had passed, and shorter ones after
        # one that all met, until one lies between the first and the last.
        allowed_us = 1_000.0
        for attempt in range(400):
            transactions = [new_purchase(f"{attempt}-{i}", 100) for i in range(size)]
            by_us = time.time_ns() // 1_000 + round(allowed_us)
            for transaction in transactions:
                transaction.decide_by_us = by_us
            results = batch(scorer, transactions)
            for result in results:
                if result.WhichOneof("result") == "status":
                    # The deadline had passed when it came.
                    assert "deadline" in result.status.message
                else:
                    assert result.decision.receipt.sequence > 0
                    answered[rung(result.decision.assessment)] += 1
            lowered = sum(count for (tier, _), count in answered.items() if tier != decision_pb2.TIER_FULL)
            if lowered:
                break
            passed = any(result.WhichOneof("result") == "status" for result in results)
            allowed_us *= 1.15 if passed else 0.93
        assert lowered > 0
        by_deadline = {(tier, decision_pb2.CAUSE_DEADLINE) for tier in (2, 4)}
        assert set(answered) <= {FULL} | by_deadline
        # The cause has passed: the ladder is climbed again by itself.
        assert rung(scorer.score(new_purchase("afterwards", 100)).assessment) == FULL
        stats = scorer.server.stats()
        assert stats["transactions"] == answered.total() + 1
        assert stats["answered_full"] == answered[FULL] + 1
        for name, tier in (("reduced", decision_pb2.TIER_REDUCED), ("default", decision_pb2.TIER_DEFAULT)):
            assert stats[f"answered_{name}_deadline"] == answered[tier, decision_pb2.CAUSE_DEADLINE]


def test_a_model_that_fails_is_stood_in_for_by_the_reduced_one_until_it_runs_again(tmp_path: Path) -> None:
    model, reduced = two_students(failing_above(1_000))
    with running_scorer(tmp_path, programs=[Program("shop", {"default": DECLARED}, model, reduced)]) as scorer:
        assert rung(scorer.score(new_purchase("before", 500)).assessment) == FULL
        failed = scorer.score(new_purchase("fails", 100_000_00)).assessment
        assert rung(failed) == (decision_pb2.TIER_REDUCED, decision_pb2.CAUSE_MODEL)
        assert failed.HasField("risk_score")
        assert len(failed.model_digest) == 32
        ends = time.monotonic() + 60
        tiers = []
        while time.monotonic() < ends and decision_pb2.TIER_FULL not in tiers:
            tiers.append(scorer.score(new_purchase(f"after-{len(tiers)}", 500)).assessment.tier)
            time.sleep(0.02)
        assert tiers[0] == decision_pb2.TIER_REDUCED
        assert tiers[-1] == decision_pb2.TIER_FULL
        assert scorer.server.stats()["model_failures"] == 1


def test_without_a_model_the_declared_default_answers_by_segment_and_within_its_cap(tmp_path: Path) -> None:
    def of(number: int, amount_minor: int, **texts: str) -> transaction_pb2.Transaction:
        transaction = new_purchase(f"t-{number}", amount_minor)
        transaction.attributes.extend(transaction_pb2.Attribute(name=n, text=text) for n, text in texts.items())
        return transaction

    with running_scorer(tmp_path, programs=[Program("shop", {"default": DECLARED}, None)]) as scorer:
        for number, (amount_minor, texts, verdict) in enumerate(
            [
                (100, {}, DECLINE),
                (100, {"channel": "moto", "mcc": "5411"}, CHALLENGE),
                (4_999, {"channel": "pos", "mcc": "5411"}, APPROVE),
                (5_000, {"channel": "pos", "mcc": "5411"}, DECLINE),
                (4_999, {"mcc": "5411"}, APPROVE),
                (3, {"mcc": "5411"}, CHALLENGE),
                (2, {"mcc": "5411"}, APPROVE),
            ]
        ):
            decision = scorer.score(of(number, amount_minor, **texts))
            assert rung(decision.assessment) == (decision_pb2.TIER_DEFAULT, decision_pb2.CAUSE_MODEL)
            assert decision.assessment.verdict == verdict, number
            assert not decision.assessment.HasField("fraud_probability")
            assert decision.receipt.sequence == number + 1
        stats = scorer.server.stats()
        assert stats["blind_approved_minor.shop"] == stats["blind_exposed_minor.shop"] == 10_000


def test_a_required_feature_that_is_not_available_leaves_the_default(tmp_path: Path) -> None:
    model, reduced = two_students(small_model(PLAN.digest, PLAN.features)[1])
    policy: dict[str, object] = {"required_features": ["age"], "default": DECLARED}
    with running_scorer(tmp_path, programs=[Program("shop", policy, model, reduced)]) as scorer:
        without, given = new_purchase("without", 100), new_purchase("given", 100)
        given.attributes.append(transaction_pb2.Attribute(name="age", number=40.0))
        assert rung(scorer.score(without).assessment) == (decision_pb2.TIER_DEFAULT, decision_pb2.CAUSE_FEATURE)
        assert rung(scorer.score(given).assessment) == FULL


def test_tier_cause_and_what_was_approved_blind_are_there_again_after_a_restart(tmp_path: Path) -> None:
    model, reduced = two_students(failing_above(1_000))
    programs = [Program("shop", {"default": DECLARED}, model, reduced), Program("bare", {"default": DECLARED}, None)]
    sent = []
    for number in range(40):
        transaction = new_purchase(f"t-{number}", 50 if number != 5 else 100_000_00)
        transaction.program = ("shop", "bare")[number % 2]
        transaction.attributes.append(transaction_pb2.Attribute(name="mcc", text="5411"))
        sent.append(transaction)
    journal = {"journal": settings(tmp_path / "journal"), "journal_key": KEY}
    with running_scorer(tmp_path, programs=programs, **journal) as scorer:
        first = [scorer.score(transaction) for transaction in sent]
        digest = scorer.server.digest()
        exposed = scorer.server.stats()["blind_exposed_minor.bare"]
    assert exposed > 0
    with running_scorer(tmp_path, programs=programs, **journal) as again:
        assert again.server.digest() == digest
        assert again.server.stats()["blind_exposed_minor.bare"] == exposed
        for transaction, decision in zip(sent, first, strict=True):
            repeated = again.score(transaction)
            assert repeated.receipt.replayed
            assert repeated.assessment == decision.assessment


def test_a_default_that_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    for policy, told in (
        ({"default": {"verdict": "approve"}}, "without a cap"),
        ({"required_features": ["colour"]}, "names what is no feature"),
    ):
        scorer = running_scorer(tmp_path, programs=[Program("shop", policy, None)])
        with pytest.raises(ValueError, match=told), scorer:
            pass


def test_while_state_is_recovered_the_declared_default_answers_and_nothing_is_taken(tmp_path: Path) -> None:
    model, reduced = two_students(small_model(PLAN.digest, PLAN.features)[1])
    programs = [Program("shop", {"default": DECLARED}, model, reduced)]
    journal = {"journal": settings(tmp_path / "journal"), "journal_key": KEY}
    with running_scorer(tmp_path, programs=programs, **journal) as scorer:
        first = [scorer.score(new_purchase(f"t-{number}", 100)) for number in range(5)]
        digest = scorer.server.digest()

    def health(scorer: Scorer) -> health_pb2_grpc.HealthStub:
        return health_pb2_grpc.HealthStub(scorer.channel("nothing"))

    watches = []

    def standing_in(scorer: Scorer) -> None:
        watch = health(scorer).Watch(health_pb2.HealthCheckRequest(), timeout=30)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watches.append(watch)
        assert health(scorer).Check(health_pb2.HealthCheckRequest(), timeout=10).status == 2
        for verdict in (APPROVE, APPROVE, CHALLENGE):
            transaction = new_purchase("meanwhile", 4_000)
            transaction.attributes.append(transaction_pb2.Attribute(name="mcc", text="5411"))
            decision = scorer.score(transaction)
            assert rung(decision.assessment) == (decision_pb2.TIER_DEFAULT, decision_pb2.CAUSE_RECOVERING)
            assert decision.assessment.verdict == verdict
            assert decision.receipt.sequence == 0
            assert decision.receipt.durability == decision_pb2.DURABILITY_NOT_TAKEN
        folded = new_purchase("folded", 100)
        folded.mode = transaction_pb2.MODE_FOLD
        with pytest.raises(grpc.RpcError) as raised:
            scorer.score(folded)
        assert raised.value.code() == grpc.StatusCode.UNAVAILABLE

    with running_scorer(tmp_path, programs=programs, standing_in=standing_in, **journal) as scorer:
        # The connection stands, and its caller is told.
        assert next(watches[0]).status == health_pb2.HealthCheckResponse.SERVING
        watches[0].cancel()
        assert scorer.server.digest() == digest
        assert [scorer.score(new_purchase(f"u-{number}", 100)).receipt.sequence for number in range(3)] == [6, 7, 8]
        afterwards = scorer.score(new_purchase("meanwhile", 4_000))
        assert rung(afterwards.assessment) == FULL
        assert afterwards.receipt.durability == decision_pb2.DURABILITY_WRITTEN
        assert afterwards.receipt.epoch > first[0].receipt.epoch
        stats = scorer.server.stats()
        assert stats["answered_default_recovering"] == stats["unfolded"] == 3
        assert stats["blind_approved_minor.shop"] == 8_000
        assert stats["blind_exposed_minor.shop"] == 0
