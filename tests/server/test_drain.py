"""A server that leaves finishes what it has taken."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from fraudgate.v1 import scoring_pb2, transaction_pb2
from tests.scorer import running_scorer

New = Callable[[], transaction_pb2.Transaction]


def test_under_load_every_call_is_answered_or_never_taken(tmp_path: Path, new_transaction: New) -> None:
    answered: list[int] = []
    codes: list[grpc.StatusCode] = []
    leaving = threading.Event()
    lock = threading.Lock()

    def load() -> None:
        while True:
            with lock:
                transaction = new_transaction()
            try:
                sequence = scorer.score(transaction).receipt.sequence
            except grpc.RpcError as error:
                codes.append(error.code())
                if leaving.is_set():
                    return
            else:
                answered.append(sequence)

    with running_scorer(tmp_path) as scorer:
        threads = [threading.Thread(target=load) for _ in range(8)]
        for thread in threads:
            thread.start()
        while len(answered) < 200:
            time.sleep(0.01)
        leaving.set()
        scorer.server.drain(10.0)
        for thread in threads:
            thread.join()
    # The sequence has no gap: whatever was taken, and only that, was answered.
    assert sorted(answered) == list(range(1, len(answered) + 1))
    assert set(codes) == {grpc.StatusCode.UNAVAILABLE}


def test_what_a_stream_has_sent_is_answered_before_it_ends(tmp_path: Path, new_transaction: New) -> None:
    with running_scorer(tmp_path) as scorer:
        drained = threading.Thread(target=scorer.server.drain, args=(10.0,))
        first_answer = threading.Event()

        def requests():
            for ordinal in range(50):
                yield scoring_pb2.ScoreStreamRequest(ordinal=ordinal, transaction=new_transaction()).SerializeToString()
            first_answer.wait(10)
            drained.start()
            drained.join()

        call = scorer.channel().stream_stream(
            "/fraudgate.v1.Scoring/ScoreStream", response_deserializer=scoring_pb2.ScoreStreamResponse.FromString
        )
        ordinals = []
        with pytest.raises(grpc.RpcError) as raised:
            for response in call(requests(), timeout=30):
                assert response.WhichOneof("result") == "decision"
                ordinals.append(response.ordinal)
                if len(ordinals) == 50:
                    first_answer.set()
        assert ordinals == list(range(50))
        assert raised.value.code() == grpc.StatusCode.UNAVAILABLE


def test_after_a_drain_nothing_listens_and_the_server_says_that_it_stopped(tmp_path: Path) -> None:
    with running_scorer(tmp_path) as scorer:
        assert not scorer.server.wait(0.01)
        scorer.server.drain(5.0)
        assert scorer.server.wait(0.0)
        with pytest.raises(RuntimeError, match="does not run"):
            scorer.server.stats()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", scorer.port), timeout=5)


def test_a_caller_that_never_finishes_is_cut_when_the_time_is_over(tmp_path: Path) -> None:
    with running_scorer(tmp_path) as scorer:
        release = threading.Event()

        def never():
            release.wait(30)
            yield b""

        call = scorer.channel().stream_unary("/fraudgate.v1.Scoring/Score")
        future = call.future(never(), timeout=30)
        while scorer.server.stats()["connections_open"] == 0:
            time.sleep(0.01)
        time.sleep(0.2)
        scorer.server.drain(0.2)
        assert scorer.server.wait(0.0)
        assert future.exception(timeout=10).code() == grpc.StatusCode.UNAVAILABLE
        release.set()
