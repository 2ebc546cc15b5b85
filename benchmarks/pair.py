"""Two servers beside each other, round by round, over the same wire: what one of them costs more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks import serve, servers
from benchmarks.machine import on_core, two_cores
from benchmarks.report import Row, table
from benchmarks.serve import Found, Shape, Size
from benchmarks.servers import Kind
from benchmarks.stage import prepare


def run(folder: Path, size: Size, kinds: tuple[Kind, Kind], shapes: Sequence[Shape]) -> Found:
    """Prepares, builds and measures. Raises what its parts raise."""
    server_core, load_core = two_cores()
    servers.build()
    stage = prepare(folder, size.history)
    found = Found()
    with servers.running(stage, server_core, kinds) as both:
        next_number = dict.fromkeys(both, size.history.transactions)
        for turn in range(size.rounds):
            for shape in shapes:
                # Who goes first in a round goes second in the next.
                for server in both if turn % 2 == 0 else both[::-1]:
                    with on_core(load_core):
                        report = serve.load(stage, server, shape, size, next_number[server])
                    next_number[server] = report["next"]
                    found.add(server.kind, shape, report)
    return found


def figures(prefix: str, found: Found) -> list[Row]:
    """Every figure."""
    return [
        Row(f"{prefix}{kind.name}/{shape}/{measure}", found.median(kind, shape, measure), serve.MEASURES[measure])
        for kind, shape in found.figures
        for measure in ("cpu_us", "p50_us", "p99_us")
    ]


def table_of(found: Found, shapes: Sequence[Shape]) -> str:
    """Every figure, for people."""
    lines = [
        [kind.name, str(shape), *(f"{found.median(kind, shape, of):,.1f}" for of in ("cpu_us", "p50_us", "p99_us"))]
        for kind, shape in sorted(found.figures, key=lambda cell: (shapes.index(cell[1]), cell[0].name))
    ]
    return table(["server", "in flight", "CPU us", "p50 us", "p99 us"], lines)


def tables(prefix: str, found: Found, shapes: Sequence[Shape], asked: Sequence[Row]) -> str:
    """Likewise, and what is asked of them."""
    told = [
        [row.name.removeprefix(prefix), f"{row.value:.3g}", row.target or "", "yes" if row.met else "NO"]
        for row in asked
    ]
    return table_of(found, shapes) + "\n\n" + table(["asked", "is", "target", "met"], told)
