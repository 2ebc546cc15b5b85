"""Calls that come when they are due, whether or not earlier ones are answered, at half of what each server can take.

A closed loop waits with a server that stalls, and leaves out whom that would have kept waiting; here every call is
timed from when it was due. A server's peak is its own, of the closed loop just before. How late calls began is the
load's own doing, and for what the host of a virtual machine kept for others nobody here is to blame: both stand beside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks import serve, servers
from benchmarks.machine import on_core, stolen_s, two_cores
from benchmarks.report import Row, table
from benchmarks.serve import BUSY, Found, Shape, Size
from benchmarks.servers import Kind
from benchmarks.stage import prepare

HALF: Final = Shape("half of peak", 0)
# A tail needs more calls than a median does.
LONGER: Final = 5
MEASURES: Final = {
    "rate": "1/s",
    "cpu_us": "us",
    "p50_us": "us",
    "p99_us": "us",
    "p999_us": "us",
    "late_p999_us": "us",
    "stolen_ms": "ms",
}


def run(folder: Path, size: Size, kinds: Sequence[Kind]) -> Found:
    """Measures servers that are built. Raises what its parts raise."""
    server_core, load_core = two_cores()
    stage = prepare(folder, size.history)
    found = Found()
    longer = replace(size, seconds=LONGER * size.seconds)
    with servers.running(stage, server_core, kinds) as all_running:
        next_number = dict.fromkeys(all_running, size.history.transactions)
        for _ in range(size.rounds):
            for server in all_running:
                with on_core(load_core):
                    peak = serve.load(stage, server, BUSY, size, next_number[server])
                    stolen = stolen_s()
                    half = serve.load(stage, server, BUSY, longer, peak["next"], peak["rate"] / 2)
                    half["stolen_ms"] = (stolen_s() - stolen) * 1e3
                next_number[server] = half["next"]
                found.add(server.kind, BUSY, peak)
                found.add(server.kind, HALF, half, MEASURES)
    return found


def figures(prefix: str, found: Found) -> list[Row]:
    """Every figure of the open loop."""
    return [
        Row(f"{prefix}{kind.name}/{HALF.kind}/{measure}", found.median(kind, HALF, measure), unit)
        for kind, shape in found.figures
        if shape == HALF
        for measure, unit in MEASURES.items()
    ]


def tables(found: Found) -> str:
    """For people."""
    lines = [
        [kind.name, *(f"{found.median(kind, HALF, measure):,.0f}" for measure in MEASURES)]
        for kind, shape in found.figures
        if shape == HALF
    ]
    header = ["1/s", "CPU us", "p50 us", "p99 us", "p99.9 us", "began late, p99.9 us", "stolen ms"]
    return table(["open loop, half of its peak", *header], lines)
