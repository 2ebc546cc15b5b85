"""A small trained program, and a scorer of it in a process of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

import fraudgate
from models.spec import ModelSpec, StudentSpec, TeacherSpec
from service import certificates, simulate, training
from service.tables import Tables


class Place(NamedTuple):
    """A folder with all that a scorer of the program `cards` needs."""

    folder: Path
    config: Path
    certificates: certificates.Folder
    tables: Tables


class Scorer(NamedTuple):
    """A running scorer."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    place: Place

    def connect(self, client: str = "payments.example", deadline: float = 5.0) -> fraudgate.Client:
        """As one of the place's clients."""
        folder = self.place.certificates
        leaf = folder.client(client)
        return fraudgate.Client(
            f"localhost:{self.port}",
            ca=folder.ca.certificate,
            certificate=leaf.certificate,
            key=leaf.key,
            deadline=deadline,
        )


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("place")
    made = certificates.make(
        folder / "certificates", clients=["payments.example", "scoring-only.example", "stranger.example"]
    )
    tables = Tables(*simulate.simulate(simulate.Scale(customers=400, terminals=600, days=35, seed=3)))
    plan = training.plan("handbook")
    spec = ModelSpec(teacher=TeacherSpec(trees=30, leaves=8, depth=3), student=StudentSpec(trees=10, leaves=8))
    rows = training.fold(plan, tables)
    bundle = training.trained(plan, rows, tables, training.now_us(tables, None), training.Periods(), spec)
    training.write(bundle, plan, folder / "trained")
    config = folder / "fraudgate.toml"
    config.write_text("""\
[server]
listen = "127.0.0.1:0"
certificate = "certificates/server.pem"
key = "certificates/server.key"
client_ca = "certificates/ca.pem"

[keys]
hash_key = "certificates/hash.key"

[[identity]]
name = "dns:payments.example"
allow = ["scoring", "feedback"]

[[identity]]
name = "dns:scoring-only.example"
allow = ["scoring"]

[program.cards]
plan = "trained/plan.json"
model = "trained/model"
mode = "decide"
challenge = 20.0
decline = 50.0
complete_since = 2026-01-01T00:00:00Z
""")
    return Place(folder, config, made, tables)


Start = Callable[..., AbstractContextManager[Scorer]]


@pytest.fixture
def start(place: Place, tmp_path: Path) -> Start:
    """Starts a scorer; keyword arguments are environment variables."""

    @contextmanager
    def started(**environment: str) -> Iterator[Scorer]:
        log = tmp_path / "scorer.log"
        with log.open("wb") as told:
            process = subprocess.Popen(
                [sys.executable, "-m", "service", "serve", "--config", str(place.config)],
                stdout=told,
                stderr=told,
                env={**os.environ, **environment},
            )
        try:
            yield Scorer(process, _port(process, log), log, place)
        finally:
            process.kill()
            process.wait()

    return started


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    """The port that it says it listens on."""

    ends = time.monotonic() + 60
    while time.monotonic() < ends and process.poll() is None:
        for line in log.read_text().splitlines():
            if '"listening"' in line:
                port: int = json.loads(line)["port"]
                return port
        time.sleep(0.05)
    raise RuntimeError(f"the scorer does not listen: {log.read_text()}")
