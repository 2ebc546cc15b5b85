"""Broker and cloud gone for real minutes at full speed, and how that is caught up with: `python -m benchmarks.gone`.

The full road with its journal on one core; calls, a real broker and a real `fraudgate cloud` on the other. Calls go on
all the time. What is counted does not depend on how fast the machine is; what does is a figure and no verdict.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import grpc
import pyarrow.compute as pc
import pyarrow.dataset as ds

from benchmarks import serve, servers, traffic
from benchmarks.engine_server import RESCORE
from benchmarks.machine import on_core, two_cores
from benchmarks.report import Row, at_least, at_most, table
from benchmarks.serve import BUSY, Size
from benchmarks.servers import Kind, Running
from benchmarks.stage import CLIENT, PROGRAM, Stage, prepare
from fraudgate import channel
from fraudgate.v1 import operation_pb2, operation_pb2_grpc
from service.demo.kafka.broker import Broker
from service.demo.seen import Stats, promised, waiting

REQUESTS, DECISIONS, REVERSALS = "gone.rescore", "gone.rescored", "gone.reversals"
CONTROL: Final = RESCORE["control_share"]
POP: Final = "gone"
# How long calls are made at a time: figures are medians over such turns.
TURN: Final = Size(traffic.Span.of(days=45, a_day=960), rounds=1, warm_up=200, seconds=5.0)
BEFORE, OUTAGE, CATCHING_UP, AFTER = "before", "outage", "catching up", "after"
PHASES: Final = (BEFORE, OUTAGE, CATCHING_UP, AFTER)
_TURNS: Final = {BEFORE: 4, CATCHING_UP: 2, AFTER: 4}
_WITHIN_S: Final = 900.0


@dataclass
class Played:
    """What was seen: counts of the PoP as each phase began and at the end, and a report of the load for each turn."""

    spool_inputs: int
    reports: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {phase: [] for phase in PHASES})
    stats: dict[str, Stats] = field(default_factory=dict)
    spools: list[tuple[int, int]] = field(default_factory=list)
    """In the outage, after each turn: transactions that were taken since it began, and inputs that wait."""
    shipped: dict[str, tuple[float, int]] = field(default_factory=dict)
    """With calls going on and without: in how many seconds how many inputs were shipped."""
    kept: int = 0
    """Rows in the lake."""
    distinct: int = 0
    """Of those, sequences that differ."""

    def figure(self, phase: str, measure: str) -> float:
        """The median over a phase's turns."""
        return float(median(report[measure] for report in self.reports[phase]))

    def calls(self) -> int:
        """All that were answered."""
        return sum(report["next"] - report["first"] for reports in self.reports.values() for report in reports)


def play(folder: Path, seconds: float, spool_inputs: int) -> Played:
    """Play it; the outage lasts so long, and until the spool has met its bound. Raises what its parts raise."""
    folder = folder.resolve()
    server_core, load_core = two_cores()
    servers.build()
    stage = prepare(folder / "stage", TURN.history)
    shutil.rmtree(folder / "kafka", ignore_errors=True)
    (folder / "kafka").mkdir()
    with on_core(load_core):
        broker = Broker(folder / "kafka")
    with broker:
        broker.create(REQUESTS, DECISIONS, REVERSALS)
        kind = Kind("journaled, its cloud comes and goes", lambda stage: _command(stage, broker, spool_inputs))
        with servers.running(stage, server_core, [kind]) as (server,), _asking(stage, server) as ask:
            played = Played(spool_inputs)
            _phases(played, stage, server, broker, ask, folder, seconds, load_core)
    kept = ds.dataset(folder / "lake", format="parquet", partitioning="hive").to_table(["sequence"])["sequence"]
    played.kept, played.distinct = len(kept), pc.count_distinct(kept).as_py()
    return played


def _phases(
    played: Played,
    stage: Stage,
    server: Running,
    broker: Broker,
    ask: Callable[[], Stats],
    folder: Path,
    seconds: float,
    core: int,
) -> None:
    number = TURN.history.transactions

    def turn(phase: str) -> None:
        nonlocal number
        with on_core(core):
            report = serve.load(stage, server, BUSY, TURN, number)
        played.reports[phase].append(report | {"first": number})
        number = report["next"]

    with _cloud(stage, broker, folder, core):
        played.stats[BEFORE] = ask()
        for _ in range(_TURNS[BEFORE]):
            turn(BEFORE)
        # What is on its way back would be journaled in the outage, and wait beside what is taken.
        _until(lambda: _is_settled(ask()))
    broker.kill()
    began = time.monotonic()
    played.stats[OUTAGE] = first = ask()
    while time.monotonic() - began < seconds or ask()["rescore_spool_full"] == 0:
        if time.monotonic() - began > seconds + _WITHIN_S:
            raise RuntimeError("the spool did not meet its bound")
        turn(OUTAGE)
        stats = ask()
        played.spools.append((stats["transactions"] - first["transactions"], waiting(stats)))
    played.stats[CATCHING_UP] = ask()
    with on_core(core):
        broker.start()
    with _cloud(stage, broker, folder, core):
        shipped = ask()["rescore_shipped"]
        _until(lambda: ask()["rescore_shipped"] > shipped)
        with _shipping(played, "with calls", ask):
            for _ in range(_TURNS[CATCHING_UP]):
                turn(CATCHING_UP)
        with _shipping(played, "without calls", ask):
            _until(lambda: waiting(ask()) == 0)
        played.stats[AFTER] = ask()
        for _ in range(_TURNS[AFTER]):
            turn(AFTER)
        _until(lambda: _is_settled(ask()))
        # What came twice would come now.
        time.sleep(2.0)
    played.stats["end"] = ask()


