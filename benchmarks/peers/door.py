"""What both Python servers say of themselves: who they are, how their methods are called, and where they listen."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import grpc

from benchmarks.stage import Stage
from fraudgate.v1.scoring_pb2 import ScoreBatchRequest, ScoreStreamRequest
from fraudgate.v1.transaction_pb2 import Transaction

OPTIONS: Final = [("grpc.so_reuseport", 0), ("grpc.optimization_target", "throughput")]
ADDRESS: Final = "127.0.0.1:0"


def arguments() -> tuple[Stage, bool]:
    """The stage, and whether to be an echo: `STAGE [--echo]`."""
    folder, *flags = sys.argv[1:]
    return Stage(Path(folder)), flags == ["--echo"]


def credentials(stage: Stage) -> grpc.ServerCredentials:
    """Mutual TLS; with clients that speak nothing older it is 1.3."""
    ca, server = stage.certificates.ca, stage.certificates.server
    return grpc.ssl_server_credentials(
        [(server.key.read_bytes(), server.certificate.read_bytes())],
        root_certificates=ca.certificate.read_bytes(),
        require_client_auth=True,
    )


def echo(score: Any) -> grpc.GenericRpcHandler:
    """The service with a method that takes and gives bytes."""
    return _service({"Score": grpc.unary_unary_rpc_method_handler(score)})


def scoring(score: Any, score_batch: Any, score_stream: Any) -> grpc.GenericRpcHandler:
    """The service with methods that take messages and give bytes."""
    return _service(
        {
            "Score": grpc.unary_unary_rpc_method_handler(score, Transaction.FromString),
            "ScoreBatch": grpc.unary_unary_rpc_method_handler(score_batch, ScoreBatchRequest.FromString),
            "ScoreStream": grpc.stream_stream_rpc_method_handler(score_stream, ScoreStreamRequest.FromString),
        }
    )


def _service(methods: dict[str, Any]) -> grpc.GenericRpcHandler:
    return grpc.method_handlers_generic_handler("fraudgate.v1.Scoring", methods)
