"""Every transaction is sent three times, in a shuffled order and over several connections: it counts once."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from fraudgate.v1 import decision_pb2, scoring_pb2
from tests.crash.served import channel, process, recovered
from tests.server.test_journal import purchase

COUNT = 100_000 if os.environ.get("FRAUDGATE_PROVE") else 10_000
CONNECTIONS = 4
BATCH = 250


def score(open_channel: grpc.Channel, numbers: Sequence[int]) -> list[decision_pb2.Decision]:
    """Decisions on transactions, in one call."""
    call = open_channel.unary_unary(
        "/fraudgate.v1.Scoring/ScoreBatch",
        request_serializer=scoring_pb2.ScoreBatchRequest.SerializeToString,
        response_deserializer=scoring_pb2.ScoreBatchResponse.FromString,
    )
    asked = scoring_pb2.ScoreBatchRequest(transactions=[purchase(number) for number in numbers])
    results = call(asked, timeout=60).results
    assert all(result.HasField("decision") for result in results)
    return [result.decision for result in results]


def batches(numbers: Sequence[int]) -> list[Sequence[int]]:
    return [numbers[at : at + BATCH] for at in range(0, len(numbers), BATCH)]


def sent_thrice(path: Path, port: int) -> Iterator[tuple[int, decision_pb2.Decision]]:
    """What is answered, and to which transaction."""
    sent = [*range(COUNT)] * 3
    random.Random(11).shuffle(sent)
    calls = batches(sent)
    with contextlib.ExitStack() as opened, ThreadPoolExecutor(CONNECTIONS) as clients:
        channels = [opened.enter_context(channel(path, port)) for _ in range(CONNECTIONS)]
        decisions = clients.map(score, (channels * len(calls))[: len(calls)], calls)
        for numbers, answered in zip(calls, decisions, strict=True):
            yield from zip(numbers, answered, strict=True)


@pytest.mark.slow
def test_transactions_sent_three_times_in_any_order_leave_the_state_of_their_first_occurrences(tmp_path: Path) -> None:
    first: dict[int, decision_pb2.Decision] = {}
    again: dict[int, list[decision_pb2.Decision]] = defaultdict(list)
    with process(tmp_path, segment_bytes=1 << 24, snapshot_inputs=COUNT) as life:
        assert life.port is not None
        for number, decision in sent_thrice(tmp_path, life.port):
            if decision.receipt.replayed:
                again[number].append(decision)
            else:
                assert first.setdefault(number, decision) is decision
        life.process.send_signal(signal.SIGTERM)
        assert life.process.wait(30) == 0
    for number, decision in first.items():
        assert [each.assessment for each in again[number]] == [decision.assessment] * 2
        assert {each.receipt.sequence for each in again[number]} == {decision.receipt.sequence}
    in_order = sorted(first, key=lambda number: first[number].receipt.sequence)
    assert [first[number].receipt.sequence for number in in_order] == list(range(1, COUNT + 1))
    with recovered(tmp_path) as (server, _):
        digest = server.digest()
    with recovered(tmp_path, journaled=False) as (fresh, open_channel):
        for numbers in batches(in_order):
            for number, decision in zip(numbers, score(open_channel, numbers), strict=True):
                assert decision.assessment == first[number].assessment
        assert fresh.digest() == digest
