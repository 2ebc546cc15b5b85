"""Boosters and rows at random, full of the values that tell comparisons apart."""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np

QUIET = {"verbosity": -1, "num_threads": 1, "deterministic": True, "force_row_wise": True, "min_data_in_leaf": 1}
ZERO_ENDS_AT = np.float32(1e-35)
TELLING = np.array(
    [
        0.0,
        -0.0,
        np.nan,
        np.inf,
        -np.inf,
        1e-45,
        -1e-38,
        ZERO_ENDS_AT,
        -ZERO_ENDS_AT,
        np.nextafter(ZERO_ENDS_AT, np.float32(1)),
        np.nextafter(-ZERO_ENDS_AT, np.float32(-1)),
        1.0,
        np.nextafter(np.float32(1), np.float32(2)),
        np.finfo(np.float32).max,
        np.finfo(np.float32).min,
        16777217.0,
        0.1,
    ],
    dtype=np.float32,
)


def rows_with_telling_values(random: np.random.Generator, n: int, columns: int, share: float) -> Any:
    rows = random.normal(scale=10.0 ** random.integers(-3, 4), size=(n, columns)).astype(np.float32)
    told = random.random(rows.shape) < share
    rows[told] = random.choice(TELLING, int(told.sum()))
    return rows


def grown(rows: Any, seed: int = 0, trees: int = 8, **parameters: Any) -> lightgbm.Booster:
    """A booster whose target depends on every column, missing values included."""
    random = np.random.default_rng(seed)
    with np.errstate(invalid="ignore", over="ignore"):
        target = (np.tanh(np.nan_to_num(rows, nan=0.5)) @ random.normal(size=rows.shape[1])).astype(np.float64)
    if parameters.get("objective") == "binary":
        target = target > np.median(target)
    chosen = QUIET | {"objective": "regression"} | parameters
    return lightgbm.train(chosen, lightgbm.Dataset(rows, target, params=chosen), trees)
