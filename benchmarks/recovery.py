"""What it costs to come back, and to make ready for it: replay, snapshots taken and loaded, by the engine's examples.

Neither wire nor model is in it. Replay and loading are told in seconds of a core, start to serving on the clock.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks import servers
from benchmarks.report import Row, at_least, at_most

EXAMPLES: Final = ("journal_cost", "snapshot_cost")


@dataclass(frozen=True)
class Shape:
    """Inputs that are journaled in each size of drain, and before a snapshot; arrivals a second while one is taken, and
    seconds of them without one.
    """

    replayed: int
    held: int
    rate: int
    seconds: float


WHOLE: Final = Shape(replayed=300_000, held=10_000_000, rate=20_000, seconds=2)
SMOKE: Final = Shape(replayed=5_000, held=20_000, rate=2_000, seconds=0.1)


@dataclass(frozen=True)
class Found:
    """What the two examples printed, of so much."""

    shape: Shape
    journal: list[dict[str, Any]]
    snapshot: dict[str, Any]


def run(folder: Path, shape: Shape) -> Found:
    """Builds the examples and runs them, in folders that are made anew. Raises what they end with."""
    build = ["cargo", "build", "--release", "--locked", "--quiet", "-p", "fraudgate-server"]
    subprocess.run(build + [f"--example={name}" for name in EXAMPLES], cwd=servers.ROOT, check=True)
    journal = _printed(folder, "journal_cost", shape.replayed)
    return Found(shape, journal, _printed(folder, "snapshot_cost", shape.held, shape.rate, shape.seconds))


def _printed(folder: Path, example: str, *words: float) -> Any:
    fresh = folder / example
    shutil.rmtree(fresh, ignore_errors=True)
    command = [str(servers.TARGET / "examples" / example), str(fresh), *map(str, words)]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    shutil.rmtree(fresh)
    return json.loads(printed)


def rows(prefix: str, found: Found) -> list[Row]:
    """Every figure that something is asked of, and what it was measured with."""
    snapshot = found.snapshot
    clock, core = snapshot["by_the_clock"], snapshot["on_the_core"]
    under_way = f"p99.9 with a snapshot under way over without, {snapshot['arrivals_a_second']:,.0f} a second"
    held = f"{found.shape.held:,} inputs"
    replayed = [
        at_least(
            f"{prefix}replayed a second of a core, drains of {line['drain']}", line["replayed_a_second"], "1/s", 5e5
        )
        for line in found.journal
        if "replayed_a_second" in line
    ]
    return [
        *replayed,
        at_least(f"{prefix}replay over loading, {held}", snapshot["ratio"], "x", 10),
        at_most(f"{prefix}start from a snapshot, {held}", snapshot["start_s"], "s", 5),
        Row(f"{prefix}a slice of a snapshot, median on the core", core["slices"]["p50_us"], "us"),
        Row(f"{prefix}a slice of a snapshot, p99.9 on the core", core["slices"]["p999_us"], "us"),
        at_most(f"{prefix}a slice of a snapshot, longest on the core", core["slices"]["most_us"], "us", 50),
        Row(f"{prefix}a slice of a snapshot, longest by the clock", clock["slices"]["most_us"], "us"),
        Row(f"{prefix}a snapshot's cut, longest on the core", core["cuts"]["most_us"], "us"),
        at_most(f"{prefix}{under_way}", _tail(clock), "x", 1.5),
        Row(f"{prefix}{under_way}, on the core", _tail(core), "x"),
    ]


def _tail(measured: dict[str, Any]) -> float:
    ratio: float = measured["with"]["p999_us"] / measured["without"]["p999_us"]
    return ratio
