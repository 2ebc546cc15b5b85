"""What a call costs: the full road beside this engine's echo, the best Python servers that we could write, and theirs.

Every server has one core and the load another; all speak mutual TLS 1.3 with one connection of the same client. Rounds
go through all servers and shapes in turn, so that whatever else the machine does meets all alike; figures are medians
over rounds, and what is compared is compared within a round. CPU time is all of the server's process, counted over
calls that begin and end with nothing in flight.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

from benchmarks import servers, traffic
from benchmarks.machine import on_core, resident_mb, two_cores
from benchmarks.report import Row, at_most, table
from benchmarks.servers import AIO, ECHO, FULL, SYNC, Kind, Running
from benchmarks.stage import CLIENT, PROGRAM, Stage, prepare

PREFIX: Final = "serve/"
MEASURES: Final = {"cpu_us": "us", "p50_us": "us", "p99_us": "us", "p999_us": "us", "rate": "1/s", "errors": ""}


class Shape(NamedTuple):
    """How transactions travel, and how many of them are in flight."""

    kind: str
    in_flight: int

    def __str__(self) -> str:
        return f"{self.kind}-{self.in_flight}"


LONE: Final = Shape("unary", 1)
BUSY: Final = Shape("unary", 64)
STREAM: Final = Shape("stream", 64)
BATCH: Final = Shape("batch", 64)
SHAPES: Final = (LONE, Shape("unary", 8), BUSY, STREAM, BATCH)


@dataclass(frozen=True)
class Size:
    """How much is measured: the history, rounds, and of each shape in each round calls to warm up and seconds."""

    history: traffic.Span
    rounds: int
    warm_up: int
    seconds: float


# The history is longer than the longest reach (30 days, 7 days ago) and what may come late after it.
WHOLE: Final = Size(traffic.Span.of(days=75), rounds=7, warm_up=200, seconds=0.7)
SMOKE: Final = Size(traffic.Span.of(days=45, a_day=960), rounds=1, warm_up=50, seconds=0.01)


@dataclass
class Found:
    """What was measured, by server and shape, a value for each round; and resident memory by server, in MB."""

    figures: dict[tuple[Kind, Shape], dict[str, list[float]]] = field(default_factory=dict)
    resident: dict[Kind, float] = field(default_factory=dict)
    first_error: str | None = None

    def add(self, kind: Kind, shape: Shape, report: dict[str, Any], measures: Mapping[str, str] = MEASURES) -> None:
        """Keeps one report of the load."""
        cell = self.figures.setdefault((kind, shape), {measure: [] for measure in measures})
        for measure, values in cell.items():
            values.append(report[measure])
        self.first_error = self.first_error or report["first_error"]

    def median(self, kind: Kind, shape: Shape, measure: str) -> float:
        """Over the rounds; errors are summed."""
        values = self.figures[kind, shape][measure]
        return sum(values) if measure == "errors" else median(values)

    def ratio(self, measure: str, one: tuple[Kind, Shape], other: tuple[Kind, Shape]) -> float:
        """The median over rounds of what one was of the other."""
        pairs = zip(self.figures[one][measure], self.figures[other][measure], strict=True)
        return median(value / reference for value, reference in pairs)


def run(folder: Path, size: Size) -> Found:
    """Prepares, builds and measures. Raises what its parts raise: a server or load that fails stops everything."""
    server_core, load_core = two_cores()
    servers.build()
    stage = prepare(folder, size.history)
    found = Found()
    with servers.running(stage, server_core) as all_running:
        next_number = dict.fromkeys(all_running, size.history.transactions)
        for _ in range(size.rounds):
            for shape in SHAPES:
                for server in all_running:
                    if server.kind.echo and shape.kind != "unary":
                        continue
                    with on_core(load_core):
                        report = load(stage, server, shape, size, next_number[server])
                    next_number[server] = report["next"]
                    found.add(server.kind, shape, report)
        found.resident = {server.kind: resident_mb(server.pid) for server in all_running}
    return found


def load(
    stage: Stage, server: Running, shape: Shape, size: Size, first: int, rate: float | None = None
) -> dict[str, Any]:
    """What the load saw. rate: calls a second in an open loop, whatever is in flight; None is a closed loop."""
    client = stage.certificates.client(CLIENT)
    orders = {
        "port": server.port,
        "server_pid": server.pid,
        "ca": str(stage.certificates.ca.certificate),
        "certificate": str(client.certificate),
        "key": str(client.key),
        "shape": shape.kind,
        "in_flight": shape.in_flight,
        "rate": rate,
        "warm_up": size.warm_up,
        "seconds": size.seconds,
        "first": first,
        "program": PROGRAM,
        "start_us": traffic.START_US,
        "step_us": size.history.step_us,
        "customers": traffic.CUSTOMERS,
        "terminals": traffic.TERMINALS,
    }
    command = [str(servers.TARGET / "fraudgate-load"), json.dumps(orders)]
    report: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return report


def rows(found: Found) -> list[Row]:
    """Every figure, and after them what is asked of them."""
    figures = [
        Row(f"{PREFIX}{kind.name}/{shape}/{measure}", found.median(kind, shape, measure), unit)
        for kind, shape in found.figures
        for measure, unit in MEASURES.items()
    ]
    figures += [Row(f"{PREFIX}{kind.name}/resident", megabytes, "MB") for kind, megabytes in found.resident.items()]
    return figures + list(_asked(found))


def _asked(found: Found) -> Iterable[Row]:
    def ratio(name: str, measure: str, one: tuple[Kind, Shape], other: tuple[Kind, Shape], limit: float) -> Row:
        return at_most(f"{PREFIX}{name}", found.ratio(measure, one, other), "x", limit)

    busiest = min((AIO, SYNC), key=lambda kind: found.median(kind, BUSY, "cpu_us"))
    fastest = min((AIO, SYNC), key=lambda kind: found.median(kind, LONE, "p50_us"))
    yield ratio("cpu of full over echo, unary-64", "cpu_us", (FULL, BUSY), (ECHO, BUSY), 2.2)
    yield ratio("cpu of full over Python, unary-64", "cpu_us", (FULL, BUSY), (busiest, BUSY), 1 / 8)
    yield ratio("p50 of full over echo, unary-1", "p50_us", (FULL, LONE), (ECHO, LONE), 1.4)
    yield ratio("p50 of full over Python, unary-1", "p50_us", (FULL, LONE), (fastest, LONE), 1 / 2)
    yield ratio("cpu of stream-64 over unary-64, full", "cpu_us", (FULL, STREAM), (FULL, BUSY), 1 / 2)
    yield ratio("cpu of batch-64 over unary-64, full", "cpu_us", (FULL, BATCH), (FULL, BUSY), 1 / 2)
    yield at_most(f"{PREFIX}errors", sum(found.median(*cell, "errors") for cell in found.figures), "", 0)


def tables(found: Found) -> str:
    """For people."""
    header = ["server", "in flight", "CPU us", "p50 us", "p99 us", "p99.9 us", "1/s", "errors", "MB"]
    lines = [
        [kind.name, str(shape)]
        + [f"{found.median(kind, shape, measure):,.{1 if unit == 'us' else 0}f}" for measure, unit in MEASURES.items()]
        + [f"{found.resident[kind]:,.0f}"]
        for kind, shape in sorted(found.figures, key=lambda cell: (SHAPES.index(cell[1]), servers.KINDS.index(cell[0])))
    ]
    asked = [
        [row.name.removeprefix(PREFIX), f"{row.value:.3g}", row.target or "", "yes" if row.met else "NO"]
        for row in _asked(found)
    ]
    return table(header, lines) + "\n\n" + table(["asked", "is", "target", "met"], asked)
