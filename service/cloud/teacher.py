"""The teacher of a bundle, as the cloud runs it: rows in, what a policy can decide on out."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fraudgate.v1 import rescore_pb2
from models.manifest import Bundle, digest_at
from models.scorer import Scorer
from service.cloud.columns import Answers, Malformed, verdicts
from service.cloud.ready import Ready


class Teacher(NamedTuple):
    """A loaded teacher: of which plan its rows are, its graph and its tables."""

    digest: bytes
    """SHA-256 of the bundle's manifest."""
    plan_digest: bytes
    features: tuple[str, ...]
    scorer: Scorer
    probability: Ready
    risk: Ready

    def score(self, rows: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Fraud probability and risk score of float32 rows [n, f]: float64 [n] each."""
        log_odds = self.scorer.log_odds(rows).astype(np.float64)
        return self.probability.at(log_odds), self.risk.at(log_odds)


class Teachers:
    """The teachers of a cloud, by program: the one place where a request finds the one that scores it."""

    def __init__(self, teachers: Mapping[str, Teacher]) -> None:
        self._teachers = teachers

    def of(self, head: rescore_pb2.RescoreRequest) -> Teacher:
        """The teacher of a request's program and plan. Raises Malformed where there is none."""
        teacher = self._teachers.get(head.program)
        if teacher is None:
            raise Malformed("program: has no teacher here")
        if teacher.plan_digest != head.plan_digest:
            raise Malformed("plan_digest: is another plan than the teacher's")
        return teacher


def load(bundle: Path, digest: str | None = None) -> Teacher:
    """The teacher at `bundle`. `digest` pins the bundle; without one, whatever lies there is taken.

    Raises models.manifest.BundleError where the bundle is damaged or another one.
    """
    return load_bundle(Bundle.read(bundle, digest_at(bundle) if digest is None else digest))


def load_bundle(read: Bundle) -> Teacher:
    """The teacher of a bundle that was read."""
    told = read.manifest.teacher
    return Teacher(
        digest=bytes.fromhex(read.digest),
        plan_digest=bytes.fromhex(read.manifest.plan_digest),
        features=read.manifest.features,
        scorer=read.teacher_scorer(),
        probability=Ready(told.probability),
        risk=Ready(told.risk),
    )


def answers(
    probability: npt.NDArray[np.float64], risk: npt.NDArray[np.float64], thresholds: rescore_pb2.Thresholds
) -> Answers:
    """Scores with the verdict of the policy that the rows were answered under."""
    return Answers(probability, risk, verdicts(risk, thresholds))
