"""To the cloud and back without a broker: a real engine, its journal, forwarder, teacher, and the road again."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
import pytest

from fraudgate.v1 import decision_pb2, operation_pb2, rescore_pb2, stream_pb2, transaction_pb2
from service.cloud.forwarder import Forwarder
from service.cloud.lake import Lake
from service.cloud.rescorer import Message, Rescorer
from tests.cloud.edge import POP, Shipping, Telling, payment, pop, teacher_of_shop
from tests.scorer import Scorer
from tests.stream.records import Record, purchase, purchases

Decisions = dict[int, decision_pb2.Decision]


def score(scorer: Scorer, numbers: range) -> Decisions:
    return {number: scorer.score(payment(number)) for number in numbers}


def ship(scorer: Scorer, topic: Shipping) -> Forwarder:
    """Ships all there is; the forwarder, to go on with."""
    forwarder = Forwarder(scorer.server.forward(POP), topic, 4096)
    forwarder.step()
    return forwarder


def cloud(path: Path, shipped: Shipping, told: Telling) -> Rescorer:
    """Scores all that was shipped."""
    rescorer = Rescorer({"shop": teacher_of_shop()}, told, Lake(path / "lake"))
    rescorer.begin("rescore", 0)
    rescorer.take([Message("rescore", 0, i, value) for i, value in enumerate(shipped.values)])
    rescorer.keep()
    rescorer.wait()
    return rescorer


def test_what_was_promised_is_shipped_scored_by_the_teacher_and_taken_in_once(tmp_path: Path) -> None:
    shipped, told = Shipping(), Telling()
    with pop(tmp_path) as scorer:
        answered = score(scorer, range(500))
        assert all(decision.receipt.rescore_queued for decision in answered.values())
        forwarder = ship(scorer, shipped)
        assert shipped.sequences() == [answered[n].receipt.sequence for n in range(500)]
        stats = scorer.server.stats()
        assert (stats["rescore_shipped"], stats["rescore_spool"]) == (500, 0)
        rescorer = cloud(tmp_path, shipped, told)

        assert scorer.server.take("rescored", told.records()) == len(told.values)
        stats = scorer.server.stats()
        declined = np.concatenate([np.frombuffer(d, "u1") for d in rescored_verdicts(told)]) == 4
        reversed_ = [
            n
            for n, decision in answered.items()
            if decision.assessment.policy_verdict == decision_pb2.VERDICT_APPROVE and declined[n]
        ]
        assert 50 < len(reversed_) < 450
        assert stats["rescored.shop"] == 500
        assert stats["rescore_reversed.shop"] == rescorer.counts.reversed == len(reversed_)
        assert (
            stats["rescore_reversed_minor.shop"]
            == rescorer.counts.reversed_minor
            == sum(payment(n).amount_minor for n in reversed_)
        )
        # The reversals leave for a topic of their own, and what came back is not shipped again.
        forwarder.step()
        assert [reversal.amount_minor for reversal in shipped.reversals] == [payment(n).amount_minor for n in reversed_]
        assert len(shipped.sequences()) == 500
        digest = scorer.server.digest()
        scorer.server.take("rescored", told.records())
        assert scorer.server.digest() == digest
    # And so it is after a restart: the journal knows it.
    with pop(tmp_path) as scorer:
        assert scorer.server.digest() == digest
        scorer.server.take("rescored", told.records())
        assert scorer.server.digest() == digest
        again = Shipping()
        ship(scorer, again)
        assert again.values == []


def rescored_verdicts(told: Telling) -> list[bytes]:
    return [rescore_pb2.RescoredDecisions.FromString(value).rescored_verdict for value in told.values]


def test_nothing_that_was_sent_leaves_the_pop(tmp_path: Path) -> None:
    """Every value that a client sent is looked for in every byte that leaves."""
    draw = random.Random(3)
    sent: set[bytes] = set()
    shipped = Shipping()
    with pop(tmp_path) as scorer:
        for number in range(60):
            transaction = purchase(number)
            transaction.id = f"id-{draw.randrange(10**12)}"
            del transaction.entities[:]
            for name in ("customer", "terminal", "device"):
                value = f"{draw.choice('456')}{draw.randrange(10**14, 10**15)}"
                transaction.entities.add(name=name, value=value)
            for name in ("note", "memo", "mcc", "channel"):
                transaction.attributes.add(name=name, text=f"{name} of {draw.randrange(10**9)}")
            sent.add(transaction.id.encode())
            sent.update(key.value.encode() for key in transaction.entities)
            sent.update(attribute.text.encode() for attribute in transaction.attributes)
            scorer.score(transaction)
        ship(scorer, shipped)
    assert len(shipped.sequences()) == 60
    leaves = b"".join(shipped.values)
    assert not [value for value in sent if value in leaves]
    # The names of plan, program and PoP are configuration, and the amounts are meant to leave.
    assert b"customer" in leaves


def test_an_erasure_is_shipped_with_what_is_scored_again_and_takes_the_key_from_the_lake(tmp_path: Path) -> None:
    def customers() -> dict[int, bytes | None]:
        kept = ds.dataset(tmp_path / "lake", format="parquet", partitioning="hive").to_table()
        return dict(zip(kept["sequence"].to_pylist(), kept["key.customer"].to_pylist(), strict=True))

    with pop(tmp_path) as scorer:
        shipped, told = Shipping(), Telling()
        forwarder, rescorer = (
            ship(scorer, shipped),
            Rescorer({"shop": teacher_of_shop()}, told, Lake(tmp_path / "lake")),
        )
        rescorer.begin("rescore", 0)

        def scored_again(numbers: range) -> None:
            score(scorer, numbers)
            forwarder.step()
            values = [Message("rescore", 0, at, value) for at, value in enumerate(shipped.values)]
            rescorer.take(values[rescorer.counts.messages :])
            rescorer.keep()
            rescorer.wait()

        scored_again(range(100))
        before = customers()
        erase = operation_pb2.EraseRequest(program="shop", entity=payment(7).entities[0])
        control = stream_pb2.Control(erase=erase).SerializeToString()
        assert scorer.server.take("control", [Record(control, 0, on="control")]) == 1
        # The same customer pays again, as a new one.
        scored_again(range(107, 108))
        after = customers()
    erased = [number + 1 for number in range(100) if payment(number).entities[0] == payment(7).entities[0]]
    assert len(erased) == 2
    assert {at for at, key in before.items() if after[at] != key} == set(erased)
    assert all(after[at] is None for at in erased)
    # The erasure has a sequence of its own.
    assert after[102] == before[8]
    assert rescorer.counts.erased == 1


def test_at_its_bound_the_spool_admits_no_more_and_goes_on_when_it_was_shipped(tmp_path: Path) -> None:
    shipped = Shipping(away=True)
    with pop(tmp_path, spool_inputs=50) as scorer:
        forwarder = Forwarder(scorer.server.forward(POP), shipped, 4096)
        before = score(scorer, range(80))
        assert [n for n in range(80) if before[n].receipt.rescore_queued] == list(range(50))
        assert [n for n in range(80) if before[n].receipt.rescore_spool_full] == list(range(50, 80))
        stats = scorer.server.stats()
        assert (stats["rescore_spool_full"], stats["rescore_spool"]) == (30, 80)
        with pytest.raises(OSError, match="away"):
            forwarder.step()
        assert not score(scorer, range(80, 81))[80].receipt.rescore_queued
        shipped.away = False
        forwarder.step()
        after = score(scorer, range(81, 100))
        assert all(decision.receipt.rescore_queued for decision in after.values())
        forwarder.step()
        promised = {**before, **after}
        expected = [d.receipt.sequence for d in promised.values() if d.receipt.rescore_queued]
        assert shipped.sequences() == expected


def test_a_forwarder_that_dies_ships_again_from_where_it_was_kept_and_the_cloud_counts_none_twice(
    tmp_path: Path,
) -> None:
    shipped, told = Shipping(), Telling()
    with pop(tmp_path) as scorer:
        score(scorer, range(40))
        forward = scorer.server.forward(POP)
        _, rows, messages = forward.read(4096, 0.2)
        assert rows == 40
        # It hands over, and dies before it keeps its place.
        for kind, key, value in messages:
            shipped.publish(kind, key, value)
    with pop(tmp_path) as scorer:
        score(scorer, range(40, 60))
        ship(scorer, shipped)
        assert sorted(set(shipped.sequences())) == list(range(1, 61))
        assert len(shipped.sequences()) == 100
        rescorer = cloud(tmp_path, shipped, told)
        assert (rescorer.counts.rows, rescorer.counts.repeated, rescorer.counts.kept) == (60, 40, 60)
        scorer.server.take("rescored", told.records())
        assert scorer.server.stats()["rescored.shop"] == 60


def test_what_is_degraded_is_shipped_with_tier_and_cause_and_features(tmp_path: Path) -> None:
    shipped = Shipping()
    declared = {"control_share": 0.0, "labels": False}
    with pop(tmp_path, rescore=declared, required_features=["age"]) as scorer:
        whole = purchase(0)
        whole.attributes.add(name="age", number=41.0)
        assert not scorer.score(whole).receipt.rescore_queued
        degraded = scorer.score(purchase(1))
        assert degraded.assessment.tier == decision_pb2.TIER_DEFAULT
        assert degraded.receipt.rescore_queued
        ship(scorer, shipped)
    (request,) = shipped.requests
    assert np.frombuffer(request.sequence, "<u8").tolist() == [2]
    assert (list(request.tier), list(request.cause)) == ([4], [4])
    assert list(request.kind) == [transaction_pb2.KIND_PURCHASE]
    assert np.isnan(np.frombuffer(request.risk_score, "<f8")).all()
    row = np.frombuffer(request.rows, "<f4")
    assert row[0] == np.float32(0.01)


def test_one_message_of_decisions_larger_than_a_drain_is_taken_whole(tmp_path: Path) -> None:
    shipped, told = Shipping(), Telling()
    with pop(tmp_path) as scorer:
        assert scorer.server.take("transactions", purchases(range(3_000))) == 3_000
        forwarder = ship(scorer, shipped)
        forwarder.step()
        assert len(shipped.sequences()) == 3_000
        assert len(shipped.requests) < 30
        cloud(tmp_path, shipped, told)
        scorer.server.take("rescored", told.records())
        assert scorer.server.stats()["rescored.shop"] == 3_000
        assert ("rescored", 0, len(told.values) - 1) in scorer.server.offsets()


def test_what_holds_nothing_to_ship_is_passed_before_the_spools_bound_counts_it(tmp_path: Path) -> None:
    shipped = Shipping(away=True)
    never = {"control_share": 0.0, "labels": False}
    with pop(tmp_path, rescore=never, spool_inputs=50) as scorer:
        assert scorer.server.take("transactions", purchases(range(3_000))) == 3_000
    with pop(tmp_path, spool_inputs=50) as scorer:
        forwarder = Forwarder(scorer.server.forward(POP), shipped, 4096)
        assert scorer.score(payment(5_000)).receipt.rescore_spool_full
        forwarder.pass_over()
        assert scorer.server.stats()["rescore_shipped"] == 3_001
        assert scorer.score(payment(5_001)).receipt.rescore_queued
        # What is promised is not passed.
        forwarder.pass_over()
        assert scorer.server.stats()["rescore_shipped"] == 3_001
        with pytest.raises(OSError, match="away"):
            forwarder.step()
        shipped.away = False
        forwarder.step()
        assert shipped.sequences() == [3_002]
