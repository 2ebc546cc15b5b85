"""What an outage costs: the journaled road whose broker and cloud are away beside one that has none, round by round.

Transactions are marked and wait in the journal, the forwarder waits for a delivery, and its client tries to connect.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from benchmarks import pair
from benchmarks.report import Row, at_most
from benchmarks.serve import BUSY, LONE, Found, Size
from benchmarks.servers import AWAY, JOURNALED

PREFIX: Final = "outage/"
SHAPES: Final = (LONE, BUSY)


def run(folder: Path, size: Size) -> Found:
    """Prepares, builds and measures. Raises what its parts raise."""
    return pair.run(folder, size, (JOURNALED, AWAY), SHAPES)


def rows(found: Found) -> list[Row]:
    """Every figure, and after them what is asked of them."""
    return pair.figures(PREFIX, found) + _asked(found)


def _asked(found: Found) -> list[Row]:
    asked = []
    for shape in SHAPES:
        for measure in ("cpu_us", "p99_us"):
            share = found.ratio(measure, (AWAY, shape), (JOURNALED, shape))
            asked.append(at_most(f"{PREFIX}{measure} in the outage over before, {shape}", share, "x", 1.1))
    return asked


def tables(found: Found) -> str:
    """For people."""
    return pair.tables(PREFIX, found, SHAPES, _asked(found))
