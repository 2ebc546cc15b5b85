"""A PoP of tests/scorer.py whose `shop` is scored again, and the cloud that does it, without a broker between."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import engine
from fraudgate.v1 import rescore_pb2, transaction_pb2
from models.scorer import Scorer as Forest
from models.table import Table
from service import certificates
from service.cloud.ready import Ready
from service.cloud.teacher import Teacher
from tests.scorer import FEATURES, Program, Scorer, running_scorer, small_model
from tests.stream.records import Record, purchase

POP = "ams1"
KEY = bytes(range(32))
RESCORED = "rescored"


@dataclass
class Shipping:
    """The topic of requests in memory, whose broker can be away."""

    requests: list[rescore_pb2.RescoreRequest] = field(default_factory=list)
    reversals: list[rescore_pb2.Reversal] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)
    away: bool = False

    def publish(self, kind: str, key: str, value: bytes) -> None:
        assert key == POP
        self.values.append(value)
        if kind == "request":
            self.requests.append(rescore_pb2.RescoreRequest.FromString(value))
        else:
            self.reversals.append(rescore_pb2.Reversal.FromString(value))

    def flush(self) -> None:
        if self.away:
            raise OSError("the broker is away")

    def sequences(self) -> list[int]:
        return [i for request in self.requests for i in np.frombuffer(request.sequence, "<u8").tolist()]


@dataclass
class Telling:
    """The topic of decisions in memory, as the PoP reads it."""

    values: list[bytes] = field(default_factory=list)

    def publish(self, pop: str, decisions: bytes) -> None:
        assert pop == POP
        self.values.append(decisions)

    def flush(self) -> None:
        pass

    def records(self) -> list[Record]:
        return [Record(value, at, on=RESCORED) for at, value in enumerate(self.values)]


@contextlib.contextmanager
def pop(
    path: Path,
    *,
    rescore: dict[str, object] | None = None,
    spool_inputs: int = 1_000_000,
    promise: str = "written",
    made: Callable[[engine.Server, certificates.Folder], None] | None = None,
    **policy: object,
) -> Iterator[Scorer]:
    """A PoP with a journal. Everything is of the control share unless `rescore` says otherwise.

    made: see `running_scorer`.
    """
    declared = {"control_share": 1.0, "labels": False} if rescore is None else rescore
    plan = FEATURES.compile()
    program = Program(
        "shop",
        {"rescore": declared, "challenge": 70.0, "decline": 80.0, **policy},
        small_model(plan.digest, plan.features),
    )
    journal = {
        "folder": str(path / "journal"),
        "promise": promise,
        "segment_bytes": 1 << 20,
        "buffer_bytes": 1 << 24,
        "sync_ms": 10,
        "retain_bytes": None,
        "retain_s": None,
        "spool_inputs": spool_inputs,
        "snapshot_bytes": None,
        "snapshot_inputs": None,
        "snapshots": 2,
    }
    configured: dict[str, object] = {"journal": journal, "ahead_us": None}
    with running_scorer(path, journal_key=KEY, programs=[program], made=made, **configured) as scorer:
        yield scorer


def payment(number: int) -> transaction_pb2.Transaction:
    """A purchase, always the same for a number, of an amount that the forest tells from others."""
    made = purchase(number)
    made.amount_minor = number * 37 % 18_000
    return made


def teacher_of_shop() -> Teacher:
    """The model of tests/scorer.py with other tables: what the edge takes for harmless it would decline."""
    plan = FEATURES.compile()
    manifest, onnx = small_model(plan.digest, plan.features)
    read = json.loads(manifest)
    return Teacher(
        digest=bytes(32),
        plan_digest=bytes.fromhex(plan.digest),
        features=tuple(read["features"]),
        scorer=Forest(onnx),
        probability=Ready(Table((-20.0, 20.0), (0.001, 0.999))),
        risk=Ready(Table((-20.0, -0.4, -0.2, 20.0), (0.0, 40.0, 90.0, 100.0))),
    )
