"""What every server of the serving benchmarks is given, in one folder: certificates, plan, policy, model and history.

The model is trained as the product trains it: a teacher on labels, a student of 100 trees of 31 leaves distilled from
it, exported, certified leaf by leaf and calibrated.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from benchmarks import traffic
from features import handbook
from features.fold import fold
from models.spec import ModelSpec, TeacherSpec
from models.train import Sets, train
from models.training_set import TrainingSet
from service import certificates

PROGRAM: Final = handbook.PLAN.name
CLIENT: Final = "bench.example"
POLICY: Final = {
    "format": 1,
    "mode": "decide",
    "challenge": 40.0,
    "hold": None,
    "decline": 60.0,
    "card_number_in_key": "hash",
}
# The student is what is served: the teacher need not be the best.
SPEC: Final = ModelSpec(name="bench", teacher=TeacherSpec(trees=100))
TRAINING_DAYS: Final = 21


@dataclass(frozen=True)
class Stage:
    """The folder."""

    path: Path

    @property
    def certificates(self) -> certificates.Folder:
        """A server's, and one client's: CLIENT."""
        return certificates.Folder(self.path / "certificates")

    @property
    def plan(self) -> bytes:
        """The compiled plan."""
        return (self.path / "plan.json").read_bytes()

    @property
    def policy(self) -> bytes:
        """The compiled policy."""
        return (self.path / "policy.json").read_bytes()

    @property
    def manifest(self) -> bytes:
        """The model's manifest."""
        return (self.path / "model" / "manifest.json").read_bytes()

    @property
    def onnx(self) -> bytes:
        """The model."""
        return (self.path / "model" / "model.onnx").read_bytes()

    @property
    def transactions(self) -> pa.Table:
        """The history: see `traffic.history`."""
        return parquet.read_table(self.path / "transactions.parquet")

    @property
    def labels(self) -> pa.Table:
        """The history's labels."""
        return parquet.read_table(self.path / "labels.parquet")


@cache
def prepare(path: Path, span: traffic.Span) -> Stage:
    """Make the folder anew, once for all that ask for this history."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    stage = Stage(path)
    certificates.make(stage.certificates.path, clients=[CLIENT])
    (path / "plan.json").write_bytes(handbook.PLAN.compile().json)
    (path / "policy.json").write_bytes(json.dumps(POLICY, sort_keys=True, separators=(",", ":")).encode())
    transactions, labels = traffic.history(span)
    parquet.write_table(transactions, path / "transactions.parquet")
    parquet.write_table(labels, path / "labels.parquet")
    seen = _training_set(transactions, labels, TRAINING_DAYS * traffic.DAY_US // span.step_us)
    now_us = int(seen.event_time_us[-1]) + span.step_us
    train(Sets.at(seen, now_us), SPEC).write(path / "model")
    return stage


def _training_set(transactions: pa.Table, labels: pa.Table, newest: int) -> TrainingSet:
    """So many of the newest, as the engine sees them after those before."""
    plan = handbook.PLAN.compile()
    rows = fold(plan, transactions, labels, complete_since_us=traffic.COMPLETE_SINCE_US)
    frauds = pc.is_in(transactions["transaction_id"], labels["transaction_id"])
    last = slice(-newest, None)
    return TrainingSet(
        rows=rows[last],
        fraud=frauds.to_numpy()[last],
        event_time_us=transactions["event_time_us"].to_numpy()[last],
        card=transactions["customer"].to_numpy()[last],
        feature_names=plan.features,
        plan_digest=plan.digest,
    )
