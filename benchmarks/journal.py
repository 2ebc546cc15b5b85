"""What the journal costs and saves: the full road with it beside the full road without, round by round, over the same
wire; calls that do not wait, beside the best Python servers that we could write; and what it takes to come back.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import open as open_loop
from benchmarks import pair, recovery, serve
from benchmarks.open import HALF
from benchmarks.report import Row, at_most, table
from benchmarks.serve import BUSY, LONE, SMOKE, Shape, Size
from benchmarks.servers import AIO, ECHO, FULL, JOURNALED, SYNC

PREFIX: Final = "journal/"
SHAPES: Final = (LONE, Shape("unary", 8), BUSY)


@dataclass(frozen=True)
class Found:
    """What was measured on and off, in an open loop, and of coming back."""

    pair: serve.Found
    open: serve.Found
    recovery: recovery.Found

    @property
    def first_error(self) -> str | None:
        """The first answer that was none."""
        return self.pair.first_error or self.open.first_error


def run(folder: Path, size: Size) -> Found:
    """Prepares, builds and measures. Raises what its parts raise."""
    beside = pair.run(folder, size, (FULL, JOURNALED), SHAPES)
    # Beside what is asked: the same road without a journal, and the transport alone.
    arriving = open_loop.run(folder, size, (JOURNALED, FULL, ECHO, SYNC, AIO))
    back = recovery.run(folder, recovery.SMOKE if size == SMOKE else recovery.WHOLE)
    return Found(beside, arriving, back)


def rows(found: Found) -> list[Row]:
    """Every figure, and after them what is asked of them."""
    return pair.figures(PREFIX, found.pair) + open_loop.figures(PREFIX, found.open) + _asked(found)


def _asked(found: Found) -> list[Row]:
    on, off = found.pair.figures[JOURNALED, LONE]["p50_us"], found.pair.figures[FULL, LONE]["p50_us"]
    more = median(one - other for one, other in zip(on, off, strict=True))
    share = found.pair.ratio("cpu_us", (JOURNALED, BUSY), (FULL, BUSY))
    best = min((SYNC, AIO), key=lambda kind: found.open.median(kind, HALF, "p999_us"))
    tail = found.open.ratio("p999_us", (JOURNALED, HALF), (best, HALF))
    return [
        at_most(f"{PREFIX}cpu on over off, unary-64", share, "x", 1.12),
        at_most(f"{PREFIX}p50 on less off, unary-1", more, "us", 6),
        at_most(f"{PREFIX}p99.9 of journaled over Python, each at half of its peak", tail, "x", 1 / 10),
        *recovery.rows(PREFIX, found.recovery),
    ]


def tables(found: Found) -> str:
    """For people."""
    met = {True: "yes", False: "NO", None: ""}
    asked = [
        [row.name.removeprefix(PREFIX), f"{row.value:,.4g}", row.target or "", met[row.met]] for row in _asked(found)
    ]
    return "\n\n".join(
        [
            pair.table_of(found.pair, SHAPES),
            open_loop.tables(found.open),
            table(["asked", "is", "target", "met"], asked),
        ]
    )
