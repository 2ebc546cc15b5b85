"""What the journal costs: the full road with it beside the full road without, round by round, over the same wire."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import serve, servers, traffic
from benchmarks.machine import on_core, two_cores
from benchmarks.report import Row, at_most, table
from benchmarks.serve import BUSY, LONE, Found, Shape, Size
from benchmarks.servers import FULL, JOURNALED
from benchmarks.stage import prepare

PREFIX: Final = "journal/"
SHAPES: Final = (LONE, Shape("unary", 8), BUSY)


def run(folder: Path, size: Size) -> Found:
    """Prepares, builds and measures. Raises what its parts raise."""
    server_core, load_core = two_cores()
    servers.build()
    stage = prepare(folder, size.days)
    found = Found()
    with servers.running(stage, server_core, (FULL, JOURNALED)) as both:
        next_number = dict.fromkeys(both, size.days * traffic.A_DAY)
        for turn in range(size.rounds):
            for shape in SHAPES:
                # Who goes first in a round goes second in the next.
                for server in both if turn % 2 == 0 else both[::-1]:
                    with on_core(load_core):
                        report = serve.load(stage, server, shape, size, next_number[server])
                    next_number[server] = report["next"]
                    found.add(server.kind, shape, report)
    return found


def rows(found: Found) -> list[Row]:
    """Every figure, and after them what is asked of them."""
    figures = [
        Row(f"{PREFIX}{kind.name}/{shape}/{measure}", found.median(kind, shape, measure), serve.MEASURES[measure])
        for kind, shape in found.figures
        for measure in ("cpu_us", "p50_us", "p99_us")
    ]
    return figures + _asked(found)


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
    lines = [
        [kind.name, str(shape), *(f"{found.median(kind, shape, of):,.1f}" for of in ("cpu_us", "p50_us", "p99_us"))]
        for kind, shape in sorted(found.figures, key=lambda cell: (SHAPES.index(cell[1]), cell[0].name))
    ]
    asked = [
        [row.name.removeprefix(PREFIX), f"{row.value:.3g}", row.target or "", "yes" if row.met else "NO"]
        for row in _asked(found)
    ]
    header = ["server", "in flight", "CPU us", "p50 us", "p99 us"]
    return table(header, lines) + "\n\n" + table(["asked", "is", "target", "met"], asked)
