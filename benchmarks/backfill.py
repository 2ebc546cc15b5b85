"""What a whole table costs: features by the engine's fold beside what libraries of tables make of the same rows, once
and ten times over; and a file to a file of scores, end to end.

Each method has a process of its own, pinned to one core, and for features its columns in memory before the clock
begins; rounds go through all methods in turn, and figures are medians. All are checked to have computed the same.
`python -m benchmarks.backfill TIMES` measures features alone, of the rows so many times over.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks import serve, stage
from benchmarks.machine import two_cores
from benchmarks.peers import scored
from benchmarks.peers import tables as peers
from benchmarks.report import Row, at_most, table
from features import handbook
from service import simulate

PREFIX: Final = "backfill/"
DATA: Final = Path(os.environ.get("FRAUDGATE_DATA", "../shared/data")) / "handbook_raw_dev.parquet"
# Peers count what happened in the same second too; so much may sums differ.
TIES: Final = 1e-3
# The fastest of the peers, which alone are asked for many rows.
FASTEST: Final = ("fraudgate", "numpy", "polars")
# A virtual machine of its own, which takes a minute: one round will do.
SLOWEST: Final = "spark"
FEATURES: Final = "features"
TENFOLD: Final = "features of ten times the rows"
SCORED: Final = "file to file of scores"
# What is asked of ours beside the fastest: of its CPU time, and of its memory.
LIMITS: Final = {FEATURES: (1 / 2, 1 / 2), TENFOLD: (1 / 4, 1 / 2), SCORED: (1 / 1.8, None)}


@dataclass
class Measured:
    """CPU seconds and the growth of peak memory (MB) of each method at one thing, a value for each round."""

    rows: int
    cpu_s: dict[str, list[float]] = field(default_factory=dict)
    mb: dict[str, list[float]] = field(default_factory=dict)
    sums: dict[str, list[float]] = field(default_factory=dict)

    def add(self, method: str, told: dict[str, Any]) -> None:
        """Take a round's figures in."""
        self.cpu_s.setdefault(method, []).append(told["cpu_s"])
        self.mb.setdefault(method, []).append(told["peak_mb"] - told["before_mb"])
        self.sums[method] = told["sums"]

    def fastest_peer(self) -> str:
        """Of those that are not ours."""
        return min((name for name in self.cpu_s if name != "fraudgate"), key=lambda name: median(self.cpu_s[name]))

    def differing(self) -> str | None:
        """Which method computed something else."""
        for name, each in self.sums.items():
            for ours, theirs in zip(self.sums["fraudgate"], each, strict=True):
                if abs(ours - theirs) > TIES * abs(ours):
                    return f"{name} computed something else: {theirs}, ours {ours}"
        return None


@dataclass
class Found:
    """By what was measured."""

    measured: dict[str, Measured]

    @property
    def first_error(self) -> str | None:
        """A method that computed something else, or nothing."""
        return next((error for each in self.measured.values() if (error := each.differing())), None)


def run(folder: Path, size: serve.Size) -> Found:
    """Prepares and measures. A method that fails stops the run."""
    smoke = size.rounds == 1
    prepared = stage.prepare(folder, size.history)
    path = folder / "backfill.parquet"
    rows = _prepare(path, smoke=smoke)
    rounds = min(size.rounds, 3)
    times = 2 if smoke else 10
    once = features(path, rows, 1, [name for name in peers.METHODS if name != SLOWEST], rounds)
    if not smoke:
        once.add(SLOWEST, _alone("benchmarks.peers.tables", SLOWEST, str(path), "1"))
    found = Found({FEATURES: once})
    found.measured[TENFOLD] = features(path, rows, times, FASTEST, 1)
    found.measured[SCORED] = Measured(rows)
    for _ in range(rounds):
        for name in scored.METHODS:
            out = folder / "scored"
            shutil.rmtree(out, ignore_errors=True)
            told = _alone("benchmarks.peers.scored", name, str(prepared.path), str(path), str(out))
            found.measured[SCORED].add(name, told)
    return found


