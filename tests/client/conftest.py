"""Certificates and a scripted scorer for the client's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from grpc_health.v1 import health

import fraudgate
from service import certificates
from tests.client.scorer import Scripted, connect, serve


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> certificates.Folder:
    path: Path = tmp_path_factory.mktemp("certificates") / "made"
    return certificates.make(path, clients=["payments.example"])


@pytest.fixture
def scorer(folder: certificates.Folder) -> Iterator[tuple[Scripted, int, health.HealthServicer]]:
    scripted = Scripted()
    server, port, healthiness = serve(scripted, folder)
    yield scripted, port, healthiness
    server.stop(None).wait()


@pytest.fixture
def scripted(scorer: tuple[Scripted, int, health.HealthServicer]) -> Scripted:
    return scorer[0]


@pytest.fixture
def client(
    scorer: tuple[Scripted, int, health.HealthServicer], folder: certificates.Folder
) -> Iterator[fraudgate.Client]:
    with connect(folder, scorer[1]) as connected:
        yield connected
