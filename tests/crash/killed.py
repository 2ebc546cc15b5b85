"""A scorer in a process of its own that is killed under load, and what its clients were told until then."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from fraudgate.v1 import decision_pb2, scoring_pb2, transaction_pb2
from service import certificates
from tests.server.test_journal import KEY, purchase, settings

STREAMS = 4
IN_FLIGHT = 64
"""Of each stream."""
LONGEST = 40_000
"""Transactions after which a stream ends when nobody was killed meanwhile."""


@dataclass
class Log:
    """What was sent, and what was answered: over all lives."""

    sent: dict[str, transaction_pb2.Transaction] = field(default_factory=dict)
    answers: dict[str, decision_pb2.Decision] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)


def configured(path: Path, **changed: object) -> dict[str, object]:
    """The scorer's configuration: a journal of small segments in `path`."""
    journal = settings(path / "journal", **{"segment_bytes": 1 << 17, "snapshot_inputs": 500, **changed})
    return {"journal": journal, "ahead_us": None, "known_ids": 1_000_000}


@contextmanager
def process(
    path: Path, die: str | None = None, before: Callable[[], None] | None = None, **changed: object
) -> Iterator[tuple[subprocess.Popen[str], int | None]]:
    """A scorer that dies at the place `die`, or at the end; its port, None when it died before it served."""
    environment = {key: value for key, value in os.environ.items() if key != "FRAUDGATE_DIE"}
    scorer = subprocess.Popen(
        [sys.executable, "-m", "tests.server.journaled", str(path), KEY.hex(), json.dumps(configured(path, **changed))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment if die is None else environment | {"FRAUDGATE_DIE": die},
        preexec_fn=before,
    )
    try:
        assert scorer.stdout is not None
        told = scorer.stdout.readline()
        yield scorer, int(told) if told else None
    finally:
        scorer.kill()
        scorer.wait()
        for pipe in (scorer.stdout, scorer.stderr):
            if pipe is not None:
                pipe.close()


def channel(path: Path, port: int) -> grpc.Channel:
    """A channel with the certificate of one who may call everything."""
    folder = certificates.Folder(path / "certificates")
    leaf = folder.client("all.example")
    credentials = grpc.ssl_channel_credentials(
        folder.ca.certificate.read_bytes(), leaf.key.read_bytes(), leaf.certificate.read_bytes()
    )
    return grpc.secure_channel(f"localhost:{port}", credentials)


def load(path: Path, port: int, log: Log) -> list[threading.Thread]:
    """Streams, each on a connection of its own, that send until the scorer is gone."""
    streams = [threading.Thread(target=_stream, args=(path, port, log), daemon=True) for _ in range(STREAMS)]
    for stream in streams:
        stream.start()
    return streams


def _stream(path: Path, port: int, log: Log) -> None:
    room = threading.Semaphore(IN_FLIGHT)

    def requests() -> Iterator[scoring_pb2.ScoreStreamRequest]:
        for number in itertools.islice(log.numbers, LONGEST):
            # A stream that is gone gives no room back; gRPC leaves its thread here, which ends with the process.
            room.acquire()
            transaction = purchase(number)
            log.sent[transaction.id] = transaction
            yield scoring_pb2.ScoreStreamRequest(ordinal=number, transaction=transaction)

    with channel(path, port) as open_channel:
        for response in send(open_channel, requests()):
            assert response.HasField("decision"), response
            log.answers[f"t-{response.ordinal}"] = response.decision
            room.release()


def send(
    open_channel: grpc.Channel, requests: Iterator[scoring_pb2.ScoreStreamRequest]
) -> Iterator[scoring_pb2.ScoreStreamResponse]:
    """The responses of one stream, until the scorer is gone."""
    method = open_channel.stream_stream(
        "/fraudgate.v1.Scoring/ScoreStream",
        request_serializer=scoring_pb2.ScoreStreamRequest.SerializeToString,
        response_deserializer=scoring_pb2.ScoreStreamResponse.FromString,
    )
    try:
        yield from method(requests, timeout=120)
    except grpc.RpcError:
        return


def score_all(
    open_channel: grpc.Channel, transactions: list[transaction_pb2.Transaction]
) -> list[decision_pb2.Decision]:
    """One decision for each, in order, over one stream."""
    requests = (scoring_pb2.ScoreStreamRequest(ordinal=n, transaction=each) for n, each in enumerate(transactions))
    decisions = [response.decision for response in send(open_channel, requests)]
    assert len(decisions) == len(transactions)
    return decisions