def _is_settled(stats: Stats) -> bool:
    """Whether all that was promised came back, and nothing waits."""
    return stats[f"rescored.{PROGRAM}"] == promised(stats) and waiting(stats) == 0


@contextlib.contextmanager
def _shipping(played: Played, how: str, ask: Callable[[], Stats]) -> Iterator[None]:
    began, before = time.monotonic(), ask()["rescore_shipped"]
    yield
    played.shipped[how] = time.monotonic() - began, ask()["rescore_shipped"] - before


def _until(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + _WITHIN_S
    while not holds():
        if time.monotonic() > ends:
            raise RuntimeError("it took too long")
        time.sleep(0.1)


def _connection(broker: Broker) -> dict[str, str]:
    certificate, key = broker.client()
    return {"servers": broker.address, "ca": str(broker.ca), "certificate": str(certificate), "key": str(key)}


def _command(stage: Stage, broker: Broker, spool_inputs: int) -> list[str]:
    topics = {"requests": REQUESTS, "decisions": DECISIONS, "reversals": REVERSALS}
    forward = json.dumps(_connection(broker) | topics | {"spool_inputs": spool_inputs})
    module = [sys.executable, "-m", "benchmarks.engine_server", str(stage.path)]
    return [*module, "--journal", "--forward", POP, forward]


@contextlib.contextmanager
def _asking(stage: Stage, server: Running) -> Iterator[Callable[[], Stats]]:
    """Asks the PoP for its counters."""
    leaf = stage.certificates.client(CLIENT)
    credentials = channel.credentials(stage.certificates.ca.certificate, leaf.certificate, leaf.key)
    with grpc.secure_channel(f"localhost:{server.port}", credentials) as opened:
        stub = operation_pb2_grpc.OperationStub(opened)
        yield lambda: dict(stub.Stats(operation_pb2.StatsRequest(), timeout=30.0).values)


@contextlib.contextmanager
def _cloud(stage: Stage, broker: Broker, folder: Path, core: int) -> Iterator[None]:
    """`fraudgate cloud` in a process of its own, killed at the end: it may die anywhere."""
    config = folder / "cloud.toml"
    connection = "\n".join(f'{name} = "{value}"' for name, value in _connection(broker).items())
    config.write_text(
        f'[broker]\n{connection}\n[topics]\nrequests = "{REQUESTS}"\ndecisions = "{DECISIONS}"\n'
        '[lake]\nfolder = "lake"\nrows = 65536\nseconds = 1.0\n'
        f'[program.{PROGRAM}]\nbundle = "{stage.path / "model"}"\n'
    )
    with (folder / "cloud.log").open("ab") as log, on_core(core):
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "cloud", "--config", str(config)], cwd=servers.ROOT, stderr=log
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def rows(played: Played) -> list[Row]:
    """Every figure, and after them what is asked of them."""
    figures = [
        Row(f"gone/{phase}/{measure}", played.figure(phase, measure), unit)
        for phase in PHASES
        for measure, unit in (("cpu_us", "us"), ("p50_us", "us"), ("p99_us", "us"), ("rate", "1/s"))
    ]
    figures += [Row(f"gone/shipped a second, {how}", n / s, "1/s") for how, (s, n) in played.shipped.items()]
    return figures + _asked(played)


def _asked(played: Played) -> list[Row]:
    asked = [
        at_most(f"gone/{measure} in the outage over before", share, "x", 1.1)
        for measure in ("cpu_us", "p99_us")
        for share in [played.figure(OUTAGE, measure) / played.figure(BEFORE, measure)]
    ]
    # From when it was shipped again to when nothing waited any more, a part of the time beside calls.
    took_s, inputs = (sum(each) for each in zip(*played.shipped.values(), strict=True))
    share = inputs / took_s / played.figure(BEFORE, "rate")
    return [*asked, at_least("gone/caught up with, over the live rate", share, "x", 2)]


def tables(played: Played) -> str:
    """For people."""
    measures = ("cpu_us", "p50_us", "p99_us", "rate")
    lines = [[phase, *(f"{played.figure(phase, measure):,.1f}" for measure in measures)] for phase in PHASES]
    told = [[row.name.removeprefix("gone/"), f"{row.value:,.3g}", row.target or ""] for row in rows(played)[16:]]
    return (
        table(["64 in flight", "CPU us", "p50 us", "p99 us", "1/s"], lines) + "\n\n" + table(["", "is", "target"], told)
    )


def main() -> None:
    """Three minutes."""
    folder = Path(__file__).parents[1] / "build" / "gone"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    print(tables(play(folder, 180.0, 500_000)))


if __name__ == "__main__":
    main()
