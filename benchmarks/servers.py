"""The servers of the serving benchmarks as processes: each on the servers' core, ready when it has printed its port."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.machine import on_core
from benchmarks.stage import CLIENT, Stage

ROOT: Final = Path(__file__).parents[1]
TARGET: Final = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
ENVIRONMENT: Final = os.environ | {"ORT_DISABLE_TELEMETRY": "1"}


@dataclass(frozen=True)
class Kind:
    """A kind of server. `echo`: it answers Score alone, always the same."""

    name: str
    command: Callable[[Stage], list[str]]
    echo: bool = False


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    kind: Kind
    pid: int
    port: int


def _python(module: str, *flags: str) -> Callable[[Stage], list[str]]:
    return lambda stage: [sys.executable, "-m", f"benchmarks.{module}", str(stage.path), *flags]


def _away(stage: Stage) -> list[str]:
    """To a broker whose port nobody listens on: the connection is refused each time it is tried. What is drawn is
    promised, and waits: the spool's bound is more than a benchmark sends."""
    leaf = stage.certificates.client(CLIENT)
    files = {"ca": stage.certificates.ca.certificate, "certificate": leaf.certificate, "key": leaf.key}
    forward = {"servers": "127.0.0.1:9", "spool_inputs": 1 << 30} | {name: str(path) for name, path in files.items()}
    return _python("engine_server", "--journal", "--forward", "away", json.dumps(forward))(stage)


def _echo(stage: Stage) -> list[str]:
    server, ca = stage.certificates.server, stage.certificates.ca
    return [str(TARGET / "fraudgate-echo"), *map(str, (server.certificate, server.key, ca.certificate))]


FULL: Final = Kind("full", _python("engine_server"))
JOURNALED: Final = Kind("journaled", _python("engine_server", "--journal"))
AWAY: Final = Kind("journaled, its cloud away", _away)
ECHO: Final = Kind("echo", _echo, echo=True)
SYNC: Final = Kind("grpcio", _python("peers.sync_server"))
AIO: Final = Kind("grpc.aio", _python("peers.aio_server"))
SYNC_ECHO: Final = Kind("grpcio echo", _python("peers.sync_server", "--echo"), echo=True)
AIO_ECHO: Final = Kind("grpc.aio echo", _python("peers.aio_server", "--echo"), echo=True)
KINDS: Final = (FULL, ECHO, SYNC, AIO, SYNC_ECHO, AIO_ECHO)


def build() -> None:
    """Builds the programs in Rust."""
    command = ["cargo", "build", "--release", "--locked", "--quiet", "-p", "fraudgate-load", "-p", "fraudgate-echo"]
    subprocess.run(command, cwd=ROOT, check=True)


@contextmanager
def running(stage: Stage, core: int, kinds: Sequence[Kind] = KINDS) -> Iterator[list[Running]]:
    """One server of each kind, all at once: only the one that is asked does anything.

    Raises RuntimeError when one ends before it answers.
    """
    processes: list[subprocess.Popen[str]] = []
    try:
        with on_core(core):
            for kind in kinds:
                command = kind.command(stage)
                processes.append(
                    subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
                )
        yield [Running(kind, process.pid, _port(kind, process)) for kind, process in zip(kinds, processes, strict=True)]
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.communicate()


def _port(kind: Kind, process: subprocess.Popen[str]) -> int:
    line = process.stdout.readline() if process.stdout else ""
    if not line.strip().isdigit():
        raise RuntimeError(f"the server {kind.name} ended before it answered; what it said stands above")
    return int(line)
