"""A strictly increasing piecewise-linear function of the log-odds, as the engine evaluates it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.training_set import Scores

MAX_KNOTS = 512


@dataclass(frozen=True)
class Table:
    """Knots (log_odds[i], value[i]), 2 to 512 of them, both columns strictly increasing and finite.

    Raises ValueError when they are not.
    """

    log_odds: tuple[float, ...]
    value: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.log_odds) != len(self.value) or not 2 <= len(self.log_odds) <= MAX_KNOTS:
            raise ValueError(f"a table has 2 to {MAX_KNOTS} knots, got {len(self.log_odds)} and {len(self.value)}")
        for name, column in (("log_odds", self.log_odds), ("value", self.value)):
            if not np.all(np.isfinite(column)) or np.any(np.diff(column) <= 0.0):
                raise ValueError(f"{name} must be finite and strictly increasing")

    def at(self, log_odds: Scores) -> Scores:
        """The value at each log-odds (float64 [n] or a number); outside the knots, the nearest knot's value.

        The engine does the same operations in the same order, all in float64, so that both give the same bits: the
        last knot not above x (the last but one at most), then y0 + (y1 - y0) * ((x - x0) / (x1 - x0)).
        """
        knots, values = np.asarray(self.log_odds), np.asarray(self.value)
        x = np.clip(np.asarray(log_odds, dtype=np.float64), knots[0], knots[-1])
        i = np.minimum(np.searchsorted(knots, x, side="right") - 1, len(knots) - 2)
        x0, x1, y0, y1 = knots[i], knots[i + 1], values[i], values[i + 1]
        interpolated: Scores = y0 + (y1 - y0) * ((x - x0) / (x1 - x0))
        return interpolated
