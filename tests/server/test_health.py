"""grpc.health.v1, by its own client."""

from __future__ import annotations

import threading
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.scorer import Scorer, running_scorer

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


def _health(scorer: Scorer, identity: str = "nothing") -> health_pb2_grpc.HealthStub:
    return health_pb2_grpc.HealthStub(scorer.channel(identity))


@pytest.mark.parametrize("service", ["", "fraudgate.v1.Scoring", "fraudgate.v1.Feedback"])
def test_whoever_is_authenticated_may_ask_for_health(scorer: Scorer, service: str) -> None:
    request = health_pb2.HealthCheckRequest(service=service)
    assert _health(scorer).Check(request, timeout=10).status == SERVING


def test_a_service_that_is_not_there_is_not_found_and_unknown_to_watchers(scorer: Scorer) -> None:
    request = health_pb2.HealthCheckRequest(service="fraudgate.v1.Nothing")
    with pytest.raises(grpc.RpcError) as raised:
        _health(scorer).Check(request, timeout=10)
    assert raised.value.code() == grpc.StatusCode.NOT_FOUND
    watch = _health(scorer).Watch(request, timeout=10)
    assert next(watch).status == SERVICE_UNKNOWN
    watch.cancel()


def test_a_watcher_is_told_when_the_server_leaves(tmp_path: Path) -> None:
    with running_scorer(tmp_path) as scorer:
        watch = _health(scorer).Watch(health_pb2.HealthCheckRequest(), timeout=20)
        assert next(watch).status == SERVING
        draining = threading.Thread(target=scorer.server.drain, args=(10.0,))
        draining.start()
        assert next(watch).status == NOT_SERVING
        with pytest.raises(grpc.RpcError) as raised:
            next(watch)
        assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
        draining.join()
