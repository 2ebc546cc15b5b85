"""The client that threads share: one channel, calls with deadlines, refusals as exceptions."""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Final, Self, TypeVar

import grpc
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from fraudgate import channel, errors, stream
from fraudgate.v1 import decision_pb2, feedback_pb2, scoring_pb2, scoring_pb2_grpc, transaction_pb2

# grpc.health.v1's request is one string and its answer one enum, each field 1: the wrappers have the same bytes.
HEALTH_METHOD: Final = "/grpc.health.v1.Health/Check"
SERVING: Final = 1

_Response = TypeVar("_Response")


class Client:
    """Asks one scorer over mutual TLS. Safe to share between threads; make one a process, after forking.

    target: `host:port`. ca, certificate, key: paths of PEM files, or their content as bytes. server_name: the name in
    the scorer's certificate, where it is not the target's host. deadline: seconds that a call may take, retries
    included.
    """

    def __init__(
        self,
        target: str,
        *,
        ca: channel.Pem,
        certificate: channel.Pem,
        key: channel.Pem,
        server_name: str | None = None,
        deadline: float = 1.0,
    ) -> None:
        credentials = channel.credentials(ca, certificate, key)
        self._deadline = deadline
        self._channel = grpc.secure_channel(target, credentials, options=channel.options(server_name))
        self._scoring = scoring_pb2_grpc.ScoringStub(self._channel)
        self._feedback = scoring_pb2_grpc.FeedbackStub(self._channel)
        self._health = self._channel.unary_unary(
            HEALTH_METHOD,
            request_serializer=StringValue.SerializeToString,
            response_deserializer=Int32Value.FromString,
        )

    def score(
        self, transaction: transaction_pb2.Transaction, *, deadline: float | None = None
    ) -> decision_pb2.Decision:
        """Ask about one. Raises FraudgateError; see errors.py for which."""
        decision: decision_pb2.Decision = self._call(self._scoring.Score, transaction, deadline)
        return decision

    def score_batch(
        self, transactions: Iterable[transaction_pb2.Transaction], *, deadline: float | None = None
    ) -> list[decision_pb2.Decision | errors.FraudgateError]:
        """Ask about up to 1,024, taken in order. Each gets its decision, or the error that refused it alone.

        Raises FraudgateError when the batch fails as a whole.
        """
        request = scoring_pb2.ScoreBatchRequest(transactions=transactions)
        response = self._call(self._scoring.ScoreBatch, request, deadline)
        return [scored(result) for result in response.results]

    def score_stream(
        self, transactions: Iterable[transaction_pb2.Transaction], *, in_flight: int = 256
    ) -> Iterator[decision_pb2.Decision | errors.FraudgateError]:
        """Ask about any number; yields one answer each, in order, while at most `in_flight` wait for theirs.

        `transactions` is read in a thread of its own, never more than `in_flight` ahead of the answers. A connection
        that breaks is made again and what was not answered is sent again. Raises FraudgateError when that fails too,
        and whatever `transactions` raises, after the answers to what came before.
        """
        return stream.score(self._scoring.ScoreStream, transactions, in_flight)

    def report(
        self, outcomes: Sequence[feedback_pb2.Outcome], *, deadline: float | None = None
    ) -> list[decision_pb2.Receipt | errors.FraudgateError]:
        """Tell what became of up to 1,024 asks, in order. Errors as for score_batch."""
        request = scoring_pb2.ReportRequest(outcomes=outcomes)
        return [told(result) for result in self._call(self._feedback.Report, request, deadline).results]

    def label(
        self, labels: Sequence[feedback_pb2.Label], *, deadline: float | None = None
    ) -> list[decision_pb2.Receipt | errors.FraudgateError]:
        """Tell what up to 1,024 transactions turned out to be, in order. Errors as for score_batch."""
        request = scoring_pb2.LabelRequest(labels=labels)
        return [told(result) for result in self._call(self._feedback.Label, request, deadline).results]

    def healthy(self, *, deadline: float | None = None) -> bool:
        """Whether the scorer answers and says that it serves."""
        try:
            answer = self._health(StringValue(), timeout=self._deadline if deadline is None else deadline)
        except grpc.RpcError:
            return False
        return bool(answer.value == SERVING)

    def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, method: Callable[..., _Response], request: Message, deadline: float | None) -> _Response:
        """One call; when the scorer is overloaded and says for how long, waits and asks again within the deadline."""
        ends = time.monotonic() + (self._deadline if deadline is None else deadline)
        for attempt in range(1, channel.ATTEMPTS + 1):
            try:
                return method(request, timeout=max(0.0, ends - time.monotonic()))
            except grpc.RpcError as error:
                refusal = errors.from_rpc(error)
            wait = retry_wait(refusal, attempt, ends - time.monotonic())
            if wait is None:
                raise refusal
            time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")


def retry_wait(refusal: errors.FraudgateError, attempt: int, left_s: float) -> float | None:
    """Seconds to wait before the next attempt; None when there is to be none."""
    if not isinstance(refusal, errors.Overloaded) or refusal.retry_after is None or attempt >= channel.ATTEMPTS:
        return None
    # Jitter, so that those who were refused together do not come back together.
    wait = refusal.retry_after * random.uniform(1.0, 1.5)
    return wait if wait < left_s else None


def scored(
    result: scoring_pb2.ScoreResult | scoring_pb2.ScoreStreamResponse,
) -> decision_pb2.Decision | errors.FraudgateError:
    """The answer to one item."""
    return result.decision if result.HasField("decision") else errors.from_status(result.status)


def told(result: scoring_pb2.FeedbackResult) -> decision_pb2.Receipt | errors.FraudgateError:
    """The answer to one outcome or label."""
    return result.receipt if result.HasField("receipt") else errors.from_status(result.status)
