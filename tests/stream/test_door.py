"""The stream door on a real broker: what comes through it is what comes through the others."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import grpc

import engine
from fraudgate.v1 import decision_pb2, feedback_pb2, scoring_pb2, stream_pb2, transaction_pb2
from service import certificates
from tests.scorer import FEATURES, small_model
from tests.stream.conftest import KEY, Pop
from tests.stream.records import purchase

PARITY = 200_000 if os.environ.get("FRAUDGATE_PROVE") else 20_000


def channel(pop: Pop, identity: str = "all") -> grpc.Channel:
    folder = certificates.Folder(pop.path / "certificates")
    leaf = folder.client(f"{identity}.example")
    credentials = grpc.ssl_channel_credentials(
        folder.ca.certificate.read_bytes(), leaf.key.read_bytes(), leaf.certificate.read_bytes()
    )
    return grpc.secure_channel(f"localhost:{pop.port}", credentials)


def assessments(decisions: Iterator[bytes]) -> list[bytes]:
    return [decision_pb2.Decision.FromString(value).assessment.SerializeToString() for value in decisions]


def test_the_same_transactions_give_equal_bytes_of_each_assessment_through_every_door(pops: Callable[..., Pop]) -> None:
    values = [purchase(number).SerializeToString() for number in range(PARITY)]

    stream = pops()
    stream.start()
    stream.produce(values)
    read = stream.read("decisions", PARITY, within_s=120)
    assert [key for key, _, _ in read] == [f"t-{number}" for number in range(PARITY)]
    told = stream.stop()
    through_kafka = assessments(value for _, value, _ in read)
    assert told["transactions"] == PARITY

    unary = pops()
    unary.start()
    with channel(unary) as wire:
        call = wire.unary_unary("/fraudgate.v1.Scoring/Score")
        one_by_one = assessments(call(value, timeout=10) for value in values)
    assert one_by_one == through_kafka

    together = pops()
    together.start()
    with channel(together) as wire:
        call = wire.stream_stream(
            "/fraudgate.v1.Scoring/ScoreStream",
            request_serializer=scoring_pb2.ScoreStreamRequest.SerializeToString,
            response_deserializer=scoring_pb2.ScoreStreamResponse.FromString,
        )
        requests = (
            scoring_pb2.ScoreStreamRequest(ordinal=at, transaction=transaction_pb2.Transaction.FromString(value))
            for at, value in enumerate(values)
        )
        in_a_stream = [answer.decision.assessment.SerializeToString() for answer in call(requests, timeout=300)]
    assert in_a_stream == through_kafka


def test_records_of_several_partitions_beside_calls_keep_their_order_and_are_what_their_own_journal_gives(
    pops: Callable[..., Pop],
) -> None:
    pop = pops(partitions=4)
    pop.start()
    values = [purchase(number).SerializeToString() for number in range(2_000)]
    # One customer, one partition.
    pop.produce(values, keys=[f"c-{number % 50}" for number in range(2_000)])
    with channel(pop) as wire:
        call = wire.unary_unary("/fraudgate.v1.Scoring/Score")
        for number in range(2_000, 2_200):
            call(purchase(number).SerializeToString(), timeout=10)
    read = pop.read("decisions", 2_000)
    told = pop.stop()
    assert told["transactions"] == 2_200
    assert sum(highest + 1 for _, _, highest in told["offsets"]) == 2_000
    sequences: dict[int, list[int]] = {}
    for key, value, _ in read:
        customer = int(key.removeprefix("t-")) % 50
        sequences.setdefault(customer, []).append(decision_pb2.Decision.FromString(value).receipt.sequence)
    assert all(of_one == sorted(of_one) for of_one in sequences.values())
    # The journal gives every answer again.
    found = replayed(pop)
    assert found["assessments"]["same"] == 2_200
    assert found["assessments"]["differing"] == 0
    assert found["digest"] == told["digest"]


def test_each_record_of_a_poison_corpus_stands_once_among_the_dead_letters_and_the_worker_lives(
    pops: Callable[..., Pop],
) -> None:
    draw = random.Random(11)
    good = purchase(1).SerializeToString()
    wrong = feedback_pb2.Label(program="shop").SerializeToString()
    hostile = transaction_pb2.Transaction.FromString(good)
    hostile.program = "\u202e'; DROP TABLE--\x00" * 20
    corpus = [draw.randbytes(draw.randrange(1, 400)) for _ in range(60)]
    corpus += [good[:cut] for cut in range(1, len(good) - 1, 3)]
    corpus += [b"", wrong, hostile.SerializeToString(), b"\x0a" * 900_000]
    corpus = [value for value in dict.fromkeys(corpus) if not taken(value)]
    pop = pops()
    pop.start()
    mixed = [value for place, poison in enumerate(corpus) for value in (poison, purchase(place).SerializeToString())]
    pop.produce(mixed)
    decided = pop.read("decisions", len(corpus))
    letters = pop.read("dead_letters", len(corpus))
    pop.stop()
    pop.start()
    pop.produce([purchase(1_000_000).SerializeToString()])
    assert len(pop.read("decisions", len(corpus) + 1)) == len(corpus) + 1
    again = pop.read("dead_letters", len(corpus))
    pop.stop()
    assert again == letters
    read = [stream_pb2.DeadLetter.FromString(value) for _, value, _ in letters]
    assert [letter.sha256 for letter in read] == [hashlib.sha256(value).digest() for value in corpus]
    assert [letter.offset for letter in read] == list(range(0, 2 * len(corpus), 2))
    assert all(letter.reason and "DROP" not in letter.reason for letter in read)
    assert len({key for key, _, _ in decided}) == len(corpus)


def taken(value: bytes) -> bool:
    """Whether random or cut bytes happen to be a transaction that may be taken."""
    try:
        read = transaction_pb2.Transaction.FromString(value)
    except Exception:  # noqa: BLE001 - whatever the decoder says
        return False
    return read.program == "shop" and read.currency == "EUR" and bool(read.kind) and bool(read.event_time_us)


def replayed(pop: Pop) -> dict[str, Any]:
    """What a replay finds in a PoP's journal: rows and assessments computed again."""
    plan = FEATURES.compile()
    model = small_model(plan.digest, plan.features)
    runtime = str(engine.onnxruntime_library())
    found: dict[str, Any] = json.loads(
        engine.journal_replay(str(pop.path / "journal"), KEY, 1_000_000, runtime, lambda _: (*model, None))
    )
    return found
