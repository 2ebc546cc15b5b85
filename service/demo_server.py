"""The demo's scorer: its configuration, and a process of its own."""

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

import fraudgate
from service.scoring import Connection
from service.tables import Tables

CLIENT: Final = "payments.example"
PROGRAM: Final = "demo"
CURRENCY: Final = "EUR"
_PORT: Final = 7443
_START_S: Final = 120.0
_STOP_S: Final = 60.0


def configure(folder: Path, history: Tables, model: Path) -> tuple[Path, str]:
    """Write what the scorer needs into `folder`; returns the configuration and where it will listen.

    history: what warms it. model: a folder within `folder` that `training.write` made.
    """
    # What became of a transaction is told by labels alone.
    shown = [name for name in history.transactions.column_names if name not in ("fraud", "scenario")]
    pq.write_table(history.transactions.select(shown), folder / "history.parquet", compression="zstd")
    pq.write_table(history.labels, folder / "labels.parquet", compression="zstd")
    # Each demo begins anew: its transactions bear the same ids every time, and would only get their first answers.
    shutil.rmtree(folder / "journal", ignore_errors=True)
    port = free_port()
    config = folder / "fraudgate.toml"
    config.write_text(f"""\
# Written by fraudgate demo. Paths are relative to this file.
[server]
listen = "127.0.0.1:{port}"
certificate = "certificates/server.pem"
key = "certificates/server.key"
client_ca = "certificates/ca.pem"

[keys]
hash_key = "certificates/hash.key"

[journal]
folder = "journal"
key = "certificates/journal.key"

[[identity]]
name = "dns:{CLIENT}"
allow = ["scoring", "feedback"]

[program.{PROGRAM}]
plan = "{model.name}/plan.json"
model = "{model.name}/model"
mode = "decide"
challenge = 40.0
decline = 60.0
history = "history.parquet"
labels = "labels.parquet"
""")
    return config, f"localhost:{port}"


@contextmanager
def running(config: Path, log: Path, connection: Connection) -> Iterator[fraudgate.Client]:
    """The scorer in a process of its own, and a client of it. RuntimeError when it does not start or stop well."""
    with log.open("wb") as told:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "serve", "--config", str(config)], stdout=told, stderr=told
        )
    try:
        with connection.open() as client:
            ends = time.monotonic() + _START_S
            while not client.healthy(deadline=1.0):
                if process.poll() is not None or time.monotonic() > ends:
                    raise RuntimeError(f"the scorer did not start:\n{log.read_text()[-2000:]}")
                time.sleep(0.05)
            yield client
        process.send_signal(signal.SIGTERM)
        if process.wait(timeout=_STOP_S) != 0:
            raise RuntimeError(f"the scorer did not stop well:\n{log.read_text()[-2000:]}")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def free_port() -> int:
    """The usual port where it is free; else any that is."""
    for port in (_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            chosen: int = probe.getsockname()[1]
            return chosen
    raise OSError("no port of 127.0.0.1 is free")
