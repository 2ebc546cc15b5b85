"""What the clients of a scorer that is killed sent and were told: over streams with mutual TLS, until it is gone."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from fraudgate.v1 import decision_pb2, scoring_pb2, transaction_pb2
from tests.crash.served import channel
from tests.server.test_journal import purchase

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