def features(path: Path, rows: int, times: int, methods: Sequence[str], rounds: int) -> Measured:
    """Each method's features of the rows so many times over."""
    measured = Measured(rows * times)
    for _ in range(rounds):
        for name in methods:
            measured.add(name, _alone("benchmarks.peers.tables", name, str(path), str(times)))
    return measured


def _prepare(path: Path, *, smoke: bool) -> int:
    """The Handbook's transactions where they are, else a world of our own; returns how many."""
    if DATA.exists() and not smoke:
        transactions, labels = handbook.read(DATA)
        fraud = pc.is_in(transactions["transaction_id"], labels["transaction_id"].combine_chunks())
        transactions = transactions.append_column("fraud", fraud)
    else:
        scale = simulate.Scale(customers=200, terminals=400, days=50) if smoke else simulate.Scale(days=120)
        transactions, _ = simulate.simulate(scale)
        # Peers take all rows for purchases, in UTC.
        transactions = transactions.drop_columns(["kind", "utc_offset_minutes", "currency", "scenario"])
    pq.write_table(transactions, path)
    return len(transactions)


def _alone(module: str, *arguments: str) -> dict[str, Any]:
    core, _ = two_cores()
    command = [sys.executable, "-m", module, *arguments]
    alone = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["taskset", "-c", str(core), *command], check=True, capture_output=True, text=True, env={**os.environ, **alone}
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def rows(found: Found) -> list[Row]:
    """Every figure, and after them what is asked of them."""
    figures = []
    for what, measured in found.measured.items():
        figures += [Row(f"{PREFIX}{what}/{name}/cpu", median(each), "s") for name, each in measured.cpu_s.items()]
        figures += [Row(f"{PREFIX}{what}/{name}/memory", median(each), "MB") for name, each in measured.mb.items()]
    return figures + _asked(found)


def _asked(found: Found) -> list[Row]:
    asked = []
    for what, measured in found.measured.items():
        peer, (most_cpu, most_memory) = measured.fastest_peer(), LIMITS[what]
        shares = zip(measured.cpu_s["fraudgate"], measured.cpu_s[peer], strict=True)
        cpu = median(one / other for one, other in shares)
        asked.append(at_most(f"{PREFIX}cpu of {what} over the fastest peer", cpu, "x", most_cpu))
        if most_memory is not None:
            memory = median(measured.mb["fraudgate"]) / max(median(measured.mb[peer]), 1.0)
            asked.append(at_most(f"{PREFIX}memory of {what} over the fastest peer", memory, "x", most_memory))
    once, tenfold = found.measured[FEATURES], found.measured[TENFOLD]
    flat = (median(tenfold.cpu_s["fraudgate"]) / tenfold.rows) / (median(once.cpu_s["fraudgate"]) / once.rows)
    asked.append(at_most(f"{PREFIX}cpu a row of {TENFOLD} over once", flat, "x", 1.1))
    return asked


def tables(found: Found) -> str:
    """For people."""
    shown = []
    for what, measured in found.measured.items():
        lines = [
            [name, f"{median(measured.cpu_s[name]):.2f}", f"{median(measured.mb[name]):,.0f}"]
            for name in sorted(measured.cpu_s, key=lambda name: median(measured.cpu_s[name]))
        ]
        shown.append(table([f"{what}: {measured.rows:,}", "CPU s", "MB"], lines))
    asked = [
        [row.name.removeprefix(PREFIX), f"{row.value:.3g}", row.target or "", "yes" if row.met else "NO"]
        for row in _asked(found)
    ]
    return "\n\n".join([*shown, table(["asked", "is", "target", "met"], asked)])


def main(times: int) -> None:
    """Prints what features of the rows cost, so many times over."""
    path = Path("build/bench/backfill.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    measured = features(path, _prepare(path, smoke=False), times, FASTEST, 1)
    lines = [[name, f"{cpu[0]:.2f}", f"{measured.mb[name][0]:,.0f}"] for name, cpu in measured.cpu_s.items()]
    print(table([f"features: {measured.rows:,}", "CPU s", "MB"], lines))
    if error := measured.differing():
        sys.exit(error)


if __name__ == "__main__":
    main(int(sys.argv[1]))
