"""The demo's scorer: a process of its own, and where it may listen."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import fraudgate
from service.scoring import Connection

_PORT: Final = 7443
_START_S: Final = 120.0
_STOP_S: Final = 60.0


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
