"""Which transactions repeat an id: they get the first answer, or are refused, as long as the first is remembered.

Only rows whose id comes more than once are looked at, in their order; `order.py` knows how many rows lie between them.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

MOST: Final = 10_000_000
"""Rows that may share their id with another."""
_DRAIN: Final = 1_024

Longs = npt.NDArray[np.int64]


class Repeats(NamedTuple):
    """The transactions that are not taken although the gate admitted them, in their order.

    nths: how many the gate admitted before each. firsts: of a retransmission the place of its first among the rows that
    share an id; -1 of one that is refused.
    """

    rows: Longs
    nths: Longs
    firsts: Longs

    def refused(self) -> Longs:
        """The rows whose id stood in an earlier row with other values."""
        return self.rows[self.firsts < 0]

    def before(self, nths: Longs) -> Longs:
        """How many of them come before rows of which so many were admitted before."""
        return np.searchsorted(self.nths, nths)


NONE: Final = Repeats(*(np.empty(0, np.int64) for _ in Repeats._fields))


def repeats(sharing: pa.Table, known_ids: int, *, drain: int = _DRAIN) -> Repeats:
    """What becomes of rows that share an id, in their order: nth, row, id, payload.

    known_ids: so many of the ids taken last are remembered. Raises ValueError for more rows than can be looked at.
    """
    if len(sharing) > MOST:
        raise ValueError(f"{len(sharing):,} rows share an id with another, {MOST:,} may on Spark: leave --spark out")
    remembered = max(known_ids, drain)
    taken: dict[bytes, tuple[int, int, bytes]] = {}
    found: list[tuple[int, int, int]] = []
    columns = (sharing[name].to_pylist() for name in ("nth", "row", "id", "payload"))
    for place, (nth, row, id_, payload) in enumerate(zip(*columns, strict=True)):
        position = nth - len(found)
        first = taken.get(id_)
        if first is None or first[0] < position - remembered:
            taken[id_] = (position, place, payload)
        else:
            found.append((row, nth, first[1] if first[2] == payload else -1))
    return Repeats(*np.array(found, np.int64).reshape(-1, 3).T) if found else NONE
