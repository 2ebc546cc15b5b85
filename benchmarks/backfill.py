"""What features of a whole table cost: the engine's fold beside what libraries of tables make of the same rows.

Each method has a process of its own, pinned to one core, and its columns in memory before the clock begins; rounds go
through all methods in turn, and figures are medians. All are checked to have computed the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks import serve
from benchmarks.machine import two_cores
from benchmarks.peers.tables import METHODS
from benchmarks.report import Row, at_most, table
from features import handbook
from service import simulate

PREFIX: Final = "backfill/"
DATA: Final = Path(os.environ.get("FRAUDGATE_DATA", "../shared/data")) / "handbook_raw_dev.parquet"
# Peers count what happened in the same second too; so much may sums differ.
TIES: Final = 1e-3


@dataclass
class Found:
    """CPU seconds and the growth of peak memory (MB) of each method, a value for each round."""

    rows: int = 0
    cpu_s: dict[str, list[float]] = field(default_factory=dict)
    mb: dict[str, list[float]] = field(default_factory=dict)
    first_error: str | None = None

    def fastest_peer(self) -> str:
        """Of those that are not ours."""
        return min((name for name in self.cpu_s if name != "fraudgate"), key=lambda name: median(self.cpu_s[name]))


def run(folder: Path, size: serve.Size) -> Found:
    """Prepares and measures. A method that fails, or computes something else, is told of and stops the run."""
    core, _ = two_cores()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "backfill.parquet"
    found = Found(rows=_prepare(path, smoke=size.rounds == 1))
    sums: dict[str, list[float]] = {}
    for _ in range(min(size.rounds, 3)):
        for name in METHODS:
            told = _measure(name, path, core)
            found.cpu_s.setdefault(name, []).append(told["cpu_s"])
            found.mb.setdefault(name, []).append(told["peak_mb"] - told["before_mb"])
            sums[name] = told["sums"]
    for name, each in sums.items():
        for ours, theirs in zip(sums["fraudgate"], each, strict=True):
            if abs(ours - theirs) > TIES * abs(ours):
                found.first_error = found.first_error or f"{name} computed other features: {theirs}, ours {ours}"
    return found


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


def _measure(name: str, path: Path, core: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.peers.tables", name, str(path)]
    alone = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["taskset", "-c", str(core), *command], check=True, capture_output=True, text=True, env={**os.environ, **alone}
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def rows(found: Found) -> list[Row]:
    """Every figure, and after them what is asked of them."""
    figures = [Row(f"{PREFIX}{name}/cpu", median(found.cpu_s[name]), "s") for name in found.cpu_s]
    figures += [Row(f"{PREFIX}{name}/memory", median(found.mb[name]), "MB") for name in found.mb]
    return figures + _asked(found)


def _asked(found: Found) -> list[Row]:
    peer = found.fastest_peer()
    cpu = median(one / other for one, other in zip(found.cpu_s["fraudgate"], found.cpu_s[peer], strict=True))
    memory = median(found.mb["fraudgate"]) / max(median(found.mb[peer]), 1.0)
    return [
        at_most(f"{PREFIX}cpu of features over the fastest peer", cpu, "x", 1 / 2),
        at_most(f"{PREFIX}memory of features over the fastest peer", memory, "x", 1 / 2),
    ]


def tables(found: Found) -> str:
    """For people."""
    lines = [
        [name, f"{median(found.cpu_s[name]):.2f}", f"{median(found.mb[name]):,.0f}"]
        for name in sorted(found.cpu_s, key=lambda name: median(found.cpu_s[name]))
    ]
    asked = [
        [row.name.removeprefix(PREFIX), f"{row.value:.3g}", row.target or "", "yes" if row.met else "NO"]
        for row in _asked(found)
    ]
    shown = table([f"features of {found.rows:,} rows", "CPU s", "MB"], lines)
    return shown + "\n\n" + table(["asked", "is", "target", "met"], asked)
