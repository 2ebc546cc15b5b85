"""Chooses a spec on folds of the past: the smallest student that is as good as the best, within the noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import lightgbm
import numpy as np

from models.evaluate import Detection, detection
from models.prequential import Fold
from models.spec import ModelSpec, StudentSpec, TeacherSpec
from models.student import distil
from models.teacher import log_odds, teach
from models.training_set import TrainingSet

CANDIDATES: tuple[ModelSpec, ...] = tuple(
    ModelSpec(teacher=teacher, student=student)
    for teacher in (
        TeacherSpec(),
        TeacherSpec(600, leaves=8, depth=3, learning_rate=0.03, min_hessian=0.3, row_share=0.8, feature_share=0.8),
        TeacherSpec(1000, leaves=4, depth=2, learning_rate=0.05, row_share=0.7, feature_share=0.7),
        TeacherSpec(600, 31, depth=5, learning_rate=0.03, path_smooth=30.0, row_share=0.7, feature_share=0.7),
    )
    for student in (
        StudentSpec(trees=100, leaves=31),
        StudentSpec(trees=100, leaves=16),
        StudentSpec(trees=50, leaves=31),
        StudentSpec(trees=100, leaves=8),
    )
)


class UnknownYet(ValueError):
    """A fold would judge candidates by labels that are not known when the choice is made."""


@dataclass(frozen=True)
class Trial:
    """One candidate, and how its student detects on each fold."""

    spec: ModelSpec
    folds: tuple[Detection, ...]

    @property
    def average_precision(self) -> float:
        """Mean over the folds."""
        return float(np.mean([fold.average_precision for fold in self.folds]))

    @property
    def size(self) -> int:
        """Leaves of the student, all trees together: what an answer at the edge costs."""
        return self.spec.student.trees * self.spec.student.leaves


def select(
    history: TrainingSet, folds: Sequence[Fold], before_us: int, candidates: Sequence[ModelSpec] = CANDIDATES
) -> tuple[ModelSpec, tuple[Trial, ...]]:
    """The chosen spec and all trials, the best average precision first.

    Each candidate is trained and assessed on each fold, exactly as it will be in production: the student learns
    the training period and the unlabelled delay. Chosen is the smallest student whose mean average precision lies
    within one standard error of the best one's, where the error is of the difference to the best, fold by fold;
    among equal sizes the better one.
    before_us: the training week's first moment (Unix microseconds).
    Raises UnknownYet when a fold's assessed period ends later, ValueError with fewer than two folds.
    Source: Breiman et al. 1984, the one-standard-error rule; Le Borgne et al., chapter 5.
    """
    if len(folds) < 2:
        raise ValueError(f"{len(folds)} folds; the error of a mean needs at least two")
    for fold in folds:
        if fold.assessed_to_us > before_us:
            raise UnknownYet(
                f"a fold is assessed up to {fold.assessed_to_us} us, the choice is made for {before_us} us"
            )
    detections: dict[ModelSpec, list[Detection]] = {spec: [] for spec in candidates}
    for fold in folds:
        training, delay, assessed = fold.training(history), fold.delay(history), fold.assessed(history)
        rows = np.concatenate([training.rows, delay.rows])
        taught: dict[TeacherSpec, lightgbm.Booster] = {}
        for spec, so_far in detections.items():
            if spec.teacher not in taught:
                taught[spec.teacher] = teach(training, spec.teacher)
            student = distil(taught[spec.teacher], rows, spec.student)
            so_far.append(detection(assessed, log_odds(student, assessed.rows)))
    trials = [Trial(spec, tuple(found)) for spec, found in detections.items()]
    trials.sort(key=lambda trial: -trial.average_precision)
    as_good = [trial for trial in trials if _within_one_error(trials[0], trial)]
    return min(as_good, key=lambda trial: (trial.size, -trial.average_precision)).spec, tuple(trials)


def _within_one_error(best: Trial, other: Trial) -> bool:
    behind = [b.average_precision - o.average_precision for b, o in zip(best.folds, other.folds, strict=True)]
    return bool(np.mean(behind) <= np.std(behind, ddof=1) / np.sqrt(len(behind)))
