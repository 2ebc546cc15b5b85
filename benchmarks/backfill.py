"""What a whole table costs: features by the engine's fold beside what libraries of tables make of the same rows, once
and ten times over; and a file to a file of scores, end to end. On one core, and then on both.

Each method has a process of its own, pinned to its cores, and for features its columns in memory before the clock
begins; rounds go through all methods in turn, and figures are medians. All are checked to have computed the same.
`python -m benchmarks.backfill TIMES` measures ours alone, of the rows once and so many times over.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
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
# On both cores ours is to end first.
BOTH: Final = {FEATURES: f"{FEATURES} on both cores", SCORED: f"{SCORED} on both cores"}
# What many rows may cost, a row, beside few.
FLAT: Final = 1.1

Cores = tuple[int, ...]
Told = dict[str, Any]
"""What a method says of one round: see `benchmarks.peers.cost.cost`, and `sums` of what it computed."""


@dataclass
class Measured:
    """What each method told of one thing, round by round, on these cores."""

    rows: int
    cores: Cores
    told: dict[str, list[Told]] = field(default_factory=dict)

    def add(self, method: str, told: Told) -> None:
        """Take a round in."""
        self.told.setdefault(method, []).append({**told, "mb": told["peak_mb"] - told["before_mb"]})

    def figure(self, method: str, measure: str) -> float:
        """The median over rounds: `cpu_s`, `elapsed_s`, or `mb`, by which the process grew at most."""
        return float(median(told[measure] for told in self.told[method]))

    def over_the_fastest(self, measure: str) -> tuple[str, float]:
        """The peer that takes least, and what ours takes beside it: the median over rounds in which both ran."""
        peer = min((name for name in self.told if name != "fraudgate"), key=lambda name: self.figure(name, measure))
        pairs = zip(self.told["fraudgate"], self.told[peer], strict=False)
        return peer, median(ours[measure] / theirs[measure] for ours, theirs in pairs)

    def differing(self) -> str | None:
        """Which method computed something else."""
        first = self.told["fraudgate"][0]["sums"]
        for name, rounds in self.told.items():
            for told in rounds:
                if error := differing(name, first, told["sums"], TIES):
                    return error
        return None


def differing(name: str, ours: Sequence[float], theirs: Sequence[float], tolerance: float) -> str | None:
    """That sums differ, if they do."""
    for one, other in zip(ours, theirs, strict=True):
        # What is no number differs too.
        if not abs(one - other) <= tolerance * abs(one):
            return f"{name} computed something else: {other}, ours {one}"
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
    rows = world(path, smoke=smoke)
    both = two_cores()
    one = both[:1]
    quick = [name for name in peers.METHODS if name != SLOWEST]
    times, once, scores = 2 if smoke else 10, (FEATURES, BOTH[FEATURES]), (SCORED, BOTH[SCORED])
    found = Found(
        {
            what: Measured(rows, cores)
            for names in (once, scores)
            for what, cores in zip(names, (one, both), strict=True)
        }
    )
    for _ in range(min(size.rounds, 3)):
        for what in once:
            features(found.measured[what], path, quick)
        for what in scores:
            for name in scored.METHODS:
                found.measured[what].add(name, _scored(found.measured[what].cores, name, prepared, path))
    found.measured[TENFOLD] = Measured(rows * times, one)
    features(found.measured[TENFOLD], path, FASTEST, times)
    if not smoke:
        for what in once:
            features(found.measured[what], path, [SLOWEST])
    return found


def features(measured: Measured, path: Path, methods: Sequence[str], times: int = 1) -> None:
    """A round of each method's features, of the rows so many times over."""
    for name in methods:
        measured.add(name, _alone(measured.cores, "benchmarks.peers.tables", name, str(path), str(times)))


def _scored(cores: Cores, method: str, prepared: stage.Stage, path: Path) -> Told:
    """A file to a file of scores, which is removed again."""
    out = path.with_name("scored")
    shutil.rmtree(out, ignore_errors=True)
    try:
        return _alone(cores, "benchmarks.peers.scored", method, str(prepared.path), str(path), str(out))
    finally:
        shutil.rmtree(out, ignore_errors=True)


def world(path: Path, *, smoke: bool) -> int:
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


def _alone(cores: Cores, module: str, *arguments: str) -> Told:
    """What a process tells that has these cores, and libraries in it a thread for each."""
    pinned = ["taskset", "-c", ",".join(map(str, cores)), sys.executable, "-m", module, *arguments]
    threads = {name: str(len(cores)) for name in ("POLARS_MAX_THREADS", "OMP_NUM_THREADS")}
    done = subprocess.run(pinned, check=False, capture_output=True, text=True, env={**os.environ, **threads})
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed:\n{done.stderr}")
    told: Told = json.loads(done.stdout.splitlines()[-1])
    return told


