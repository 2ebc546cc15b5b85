"""From log-odds to what people read: a fraud probability, and a risk score that keeps its meaning across models.

Gets scores of held-out labelled rows and of recent traffic, gives two tables that reach from the smallest to the
largest score the model can give.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from models.table import MAX_KNOTS, Table
from models.training_set import Labels, Scores

HIGHEST_RISK = 100.0
RISK_PER_DECADE = 20.0
LEAST_REFERENCE = 1000

ANCHORS = 32
PROBABILITY_FLOOR = 1e-9
# The share of a straight line in every table: no segment may be so flat that float64 merges two scores.
STRAIGHT = 2.0**-20


class CalibrationError(ValueError):
    """The rows given cannot carry a calibration."""


def probability_table(log_odds: Scores, fraud: Labels, lowest: float, highest: float) -> Table:
    """Fraud probability, from held-out rows whose labels are known.

    log_odds: float64 [n], fraud: bool [n]; rows the student was not trained on. `lowest` and `highest` are the
    smallest and largest score the model can give.
    Isotonic regression with its flat blocks drawn together to their centres, which makes it strictly increasing;
    32 anchors on Platt's sigmoid, each weighing as much as one row, carry it where no row fell.
    Raises CalibrationError when one class is absent, a score is out of range or the scores do not rise with fraud.
    Source: Oron, Flournoy 2017 (arXiv 1701.05964), centred isotonic regression; Platt 1999.
    """
    if fraud.all() or not fraud.any():
        raise CalibrationError("calibration needs frauds and genuine transactions with known labels")
    _refuse_out_of_range(log_odds, lowest, highest)
    platt = LogisticRegression().fit(log_odds[:, None], fraud)
    slope, intercept = float(platt.coef_[0, 0]), float(platt.intercept_[0])
    if slope <= 0.0:
        raise CalibrationError(f"fraud does not rise with the score (slope {slope:.3g}): the model ranks no better")
    anchors = np.linspace(lowest, highest, ANCHORS)
    sigmoid = np.clip(expit(slope * anchors + intercept), PROBABILITY_FLOOR, 1.0 - PROBABILITY_FLOOR)

    x = np.concatenate([log_odds, anchors])
    order = np.argsort(x, kind="stable")
    x = x[order]
    y = np.concatenate([fraud.astype(np.float64), sigmoid])[order]
    fitted = IsotonicRegression().fit_transform(x, y)
    block = np.concatenate([[0], np.cumsum(np.diff(fitted) > 0.0)])
    size = np.bincount(block)
    knots, values = np.bincount(block, x) / size, np.bincount(block, fitted) / size

    # Beyond the outermost blocks, on along Platt's slope.
    first, last = logit(values[0]) - slope * (knots[0] - lowest), logit(values[-1]) + slope * (highest - knots[-1])
    inside = (knots > lowest) & (knots < highest)
    knots, values = knots[inside], values[inside]
    kept = _evenly(logit(values))
    probability = np.concatenate([[expit(first)], values[kept], [expit(last)]])
    return _strictly(
        np.concatenate([[lowest], knots[kept], [highest]]),
        probability.clip(PROBABILITY_FLOOR, 1.0 - PROBABILITY_FLOOR),
        largest=1.0,
    )


def risk_table(reference: Scores, lowest: float, highest: float) -> Table:
    """Risk score 0..100 by rarity: 20 * log10(1 / share of reference traffic that scores at least as high).

    20 points are ten times rarer: 20 is the top 10 %, 40 the top 1 %, 60 the top 0.1 %; 100 is reached at one in
    100,000. reference: float64 [n], n >= 1000, scores of recent traffic, labels not needed. A share is counted
    as (rows at least as high) / (n + 1). Beyond the highest reference score no share can be counted: there the
    risk goes on along the line from the top 1 % to that score, as if the tail were exponential, and stays below
    100 until the model's largest possible score.
    Raises CalibrationError when the reference is too small, out of range, or one single score.
    """
    if len(reference) < LEAST_REFERENCE:
        raise CalibrationError(f"{len(reference)} reference scores; at least {LEAST_REFERENCE} are needed")
    _refuse_out_of_range(reference, lowest, highest)
    scores, counts = np.unique(reference, return_counts=True)
    if len(scores) < 2:
        raise CalibrationError("all reference scores are equal: the model tells no transaction from another")
    at_least = len(reference) - np.cumsum(counts) + counts
    risk = RISK_PER_DECADE * np.log10((len(reference) + 1) / at_least)

    tail = min(int(np.searchsorted(risk, 2 * RISK_PER_DECADE)), len(scores) - 2)
    slope = (risk[-1] - risk[tail]) / (scores[-1] - scores[tail])
    beyond = min(HIGHEST_RISK, risk[-1] + slope * (highest - scores[-1]))

    inside = (scores > lowest) & (scores < highest) & (risk < HIGHEST_RISK)
    scores, risk = scores[inside], risk[inside]
    kept = _evenly(risk)
    return _strictly(
        np.concatenate([[lowest], scores[kept], [highest]]),
        np.concatenate([[0.0], risk[kept], [beyond]]),
        largest=HIGHEST_RISK,
    )


def _refuse_out_of_range(log_odds: Scores, lowest: float, highest: float) -> None:
    if not np.all((log_odds >= lowest) & (log_odds <= highest)):
        raise CalibrationError(f"a score lies outside {lowest:.6g}..{highest:.6g}, what this model can give")


def _evenly(rising: Scores) -> npt.NDArray[np.intp]:
    """Which of the rising values to keep, so that with two ends they fit a table: as evenly spaced as there are."""
    if len(rising) <= MAX_KNOTS - 2:
        return np.arange(len(rising))
    wanted = np.linspace(rising[0], rising[-1], MAX_KNOTS - 2)
    return np.unique(np.searchsorted(rising, wanted).clip(max=len(rising) - 1))


def _strictly(x: Scores, y: Scores, largest: float) -> Table:
    """Make values that never fall rise strictly, on a grid.

    On multiples of 2^-53 of the power of two above `largest`, differences of values are exact; then interpolation
    cannot overshoot a knot, and a higher score never gets a lower value.
    """
    y = (1.0 - STRAIGHT) * np.maximum.accumulate(y) + STRAIGHT * largest * (x - x[0]) / (x[-1] - x[0])
    grid = 2.0 ** (np.ceil(np.log2(largest)) - 53)
    y = np.round(y / grid) * grid
    return Table(tuple(x.tolist()), tuple(y.tolist()))
