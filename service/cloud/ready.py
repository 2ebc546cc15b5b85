"""A calibration table made ready for batches: the same bits as `Table.at`, without a search for each row.

The log-odds are cut into buckets of one width. A row's bucket tells a knot at or below it, a few before the last such
one; it steps on from there. A search among 512 knots costs more than all else of a row but for the model.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from models.table import Table

Scores = npt.NDArray[np.float64]

_BUCKETS: Final = 1 << 14
# With more knots than this in one bucket, searching is faster than stepping.
_STEPS: Final = 8


class Ready:
    """Made from a table once; `at` is a pure function of the log-odds."""

    def __init__(self, table: Table) -> None:
        self._table = table
        knots, values = np.array(table.log_odds), np.array(table.value)
        self._lowest, self._highest = knots[0], knots[-1]
        self._scale = _BUCKETS / (self._highest - self._lowest)
        # One bucket back, so that rounding never puts a row behind its knot.
        edges = self._lowest + (np.arange(_BUCKETS + 1) - 1) / self._scale
        begins = np.searchsorted(knots, edges, side="right") - 1
        self._begins = begins.clip(0, len(knots) - 2).astype(np.int32)
        self._is_even = int(np.diff(begins).max(initial=0)) <= _STEPS
        self._next = np.append(knots[1:-1], np.inf)
        self._x0, self._y0 = knots[:-1].copy(), values[:-1].copy()
        self._width, self._rise = np.diff(knots), np.diff(values)

    def at(self, log_odds: Scores) -> Scores:
        """float64 [n] to float64 [n], as `Table.at`."""
        if not self._is_even:
            return self._table.at(log_odds)
        x = log_odds.clip(self._lowest, self._highest)
        place = self._begins.take(((x - self._lowest) * self._scale).astype(np.int32), mode="clip")
        while (late := x >= self._next.take(place)).any():
            place += late
        x -= self._x0.take(place)
        x /= self._width.take(place)
        x *= self._rise.take(place)
        x += self._y0.take(place)
        return x
