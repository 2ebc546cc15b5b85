# ruff: noqa: N802 (gRPC names the methods)
"""A scorer of grpcio's own, in the test's process, that answers as a script tells it: over mutual TLS."""

from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as Detail
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2_grpc

import fraudgate
from fraudgate.v1 import decision_pb2, scoring_pb2, scoring_pb2_grpc, status_pb2, transaction_pb2
from service.certificates import Folder


def status(code: grpc.StatusCode, message: str, *details: Message) -> status_pb2.Status:
    """A refusal in the scorer's own form."""
    packed = [
        Detail(type_url=f"type.googleapis.com/google.rpc.{detail.DESCRIPTOR.name}", value=detail.SerializeToString())
        for detail in details
    ]
    return status_pb2.Status(code=code.value[0], message=message, details=packed)


def retry_in(seconds: float) -> status_pb2.RetryInfo:
    """The detail that says how long to wait."""
    whole = int(seconds)
    return status_pb2.RetryInfo(retry_delay=Duration(seconds=whole, nanos=round((seconds - whole) * 1e9)))


def decided(transaction: transaction_pb2.Transaction) -> decision_pb2.Decision:
    """An answer in which the transaction can be told again: its event time stands for the sequence."""
    return decision_pb2.Decision(receipt=decision_pb2.Receipt(sequence=transaction.event_time_us))


@dataclass
class Scripted(scoring_pb2_grpc.ScoringServicer, scoring_pb2_grpc.FeedbackServicer):
    """Refuses each call with the next of `refusals`, until there is none; keeps what it was asked."""

    refusals: list[status_pb2.Status] = field(default_factory=list)
    break_stream_after: list[int] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)
    deadlines: list[float] = field(default_factory=list)
    refuse_item: Callable[[transaction_pb2.Transaction], status_pb2.Status | None] = lambda _: None

    def Score(self, request: Any, context: Any) -> Any:
        self._taken(request, context)
        return decided(request)

    def ScoreBatch(self, request: Any, context: Any) -> Any:
        self._taken(request, context)
        results = []
        for transaction in request.transactions:
            refusal = self.refuse_item(transaction)
            answer = {"status": refusal} if refusal else {"decision": decided(transaction)}
            results.append(scoring_pb2.ScoreResult(**answer))
        return scoring_pb2.ScoreBatchResponse(results=results)

    def ScoreStream(self, requests: Any, context: Any) -> Iterator[Any]:
        answers = self.break_stream_after.pop(0) if self.break_stream_after else None
        for place, request in enumerate(requests):
            if place == answers:
                abort(context, status(grpc.StatusCode.UNAVAILABLE, "gone", status_pb2.ErrorInfo(reason="DRAINING")))
            self.asked.append(request)
            refusal = self.refuse_item(request.transaction)
            answer = {"status": refusal} if refusal else {"decision": decided(request.transaction)}
            yield scoring_pb2.ScoreStreamResponse(ordinal=request.ordinal, **answer)

    def Report(self, request: Any, context: Any) -> Any:
        self._taken(request, context)
        receipts = [scoring_pb2.FeedbackResult(receipt={"sequence": n}) for n, _ in enumerate(request.outcomes, 1)]
        return scoring_pb2.ReportResponse(results=receipts)

    def Label(self, request: Any, context: Any) -> Any:
        self._taken(request, context)
        receipts = [scoring_pb2.FeedbackResult(receipt={"sequence": n}) for n, _ in enumerate(request.labels, 1)]
        return scoring_pb2.LabelResponse(results=receipts)

    def _taken(self, request: Any, context: Any) -> None:
        self.asked.append(request)
        self.deadlines.append(context.time_remaining())
        if self.refusals:
            abort(context, self.refusals.pop(0))


def abort(context: Any, refusal: status_pb2.Status) -> None:
    """Fail the call as a whole, with the details in its trailer."""
    context.set_trailing_metadata((("grpc-status-details-bin", refusal.SerializeToString()),))
    code = next(code for code in grpc.StatusCode if code.value[0] == refusal.code)
    context.abort(code, refusal.message)


def serve(scripted: Scripted, folder: Folder, port: int = 0) -> tuple[grpc.Server, int, health.HealthServicer]:
    """Start it; returns the server, its port and what its health is told through."""
    server = grpc.server(futures.ThreadPoolExecutor(8))
    scoring_pb2_grpc.add_ScoringServicer_to_server(scripted, server)
    scoring_pb2_grpc.add_FeedbackServicer_to_server(scripted, server)
    healthiness = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthiness, server)
    credentials = grpc.ssl_server_credentials(
        [(folder.server.key.read_bytes(), folder.server.certificate.read_bytes())],
        root_certificates=folder.ca.certificate.read_bytes(),
        require_client_auth=True,
    )
    port = server.add_secure_port(f"localhost:{port}", credentials)
    server.start()
    return server, port, healthiness


def connect(folder: Folder, port: int, deadline: float = 5.0) -> fraudgate.Client:
    """A client of the scorer on that port, as payments.example."""
    leaf = folder.client("payments.example")
    return fraudgate.Client(
        f"localhost:{port}", ca=folder.ca.certificate, certificate=leaf.certificate, key=leaf.key, deadline=deadline
    )
