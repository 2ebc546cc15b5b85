"""What was acknowledged survives the death of the process: a real server, real clients, `kill -9`."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

import engine
from fraudgate.v1 import decision_pb2, transaction_pb2
from tests.scorer import running_scorer

KEY = bytes(range(32))
HASH_KEY = bytes(range(32))
ROUNDS = 20 if os.environ.get("FRAUDGATE_PROVE") else 4
STREAMS = 8

Sent = dict[str, transaction_pb2.Transaction]
Answers = dict[str, decision_pb2.Decision]


def settings(folder: Path, **changed: object) -> dict[str, object]:
    return {
        "folder": str(folder),
        "promise": "written",
        "segment_bytes": 1 << 20,
        "buffer_bytes": 1 << 24,
        "sync_ms": 10,
        "retain_bytes": None,
        "retain_s": None,
        "snapshot_bytes": None,
        "snapshot_inputs": None,
        "snapshots": 2,
        **changed,
    }


@contextmanager
def process(path: Path, **changed: object) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A scorer in a process of its own, killed at the end at the latest; its port."""
    configured = {"journal": settings(path / "journal", **changed), "ahead_us": None, "known_ids": 1_000_000}
    scorer = subprocess.Popen(
        [sys.executable, "-m", "tests.server.journaled", str(path), KEY.hex(), json.dumps(configured)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert scorer.stdout is not None
        yield scorer, int(scorer.stdout.readline())
    finally:
        scorer.kill()
        scorer.wait()


def purchase(number: int) -> transaction_pb2.Transaction:
    return transaction_pb2.Transaction(
        id=f"t-{number}",
        program="shop",
        event_time_us=1_700_000_000_000_000 + number * 1_000,
        kind=transaction_pb2.KIND_PURCHASE,
        amount_minor=number % 997,
        currency="EUR",
        entities=[
            transaction_pb2.EntityKey(name="customer", value=f"c-{number % 50}"),
            transaction_pb2.EntityKey(name="terminal", value=f"t-{number % 7}"),
        ],
    )


def load(channel: grpc.Channel, numbers: Iterator[int], sent: Sent, answers: Answers) -> None:
    """Sends until the scorer is gone; keeps what was acknowledged."""
    call = channel.unary_unary(
        "/fraudgate.v1.Scoring/Score",
        request_serializer=transaction_pb2.Transaction.SerializeToString,
        response_deserializer=decision_pb2.Decision.FromString,
    )
    for number in numbers:
        transaction = purchase(number)
        sent[transaction.id] = transaction
        try:
            answers[transaction.id] = call(transaction, timeout=5)
        except grpc.RpcError:
            return


@pytest.fixture(scope="module")
def channel_to(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path, int], grpc.Channel]:
    from service import certificates

    def channel(path: Path, port: int) -> grpc.Channel:
        folder = certificates.Folder(path / "certificates")
        leaf = folder.client("all.example")
        credentials = grpc.ssl_channel_credentials(
            folder.ca.certificate.read_bytes(), leaf.key.read_bytes(), leaf.certificate.read_bytes()
        )
        return grpc.secure_channel(f"localhost:{port}", credentials)

    return channel


@pytest.mark.parametrize("promise", ["written", "synced"])
def test_every_acknowledged_transaction_survives_kill_9_and_none_counts_twice(
    tmp_path: Path, promise: str, channel_to: Callable[[Path, int], grpc.Channel]
) -> None:
    draw = random.Random(7)
    sent: Sent = {}
    answers: Answers = {}
    numbers = iter(range(10_000_000))
    lock = threading.Lock()

    def shared() -> Iterator[int]:
        while True:
            with lock:
                number = next(numbers)
            yield number

    for _ in range(ROUNDS):
        before = len(answers)
        with process(tmp_path, promise=promise) as (scorer, port), channel_to(tmp_path, port) as channel:
            clients = [threading.Thread(target=load, args=(channel, shared(), sent, answers)) for _ in range(STREAMS)]
            for client in clients:
                client.start()
            time.sleep(draw.uniform(0.3, 0.8))
            scorer.send_signal(signal.SIGKILL)
            for client in clients:
                client.join()
        assert len(answers) - before > 100, "below its load this shows nothing"
    held = decision_pb2.Durability.Value(f"DURABILITY_{promise.upper()}")
    assert all(answer.receipt.durability >= held for answer in answers.values())

    configured = {"journal": settings(tmp_path / "journal"), "ahead_us": None, "known_ids": 1_000_000}
    with running_scorer(tmp_path, journal_key=KEY, **configured) as again:
        for id, answer in answers.items():
            repeated = again.score(sent[id])
            assert repeated.receipt.replayed
            assert (repeated.receipt.epoch, repeated.receipt.sequence) == (
                answer.receipt.epoch,
                answer.receipt.sequence,
            )
            assert repeated.assessment == answer.assessment
        for id in sent.keys() - answers.keys():
            answers[id] = again.score(sent[id])
        sequences = sorted(answer.receipt.sequence for answer in answers.values())
        assert sequences == list(range(1, len(sent) + 1))
        digest = again.server.digest()

    # A fold of the acknowledged log, from nothing, in the order of its sequences.
    with running_scorer(tmp_path, known_ids=1_000_000, ahead_us=None) as fresh:
        for id in sorted(answers, key=lambda id: answers[id].receipt.sequence):
            assert fresh.score(sent[id]).assessment == answers[id].assessment
        assert fresh.server.digest() == digest


def no_model(_: str) -> None:
    return None


def test_what_was_decided_can_be_shown_again_with_what_it_saw(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with running_scorer(tmp_path, journal=settings(journal), journal_key=KEY, ahead_us=None) as scorer:
        decisions = [scorer.score(purchase(number)) for number in range(120)]

    def show(id: str) -> Any:
        runtime = str(engine.onnxruntime_library())
        return json.loads(engine.journal_show(str(journal), KEY, HASH_KEY, "shop", id, runtime, no_model))

    told = show("t-77")
    assert told["sequence"] == decisions[77].receipt.sequence
    assert told["assessment"]["risk_score"] == decisions[77].assessment.risk_score
    assert told["again"]["features"] == {"result": "same"}
    assert show("absent") is None
    last = json.loads(engine.journal_tail(str(journal), KEY, 5))
    assert [one["sequence"] for one in last] == [116, 117, 118, 119, 120]
    verified = json.loads(engine.journal_verify(str(journal), KEY))
    assert (verified["inputs"], verified["torn_bytes"]) == (120, 0)
    assert "c-1" not in json.dumps(last)


def test_another_key_is_an_error_that_names_both(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with running_scorer(tmp_path, journal=settings(journal), journal_key=KEY, ahead_us=None) as scorer:
        scorer.score(purchase(1))
    with pytest.raises(ValueError, match=r"is wrapped under key-encryption key [0-9a-f]{16}; the one given is"):
        engine.journal_verify(str(journal), bytes(32))
    assert engine.journal_rotate(str(journal), KEY, bytes(32)) > 0
    assert json.loads(engine.journal_verify(str(journal), bytes(32)))["inputs"] == 1
