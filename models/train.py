"""The whole road: teacher, student, export, certificate, calibration, manifest."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import version

import numpy as np
from sklearn.metrics import brier_score_loss, log_loss

from models.calibrate import probability_table, risk_table
from models.canonical import sha256
from models.certify import certify
from models.ensemble import read_ensemble
from models.evaluate import detection
from models.export import INPUT, OUTPUT, export
from models.manifest import FORMAT, Bundle, Manifest, TrainingWindow
from models.scorer import Scorer
from models.spec import ModelSpec
from models.student import distil
from models.teacher import log_odds, teach
from models.training_set import DAY_US, Rows, TrainingSet, same_plan

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
    student = distil(teacher, distilled_rows, spec.student)
    model = export(student)
    certificate = certify(student, model, distilled_rows)

    ensemble = read_ensemble(model)
    lowest, highest = ensemble.lowest(), ensemble.highest()
    scorer = Scorer(model)
    held_out = scorer.log_odds(sets.held_out.rows).astype(np.float64)
    probability = probability_table(held_out, sets.held_out.fraud, lowest, highest)
    risk = risk_table(scorer.log_odds(sets.recent).astype(np.float64), lowest, highest)

    student_text, teacher_text = (booster.model_to_string().encode() for booster in (student, teacher))
    student_detects = detection(sets.held_out, held_out)
    teacher_detects = detection(sets.held_out, log_odds(teacher, sets.held_out.rows))
    manifest = Manifest(
        format=FORMAT,
        name=spec.name,
        plan_digest=sets.training.plan_digest,
        features=sets.training.feature_names,
        input=INPUT,
        output=OUTPUT,
        onnx_sha256=sha256(model),
        student_sha256=sha256(student_text),
        teacher_sha256=sha256(teacher_text),
        probability=probability,
        risk=risk,
        training=TrainingWindow(
            from_us=int(sets.training.event_time_us.min()),
            to_us=int(sets.training.event_time_us.max()),
            rows=len(sets.training),
            frauds=int(sets.training.fraud.sum()),
            distilled_rows=len(distilled_rows),
        ),
        metrics={f"student_{name}": value for name, value in asdict(student_detects).items()}
        | {f"teacher_{name}": value for name, value in asdict(teacher_detects).items()}
        | {
            "brier": float(brier_score_loss(sets.held_out.fraud, probability.at(held_out))),
            "log_loss": float(log_loss(sets.held_out.fraud, probability.at(held_out))),
        },
        certificate=certificate,
        parameters={"teacher": asdict(spec.teacher), "student": asdict(spec.student)},
        libraries={name: version(name) for name in LIBRARIES},
    )
    return Bundle(manifest, model, student_text, teacher_text)
