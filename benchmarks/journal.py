"""What the journal costs: the full road with it beside the full road without, round by round, over the same wire."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import pair
from benchmarks.report import Row, at_most
from benchmarks.serve import BUSY, LONE, Found, Shape, Size
from benchmarks.servers import FULL, JOURNALED

PREFIX: Final = "journal/"
SHAPES: Final = (LONE, Shape("unary", 8), BUSY)


def run(folder: Path, size: Size) -> Found:
    """Prepares, builds and measures. Raises what its parts raise."""
    return pair.run(folder, size, (FULL, JOURNALED), SHAPES)


def rows(found: Found) -> list[Row]:
    """Every figure, and after them what is asked of them."""
    return pair.figures(PREFIX, found) + _asked(found)


def _asked(found: Found) -> list[Row]:
    on, off = found.figures[JOURNALED, LONE]["p50_us"], found.figures[FULL, LONE]["p50_us"]
    more = median(one - other for one, other in zip(on, off, strict=True))
    share = found.ratio("cpu_us", (JOURNALED, BUSY), (FULL, BUSY))
    return [
        at_most(f"{PREFIX}cpu on over off, unary-64", share, "x", 1.12),
        at_most(f"{PREFIX}p50 on less off, unary-1", more, "us", 6),
    ]


def tables(found: Found) -> str:
    """For people."""
    return pair.tables(PREFIX, found, SHAPES, _asked(found))
