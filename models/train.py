"""The whole road: teacher and students, for each of them export, certificate and calibration, then the manifest."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import NamedTuple

import lightgbm
import numpy as np
from sklearn.metrics import brier_score_loss, log_loss

from models.calibrate import probability_table, risk_table
from models.canonical import sha256
from models.certify import Certificate, certify
from models.ensemble import read_ensemble
from models.evaluate import detection
from models.export import INPUT, OUTPUT, export
from models.manifest import FORMAT, Bundle, Manifest, Reduced, Teacher, TrainingWindow
from models.scorer import Scorer
from models.spec import ModelSpec
from models.student import distil
from models.table import Table
from models.teacher import teach
from models.training_set import DAY_US, Rows, Scores, TrainingSet, same_plan

LIBRARIES = ("lightgbm", "numpy", "onnx", "onnxmltools", "onnxruntime", "scikit-learn", "scipy")


@dataclass(frozen=True, eq=False)
class Sets:
    """What one training may see.

    training: labelled; the teacher learns its labels.
    held_out: labelled, not trained on; calibrates the probability and gives the metrics.
    recent: float32 [n, f], the newest rows, whose labels are still on their way: the student learns the teacher's
    scores on them too, and they are the reference of the risk score. It is rows alone, so that no label can be read.
    Raises PlanMismatch when training and held_out differ in plan, ValueError when recent has other columns.
    """

    training: TrainingSet
    held_out: TrainingSet
    recent: Rows

    def __post_init__(self) -> None:
        same_plan([self.training, self.held_out])
        if self.recent.ndim != 2 or self.recent.shape[1] != self.training.rows.shape[1]:
            raise ValueError(f"recent must be [n, {self.training.rows.shape[1]}], got {list(self.recent.shape)}")

    @staticmethod
    def at(
        history: TrainingSet, now_us: int, delay_days: int = 7, training_days: int = 7, held_out_days: int = 7
    ) -> Sets:
        """What is known at `now_us` (Unix microseconds) when labels come `delay_days` late.

        recent is the delay, training the days before it, held_out the days before those: the newest labels serve
        training, because fraud moves, and calibration suffers less from age than ranking does.
        """
        labelled_to_us = now_us - delay_days * DAY_US
        training_from_us = labelled_to_us - training_days * DAY_US
        return Sets(
            training=history.between(training_from_us, labelled_to_us),
            held_out=history.between(training_from_us - held_out_days * DAY_US, training_from_us),
            recent=history.between(labelled_to_us, now_us).rows,
        )


def train(sets: Sets, spec: ModelSpec) -> Bundle:
    """A certified, calibrated model. Equal sets and equal spec give equal bytes.

    Raises what its stages raise: CertificateError, CalibrationError, UnsupportedBooster, ValueError.
    """
    teacher = teach(sets.training, spec.teacher)
    distilled_rows = np.concatenate([sets.training.rows, sets.recent])
    student = _served(distil(teacher, distilled_rows, spec.student), distilled_rows, sets)
    reduced = _served(distil(teacher, distilled_rows, spec.reduced), distilled_rows, sets)
    again = _served(teacher, distilled_rows, sets)

    detections = {
        "student": detection(sets.held_out, student.held_out),
        "reduced": detection(sets.held_out, reduced.held_out),
        "teacher": detection(sets.held_out, again.held_out),
    }
    probabilities = student.probability.at(student.held_out)
    manifest = Manifest(
        format=FORMAT,
        name=spec.name,
        plan_digest=sets.training.plan_digest,
        features=sets.training.feature_names,
        input=INPUT,
        output=OUTPUT,
        onnx_sha256=sha256(student.model),
        student_sha256=sha256(student.text),
        probability=student.probability,
        risk=student.risk,
        reduced=Reduced(
            onnx_sha256=sha256(reduced.model),
            student_sha256=sha256(reduced.text),
            probability=reduced.probability,
            risk=reduced.risk,
            certificate=reduced.certificate,
        ),
        teacher=Teacher(
            onnx_sha256=sha256(again.model),
            teacher_sha256=sha256(again.text),
            probability=again.probability,
            risk=again.risk,
            certificate=again.certificate,
        ),
        training=TrainingWindow(
            from_us=int(sets.training.event_time_us.min()),
            to_us=int(sets.training.event_time_us.max()),
            rows=len(sets.training),
            frauds=int(sets.training.fraud.sum()),
            distilled_rows=len(distilled_rows),
        ),
        metrics={
            f"{who}_{name}": value for who, detects in detections.items() for name, value in asdict(detects).items()
        }
        | {
            "brier": float(brier_score_loss(sets.held_out.fraud, probabilities)),
            "log_loss": float(log_loss(sets.held_out.fraud, probabilities)),
        },
        certificate=student.certificate,
        parameters={
            "teacher": asdict(spec.teacher),
            "student": asdict(spec.student),
            "reduced": asdict(spec.reduced),
        },
        libraries={name: version(name) for name in LIBRARIES},
    )
    return Bundle(
        manifest,
        student.model,
        student.text,
        reduced.model,
        reduced.text,
        teacher=again.text,
        teacher_model=again.model,
    )


class _Served(NamedTuple):
    """A forest as it is served, and its scores of the held-out rows."""

    model: bytes
    text: bytes
    certificate: Certificate
    probability: Table
    risk: Table
    held_out: Scores


def _served(booster: lightgbm.Booster, rows: Rows, sets: Sets) -> _Served:
    model = export(booster)
    certificate = certify(booster, model, rows)
    ensemble = read_ensemble(model)
    lowest, highest = ensemble.lowest(), ensemble.highest()
    scorer = Scorer(model)
    held_out = scorer.log_odds(sets.held_out.rows).astype(np.float64)
    return _Served(
        model=model,
        text=booster.model_to_string().encode(),
        certificate=certificate,
        probability=probability_table(held_out, sets.held_out.fraud, lowest, highest),
        risk=risk_table(scorer.log_odds(sets.recent).astype(np.float64), lowest, highest),
        held_out=held_out,
    )
