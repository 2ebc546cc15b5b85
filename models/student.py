"""The student: a forest small enough for the edge, taught by the teacher's log-odds instead of the labels."""

from __future__ import annotations

import lightgbm
import numpy as np

from models.leaf_grid import on_leaf_grid
from models.spec import StudentSpec
from models.teacher import log_odds
from models.training_set import Rows, TrainingSet


def distil(teacher: lightgbm.Booster, rows: Rows, spec: StudentSpec) -> lightgbm.Booster:
    """Fit the teacher's log-odds by least squares; the result's raw score is log-odds.

    rows: float32 [n, f], columns in plan order, as the engine saw them. Labels are not needed, so transactions
    whose labels are still on their way teach as well as those of the training period.
    Returns a booster of at most `spec.trees` trees of `spec.leaves` leaves, on the leaf grid.
    Raises ValueError when rows have another number of columns than the teacher's features.
    Source: Hinton, Vinyals, Dean 2015 (arXiv 1503.02531); least squares on logits: Ba, Caruana 2014
    (arXiv 1312.6184).
    """
    names = teacher.feature_name()
    if rows.shape[1] != len(names):
        raise ValueError(f"the teacher knows {len(names)} features, the rows have {rows.shape[1]}")
    parameters = spec.lightgbm() | {"objective": "regression"}
    soft_targets = lightgbm.Dataset(rows, log_odds(teacher, rows), feature_name=names, params=parameters)
    return on_leaf_grid(lightgbm.train(parameters, soft_targets, spec.trees))


def train_on_labels(training: TrainingSet, spec: StudentSpec) -> lightgbm.Booster:
    """The rival of a distilled student: the same size, trained on the labels themselves.

    Its raw score is log-odds too, and it is on the leaf grid, so it can be exported and served.
    """
    parameters = spec.lightgbm() | {
        "objective": "binary",
        "boost_from_average": False,
        "min_sum_hessian_in_leaf": 1.0,
    }
    rows = lightgbm.Dataset(
        training.rows, training.fraud.astype(np.float32), feature_name=list(training.feature_names), params=parameters
    )
    return on_leaf_grid(lightgbm.train(parameters, rows, spec.trees))
