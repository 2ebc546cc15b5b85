"""A standalone Spark on loopback: a master and two workers of one core each, whose executors can be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pyspark
import pytest

# Short-lived virtual machines on two cores: the quick compiler and one thread of a collector halve what a start costs.
JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
SETTINGS = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.extraJavaOptions": JAVA,
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "512m",
    "spark.executor.extraJavaOptions": JAVA,
    "spark.executor.memory": "512m",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}


# The driver's address is looked for before any setting of it is read.
os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")


class Cluster:
    """Its master's URL, and its workers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[subprocess.Popen[bytes]] = []
        self._port = _free_port()
        self.url = f"spark://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Starts it, and waits until the workers are known to the master."""
        listens = ("--host", "127.0.0.1", "--webui-port", "0")
        self._run("master", "org.apache.spark.deploy.master.Master", *listens, "--port", str(self._port))
        self._until("master", "I have been elected leader", 1)
        for name in ("a", "b"):
            sizes = ("--cores", "1", "--memory", "1g")
            self._run(name, "org.apache.spark.deploy.worker.Worker", *listens, *sizes, self.url)
        self._until("master", "Registering worker", 2)

    def executors(self) -> list[int]:
        """The processes that work for its workers."""
        workers = {process.pid for process in self._started[1:]}
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, IndexError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if parent in workers and b"CoarseGrainedExecutorBackend" in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
        return sorted(found)

    def kill_an_executor(self) -> int:
        """As `kill -9` does."""
        pid = self.executors()[0]
        os.kill(pid, signal.SIGKILL)
        return pid

    def stop(self) -> None:
        """Ends all that was started."""
        for process in self._started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _run(self, name: str, *command: str) -> None:
        environment = os.environ | {
            "SPARK_DAEMON_JAVA_OPTS": JAVA,
            "SPARK_DAEMON_MEMORY": "256m",
            "SPARK_LOCAL_DIRS": str(self._folder),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_WORKER_DIR": str(self._folder),
        }
        spark_class = Path(pyspark.__file__).parent / "bin/spark-class"
        with (self._folder / f"{name}.log").open("wb") as log:
            self._started.append(
                subprocess.Popen([spark_class, *command], env=environment, stdout=log, stderr=log, process_group=0)
            )

    def _until(self, name: str, said: str, times: int) -> None:
        log = self._folder / f"{name}.log"
        ends = time.monotonic() + 120
        while time.monotonic() < ends:
            if log.read_text(errors="replace").count(said) >= times:
                return
            time.sleep(0.1)
        pytest.fail(f"{name} did not say {said!r}:\n{log.read_text(errors='replace')[-2000:]}")


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """A cluster that is there for a while."""
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
