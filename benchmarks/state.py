"""What histories cost, in one process of `memory_cost`: bytes a live event, and CPU time with few cards and many, with
few live events of each and many. Slices of all four go in turn, and figures are medians.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.machine import on_core, two_cores
from benchmarks.report import Row, at_most, table
from benchmarks.serve import Size
from benchmarks.servers import ROOT

PREFIX: Final = "state/"
# Cards, live events of each, slices, and what the cards of the corners are divided by. Memory comes in pages of 2 MiB:
# one of them is a quarter of a byte for each of so many events (with 10,000 cards one run says 22.1, the next 24.1).
WHOLE: Final = ("40000", "100", "150", "1")
SMOKE: Final = ("1000", "100", "1", "100")


@dataclass
class Found:
    """What the example printed: memory, then a line for each corner, the smallest first."""

    memory: dict[str, Any]
    corners: list[dict[str, Any]]
    first_error: str | None = None


def run(_folder: Path, size: Size) -> Found:
    """Builds and measures."""
    core, _ = two_cores()
    command = ["cargo", "run", "--release", "--locked", "--quiet", "-p", "fraudgate-server", "--example", "memory_cost"]
    with on_core(core):
        done = subprocess.run(
            [*command, "--", *(SMOKE if size.rounds == 1 else WHOLE)],
            cwd=ROOT,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    memory, *corners = map(json.loads, done.stdout.splitlines())
    return Found(memory, corners)


def rows(found: Found) -> list[Row]:
    """Every figure, and after them what is asked of them."""
    figures = [
        Row(f"{PREFIX}{_name(corner)}/{what}", corner[what], "ns")
        for corner in found.corners
        for what in ("ns_a_transaction", "ns_of_its_state")
    ]
    return figures + _asked(found)


def _asked(found: Found) -> list[Row]:
    first, *others = found.corners
    asked = [at_most(f"{PREFIX}bytes a live event and entity", found.memory["bytes_an_event_and_entity"], "B", 24)]
    for corner in others:
        share = corner["ns_a_transaction"] / first["ns_a_transaction"]
        asked.append(at_most(f"{PREFIX}cpu with {_name(corner)} over {_name(first)}", share, "x", 1.3))
    return asked


def _name(corner: dict[str, Any]) -> str:
    return f"{corner['cards']:,} cards of {corner['live_events_a_card']:,} events"


def tables(found: Found) -> str:
    """For people."""
    lines = [
        [_name(corner), f"{corner['ns_a_transaction']:,}", f"{corner['ns_of_its_state']:,}"] for corner in found.corners
    ]
    asked = [
        [row.name.removeprefix(PREFIX), f"{row.value:.3g}", row.target or "", "yes" if row.met else "NO"]
        for row in _asked(found)
    ]
    shown = table(["CPU ns a transaction", "on the road", "its state"], lines)
    return shown + "\n\n" + table(["asked", "is", "target", "met"], asked)
