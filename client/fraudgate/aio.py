"""The client for asyncio: the same calls as fraudgate.Client, without the stream."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from fraudgate import channel, errors
from fraudgate.client import HEALTH_METHOD, SERVING, retry_wait, scored, told
from fraudgate.v1 import decision_pb2, feedback_pb2, scoring_pb2, scoring_pb2_grpc, transaction_pb2


class Client:
    """Asks one scorer over mutual TLS, within one event loop. Arguments and errors as for fraudgate.Client."""

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
        self._channel = grpc.aio.secure_channel(target, credentials, options=channel.options(server_name))
        self._scoring: Any = scoring_pb2_grpc.ScoringStub(self._channel)
        self._feedback: Any = scoring_pb2_grpc.FeedbackStub(self._channel)
        self._health: Any = self._channel.unary_unary(
            HEALTH_METHOD,
            request_serializer=StringValue.SerializeToString,
            response_deserializer=Int32Value.FromString,
        )

    async def score(
        self, transaction: transaction_pb2.Transaction, *, deadline: float | None = None
    ) -> decision_pb2.Decision:
        """Ask about one."""
        decision: decision_pb2.Decision = await self._call(self._scoring.Score, transaction, deadline)
        return decision

    async def score_batch(
        self, transactions: Iterable[transaction_pb2.Transaction], *, deadline: float | None = None
    ) -> list[decision_pb2.Decision | errors.FraudgateError]:
        """Ask about up to 1,024, taken in order."""
        request = scoring_pb2.ScoreBatchRequest(transactions=transactions)
        response = await self._call(self._scoring.ScoreBatch, request, deadline)
        return [scored(result) for result in response.results]

    async def report(
        self, outcomes: Sequence[feedback_pb2.Outcome], *, deadline: float | None = None
    ) -> list[decision_pb2.Receipt | errors.FraudgateError]:
        """Tell what became of up to 1,024 asks, in order."""
        request = scoring_pb2.ReportRequest(outcomes=outcomes)
        return [told(result) for result in (await self._call(self._feedback.Report, request, deadline)).results]

    async def label(
        self, labels: Sequence[feedback_pb2.Label], *, deadline: float | None = None
    ) -> list[decision_pb2.Receipt | errors.FraudgateError]:
        """Tell what up to 1,024 transactions turned out to be, in order."""
        request = scoring_pb2.LabelRequest(labels=labels)
        return [told(result) for result in (await self._call(self._feedback.Label, request, deadline)).results]

    async def healthy(self, *, deadline: float | None = None) -> bool:
        """Whether the scorer answers and says that it serves."""
        try:
            answer = await self._health(StringValue(), timeout=self._deadline if deadline is None else deadline)
        except grpc.RpcError:
            return False
        return bool(answer.value == SERVING)

    async def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _call(self, method: Callable[..., Awaitable[Any]], request: object, deadline: float | None) -> Any:
        ends = time.monotonic() + (self._deadline if deadline is None else deadline)
        for attempt in range(1, channel.ATTEMPTS + 1):
            try:
                return await method(request, timeout=max(0.0, ends - time.monotonic()))
            except grpc.RpcError as error:
                refusal = errors.from_rpc(error)
            wait = retry_wait(refusal, attempt, ends - time.monotonic())
            if wait is None:
                raise refusal
            await asyncio.sleep(wait)
        raise AssertionError("the last attempt returns or raises")
