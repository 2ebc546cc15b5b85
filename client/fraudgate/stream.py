"""A stream of transactions over connections that may break: what was not answered is sent again, in order.

`_Window` holds the transactions that wait for an answer. Three threads meet there: one reads the caller's iterable into
it, gRPC's sends from it, and the caller's takes answers out of it.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias

import grpc

from fraudgate import errors
from fraudgate.v1 import decision_pb2, scoring_pb2, transaction_pb2

Answer: TypeAlias = decision_pb2.Decision | errors.FraudgateError
Method: TypeAlias = Callable[[Iterator[scoring_pb2.ScoreStreamRequest]], Iterator[scoring_pb2.ScoreStreamResponse]]

_BACKOFF_S: Final = (0.05, 0.25, 1.0, 2.0)
"""Waits before a stream is opened again, while none of them brings an answer: long enough for a scorer to restart."""


def score(method: Method, transactions: Iterable[transaction_pb2.Transaction], in_flight: int) -> Iterator[Answer]:
    """One answer for each transaction, in order; see Client.score_stream."""
    if in_flight < 1:
        raise ValueError("in_flight is the number that may wait for an answer: at least 1")
    window = _Window(in_flight)
    reader = threading.Thread(target=window.fill, args=(transactions,), name="fraudgate-stream", daemon=True)
    reader.start()
    try:
        yield from _answers(method, window)
    finally:
        window.close()
    if window.failure is not None:
        raise window.failure


def _answers(method: Method, window: "_Window") -> Iterator[Answer]:
    fruitless = 0
    while True:
        call = method(window.requests())
        refusal: errors.FraudgateError | None = None
        try:
            for response in call:
                window.answered(response.ordinal)
                fruitless = 0
                if response.HasField("decision"):
                    yield response.decision
                else:
                    yield errors.from_status(response.status)
        except grpc.RpcError as error:
            refusal = errors.from_rpc(error)
        finally:
            # Also when the caller stops reading: gRPC's thread must not wait for requests that never come.
            window.abandon()
            if isinstance(call, grpc.Call):
                call.cancel()
        if refusal is None:
            if window.done():
                return
            refusal = errors.Unavailable("UNAVAILABLE the stream ended early", grpc.StatusCode.UNAVAILABLE)
        fruitless += 1
        wait = _wait(refusal, fruitless)
        if wait is None:
            raise refusal
        time.sleep(wait)


def _wait(refusal: errors.FraudgateError, fruitless: int) -> float | None:
    """Seconds before the stream is opened again; None when it is not: another error, or no answer since too long."""
    if fruitless > len(_BACKOFF_S):
        return None
    backoff = _BACKOFF_S[fruitless - 1]
    if isinstance(refusal, errors.Overloaded) and refusal.retry_after is not None:
        backoff = refusal.retry_after
    elif not isinstance(refusal, errors.Unavailable):
        return None
    return backoff * random.uniform(1.0, 1.5)


class _Window:
    """What waits for an answer: at most `limit` requests, numbered from 0 in the order of the caller's iterable."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._changed = threading.Condition()
        self._waiting: deque[scoring_pb2.ScoreStreamRequest] = deque()
        self._answered = 0  # The ordinal of the first in `_waiting`.
        self._call = 0  # Which call may send: an earlier one stops.
        self._complete = False
        self._closed = False
        self.failure: BaseException | None = None

    def fill(self, transactions: Iterable[transaction_pb2.Transaction]) -> None:
        """Take transactions in while there is room. Whatever they raise is kept for the caller."""
        try:
            for ordinal, transaction in enumerate(transactions):
                request = scoring_pb2.ScoreStreamRequest(ordinal=ordinal, transaction=transaction)
                with self._changed:
                    self._changed.wait_for(lambda: self._closed or len(self._waiting) < self._limit)
                    if self._closed:
                        return
                    self._waiting.append(request)
                    self._changed.notify_all()
        except BaseException as failure:  # noqa: BLE001 (raised again in the thread that reads the answers)
            self.failure = failure
        finally:
            with self._changed:
                self._complete = True
                self._changed.notify_all()

    def requests(self) -> Iterator[scoring_pb2.ScoreStreamRequest]:
        """What one call sends: first all that waits, then what comes, until nothing more does."""
        with self._changed:
            mine, place = self._call, self._answered
        return self._sent_by(mine, place)

    def _sent_by(self, mine: int, place: int) -> Iterator[scoring_pb2.ScoreStreamRequest]:
        while True:
            with self._changed:
                while self._call == mine and not self._complete and place == self._end():
                    self._changed.wait()
                if self._call != mine or place == self._end():
                    return
                request = self._waiting[place - self._answered]
            yield request
            place += 1

    def _end(self) -> int:
        return self._answered + len(self._waiting)

    def answered(self, ordinal: int) -> None:
        """The next answer came. Raises Failed when it is not for the first that waits."""
        with self._changed:
            if not self._waiting or ordinal != self._answered:
                raise errors.Failed("INTERNAL the answers are out of order", grpc.StatusCode.INTERNAL)
            self._waiting.popleft()
            self._answered += 1
            self._changed.notify_all()

    def abandon(self) -> None:
        """The call that sends is over."""
        with self._changed:
            self._call += 1
            self._changed.notify_all()

    def done(self) -> bool:
        """Whether everything was answered and nothing more comes."""
        with self._changed:
            return self._complete and not self._waiting

    def close(self) -> None:
        """Nobody reads answers any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