def rows(found: Found) -> list[Row]:
    """Every figure, and after them what is asked of them."""
    figures = []
    for what, measured in found.measured.items():
        for measure, unit in (("cpu_s", "s"), ("elapsed_s", "s"), ("mb", "MB")):
            named = measure.removesuffix("_s").replace("mb", "memory")
            figures += [
                Row(f"{PREFIX}{what}/{name}/{named}", measured.figure(name, measure), unit) for name in measured.told
            ]
    return figures + _asked(found)


def _asked(found: Found) -> list[Row]:
    asked = []
    for what, (most_cpu, most_memory) in LIMITS.items():
        measured = found.measured[what]
        peer, cpu = measured.over_the_fastest("cpu_s")
        asked.append(at_most(f"{PREFIX}cpu of {what} over the fastest peer", cpu, "x", most_cpu))
        if most_memory is not None:
            memory = measured.figure("fraudgate", "mb") / max(measured.figure(peer, "mb"), 1.0)
            asked.append(at_most(f"{PREFIX}memory of {what} over the fastest peer", memory, "x", most_memory))
    for what in BOTH.values():
        _, elapsed = found.measured[what].over_the_fastest("elapsed_s")
        asked.append(Row(f"{PREFIX}elapsed of {what} over the fastest peer", elapsed, "x", "< 1", elapsed < 1))
    return [*asked, _flat(TENFOLD, found.measured[FEATURES], found.measured[TENFOLD])]


def _flat(what: str, once: Measured, many: Measured) -> Row:
    """What a row of many costs ours over a row of few."""
    few, more = (each.figure("fraudgate", "cpu_s") / each.rows for each in (once, many))
    return at_most(f"{PREFIX}cpu a row of {what} over once", more / few, "x", FLAT)


def tables(found: Found) -> str:
    """For people."""
    shown = []
    for what, measured in found.measured.items():
        lines = [
            [
                name,
                f"{measured.figure(name, 'cpu_s'):.2f}",
                f"{measured.figure(name, 'elapsed_s'):.2f}",
                f"{measured.figure(name, 'mb'):,.0f}",
            ]
            for name in sorted(measured.told, key=lambda name: measured.figure(name, "cpu_s"))
        ]
        shown.append(table([f"{what}: {measured.rows:,}", "CPU s", "elapsed s", "MB"], lines))
    return "\n\n".join([*shown, _verdicts(_asked(found))])


def _verdicts(asked: Iterable[Row]) -> str:
    lines = [
        [row.name.removeprefix(PREFIX), f"{row.value:.3g}", row.target or "", "yes" if row.met else "NO"]
        for row in asked
    ]
    return table(["asked", "is", "target", "met"], lines)


Grown = dict[str, tuple[Measured, Measured]]
"""What was measured of ours, of rows once and so many times over."""


def many(path: Path, prepared: stage.Stage, times: int, rounds: int = 3) -> Grown:
    """Ours alone, of a file's rows once, in so many rounds, and so many times over, in a file beside it meanwhile."""
    one, repeated = two_cores()[:1], path.with_name("repeated.parquet")
    few = pq.read_metadata(path).num_rows
    found = {what: (Measured(few, one), Measured(few * times, one)) for what in (FEATURES, SCORED)}
    try:
        peers.write_repeated(path, repeated, times)
        for place, (file, over, turns) in enumerate(((path, 1, rounds), (repeated, times, 1))):
            for _ in range(turns):
                features(found[FEATURES][place], path, ["fraudgate"], over)
                found[SCORED][place].add("fraudgate", _scored(one, "fraudgate", prepared, file))
    finally:
        repeated.unlink(missing_ok=True)
    return found


def unlike(grown: Grown) -> str | None:
    """That copies did not come to the same: they have keys of their own, so sums are so many times as much."""
    for what, (once, more) in grown.items():
        sums, many_sums = (each.told["fraudgate"][0]["sums"] for each in (once, more))
        if error := differing(what, [each * (more.rows // once.rows) for each in sums], many_sums, 1e-6):
            return error
    return None


def grown_tables(grown: Grown) -> str:
    """For people."""
    lines = []
    for what, sizes in grown.items():
        for each in sizes:
            cpu_s, elapsed_s, mb = (each.figure("fraudgate", measure) for measure in ("cpu_s", "elapsed_s", "mb"))
            row_us = f"{cpu_s / each.rows * 1e6:.2f}"
            lines.append([f"{what}: {each.rows:,}", row_us, f"{cpu_s:.2f}", f"{elapsed_s:.2f}", f"{mb:,.0f}"])
    asked = [_flat(f"{what} of {more.rows:,} rows", once, more) for what, (once, more) in grown.items()]
    return table(["", "CPU us a row", "CPU s", "elapsed s", "MB"], lines) + "\n\n" + _verdicts(asked)


def main(times: int) -> None:
    """Prints what a row costs ours where there are so many times as many, and the memory that is taken."""
    folder = Path("build/bench")
    prepared, path = stage.prepare(folder, serve.WHOLE.history), folder / "backfill.parquet"
    world(path, smoke=False)
    grown = many(path, prepared, times)
    print(grown_tables(grown))
    if error := unlike(grown):
        sys.exit(error)


if __name__ == "__main__":
    main(int(sys.argv[1]))
