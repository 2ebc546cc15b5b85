"""On Spark, the bits of one machine: within one process, and to prove it on a master and two workers, one killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.backfill.mapping import Mapping
from service.tables import Tables
from tests.backfill.conftest import KEY, PLAN, parts, run

pyspark = pytest.importorskip("pyspark", reason="Spark stands beside the project: make .venv/.beside")

MAPPING = Mapping.model_validate(
    {
        "transaction_id": "transaction_id",
        "event_time": "event_time_us",
        "ingest_time": "ingested_us",
        "utc_offset_minutes": "utc_offset_minutes",
        "kind": {"column": "kind"},
        "amount": {"column": "amount_minor", "unit": "minor", "currency_column": "currency"},
        "entities": {"customer": "customer", "terminal": "terminal"},
        "label": {"class": {"column": "fraud", "names": {"false": "", "true": "third_party_fraud"}}, "delay_days": 7},
    }
)


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Spark within this process; to prove it, the URL of a standalone master with two workers of one core each."""
    if "FRAUDGATE_PROVE" not in os.environ:
        yield "local[1]"
        return
    folder = tmp_path_factory.mktemp("spark")
    spark_class = str(Path(pyspark.__file__).parent / "bin/spark-class")
    environment = {
        **os.environ,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_LOCAL_DIRS": str(folder),
        "SPARK_WORKER_DIR": str(folder),
    }
    port = _port()
    url = f"spark://127.0.0.1:{port}"
    of_master = [
        "org.apache.spark.deploy.master.Master",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--webui-port",
        "0",
    ]
    of_worker = ["org.apache.spark.deploy.worker.Worker", "--cores", "1", "--memory", "1g", "--webui-port", "0", url]
    started = []
    try:
        for name, command in (("master", of_master), ("a", of_worker), ("b", of_worker)):
            with (folder / f"{name}.log").open("wb") as log:
                started.append(
                    subprocess.Popen([spark_class, *command], env=environment, stdout=log, stderr=log, process_group=0)
                )
            if name == "master":
                _until_listening(port)
        yield url
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _until_listening(port: int) -> None:
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        with socket.socket() as door:
            if door.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail("the master does not listen")


@pytest.fixture(scope="module")
def history(world: Tables, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world with a terminal that a tenth of all rows are at, some rows late, and some too late to be folded."""
    draw = np.random.default_rng(11)
    table = world.transactions
    n = len(table)
    terminals = np.where(draw.random(n) < 0.1, 1, table["terminal"].to_numpy())
    lag_us = draw.choice([0, 3_600_000_000, 45 * 86_400_000_000], n, p=[0.9, 0.098, 0.002])
    times = table["event_time_us"].to_numpy()
    columns = {name: table[name] for name in table.column_names}
    columns |= {"terminal": pa.array(terminals), "ingested_us": pa.array(times)}
    columns["event_time_us"] = pa.array(np.maximum(times - lag_us, 1))
    path = tmp_path_factory.mktemp("history") / "history.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=2_000)
    return path


def _kill_an_executor(killed: list[int], stop: threading.Event) -> None:
    """The first executor that has worked for two seconds."""
    seen: dict[int, float] = {}
    while not stop.wait(0.2):
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"CoarseGrainedExecutorBackend" in command and b"java" in command.split(b"\0")[0]:
                began = seen.setdefault(int(entry.name), time.monotonic())
                if time.monotonic() - began > 8:
                    os.kill(int(entry.name), signal.SIGKILL)
                    killed.append(int(entry.name))
                    return


@pytest.mark.slow
def test_spark_gives_the_bits_of_one_machine(master: str, history: Path, tmp_path: Path) -> None:
    from service.backfill import spark

    run(history, tmp_path / "one", MAPPING, part_rows=1_000_000)
    one = parts(tmp_path / "one")
    begins_us = int(pq.read_table(history)["event_time_us"].to_numpy().min())
    shared = spark.Shared(MAPPING.compile(PLAN), PLAN.json, KEY, begins_us - 1)
    settings = {
        "spark.executor.memory": "640m",
        "spark.driver.memory": "512m",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.adaptive.enabled": "false",
        "spark.ui.enabled": "false",
        "spark.executorEnv.ORT_DISABLE_TELEMETRY": "1",
    }
    session = spark.session(master, settings)
    killed: list[int] = []
    stop = threading.Event()
    killer = threading.Thread(target=_kill_an_executor, args=(killed, stop))
    try:
        if master.startswith("spark:"):
            killer.start()
        rows = spark.features(spark.transactions(session, [str(history)], shared), PLAN, shared)
        two = rows.sort("order_us", "row").toArrow()
    finally:
        stop.set()
        if killer.is_alive():
            killer.join()
        session.stop()
    assert killed or master == "local[1]", "it was done before an executor could be killed"
    assert two["row"].to_pylist() == one["row"].to_pylist()
    for name in PLAN.features:
        # To numpy a null is NaN, as a feature without a value is on Spark.
        np.testing.assert_array_equal(two[name].to_numpy(), one[name].to_numpy(), err_msg=name)
