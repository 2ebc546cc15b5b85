"""The teacher: a large forest on the labels of the training period. Gets rows and labels, gives log-odds.

It stands on the leaf grid, so that the cloud scores with exactly what the students learnt from.
"""

from __future__ import annotations

import lightgbm
import numpy as np

from models.leaf_grid import on_leaf_grid
from models.spec import TeacherSpec
from models.training_set import Rows, Scores, TrainingSet


def teach(training: TrainingSet, spec: TeacherSpec) -> lightgbm.Booster:
    """A LightGBM binary classifier whose raw score is the log-odds of fraud, on the leaf grid.

    Raises ValueError when the training period lacks frauds or genuine transactions.
    """
    if training.fraud.all() or not training.fraud.any():
        raise ValueError("a teacher needs frauds and genuine transactions in its training period")
    parameters = spec.lightgbm()
    rows = lightgbm.Dataset(
        training.rows, training.fraud.astype(np.float32), feature_name=list(training.feature_names), params=parameters
    )
    return on_leaf_grid(lightgbm.train(parameters, rows, spec.trees))


def log_odds(booster: lightgbm.Booster, rows: Rows) -> Scores:
    """LightGBM's own raw scores, float64 [n]: the oracle for everything that is exported."""
    return np.asarray(booster.predict(rows, raw_score=True), dtype=np.float64)
