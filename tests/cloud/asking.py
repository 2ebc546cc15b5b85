"""A PoP that asks the cloud at once, and the cloud that it asks: begun, stopped and held up by a test."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

import engine
from fraudgate.v1 import decision_pb2, transaction_pb2
from service import certificates
from service.cloud import config
from service.cloud.asked import Asked
from service.cloud.teacher import Teacher
from tests.cloud import edge
from tests.cloud.edge import POP, pop, teacher_of_shop
from tests.scorer import Scorer

# Of the payments below, two in five are uncertain.
BAND = {"control_share": 0.05, "labels": False, "from_risk": 48.0, "below_risk": 49.7, "hybrid": True}
PATIENT_S = 5.0
# Of this, half is left for the way back: the machine may be busy.
HURRIED_S = 1.0


class Forest:
    """The teacher's forest, which can be held up."""

    def __init__(self, teacher: Teacher) -> None:
        self._scorer = teacher.scorer
        self.goes = threading.Event()
        self.goes.set()

    def log_odds(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        self.goes.wait(30)
        return self._scorer.log_odds(rows)


@dataclass
class Cloud:
    """The service, to be begun and stopped on one port."""

    folder: certificates.Folder
    allow: tuple[str, ...] = ("dns:all.example",)
    port: int = 0
    forest: Forest = field(default_factory=lambda: Forest(teacher_of_shop()))
    _asked: Asked | None = None

    def start(self) -> None:
        server = self.folder.server
        told = {"certificate": server.certificate, "key": server.key, "client_ca": self.folder.ca.certificate}
        listen = {"listen": f"localhost:{self.port}", "allow": list(self.allow)}
        teacher = teacher_of_shop()._replace(scorer=self.forest)  # type: ignore[arg-type] # what is asked of it is there
        self._asked = Asked(config.Asked.model_validate(told | listen), {"shop": teacher})
        self.port = self._asked.start()

    def stop(self) -> None:
        self.forest.goes.set()
        if self._asked is not None:
            self._asked.stop()
        self._asked = None


class Shown:
    """The files that a PoP asks with: copies, to be replaced."""

    def __init__(self, folder: Path) -> None:
        self.certificate, self.key, self.ca = (folder / f"asking.{end}" for end in ("pem", "key", "ca"))

    def write(self, of: certificates.Folder, client: str) -> None:
        leaf = of.client(client)
        for file, content in ((self.certificate, leaf.certificate), (self.key, leaf.key), (self.ca, of.ca.certificate)):
            file.write_bytes(content.read_bytes())


@contextlib.contextmanager
def asking(
    path: Path, *, is_there: bool = True, allow: tuple[str, ...] = ("dns:all.example",), **settings: object
) -> Iterator[tuple[Scorer, Cloud]]:
    """A PoP that asks, and the cloud that it asks."""
    clouds: list[Cloud] = []

    def made(server: engine.Server, folder: certificates.Folder) -> None:
        cloud = Cloud(folder, allow)
        clouds.append(cloud)
        cloud.start()
        if not is_there:
            cloud.stop()
        shown = Shown(path)
        shown.write(folder, "all.example")
        asked = {"address": f"localhost:{cloud.port}", "pop": POP, "within_ms": 2_000, "spare_ms": 500, "in_flight": 64}
        asked |= {"failures": 3, "pause_ms": 200, **settings}
        server.ask_cloud(json.dumps(asked).encode(), shown.certificate, shown.key, shown.ca)

    with pop(path, rescore=BAND, made=made) as scorer:
        try:
            yield scorer, clouds[0]
        finally:
            clouds[0].stop()


def payment(number: int) -> transaction_pb2.Transaction:
    """Always the same for a number: one in three by the customer that pays often, of amounts in no order."""
    made = edge.payment(number * 467 % 10_007)
    made.id = f"t-{number}"
    made.event_time_us = 1_700_000_000_000_000 + number * 1_000
    made.entities[0].value = f"c-{number if number % 3 else 0}"
    return made


def score(scorer: Scorer, number: int, timeout: float | None = PATIENT_S) -> decision_pb2.Decision:
    """The answer to a payment, which has to come within `timeout`, or there is none."""
    call = scorer.channel().unary_unary("/fraudgate.v1.Scoring/Score")
    return decision_pb2.Decision.FromString(call(payment(number).SerializeToString(), timeout=timeout))


def is_uncertain(decision: decision_pb2.Decision) -> bool:
    return 48.0 <= decision.assessment.risk_score < 49.7


def until(stats: Callable[[], dict[str, int]], name: str, value: int, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while stats()[name] != value:
        assert time.monotonic() < deadline, (name, stats()[name])
        time.sleep(0.01)
