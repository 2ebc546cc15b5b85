"""Transactions to decisions over a real broker: the stream door on one core, beside a Faust agent of the same work.

One topic is filled first, and each reads it from its beginning; what is measured is from the first decisions that stand
in a topic of its own to the last.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from benchmarks import servers, traffic
from benchmarks.machine import on_core, two_cores
from benchmarks.report import Row, at_least, at_most, table
from benchmarks.serve import Size
from benchmarks.stage import PROGRAM, Stage, prepare
from fraudgate.v1 import transaction_pb2
from service.demo.kafka.broker import Broker

PREFIX: Final = "stream/"
DOOR: Final = "stream door"
AGENT: Final = "Faust agent"
# How many records each is given, where the whole is measured.
RECORDS: Final = {DOOR: 300_000, AGENT: 10_000}
SMOKE: Final = 300
TRANSACTIONS: Final = "bench.transactions"
_WITHIN_S: Final = 300.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass
class Found:
    """Records a second and CPU microseconds a record, by who took them, round by round."""

    a_second: dict[str, list[float]] = field(default_factory=lambda: {DOOR: [], AGENT: []})
    cpu_us: dict[str, list[float]] = field(default_factory=lambda: {DOOR: [], AGENT: []})
    first_error: str | None = None


def run(folder: Path, size: Size) -> Found:
    """Prepares and measures. Raises what its parts raise."""
    core, other = two_cores()
    stage = prepare(folder, size.history)
    found = Found()
    whole = size.rounds > 1
    shutil.rmtree(folder / "kafka", ignore_errors=True)
    (folder / "kafka").mkdir(parents=True)
    with on_core(other):
        broker = Broker(folder / "kafka")
        broker.start()
    try:
        broker.create(TRANSACTIONS)
        _fill(broker, TRANSACTIONS, size.history, max(RECORDS.values()) if whole else SMOKE)
        for turn in range(min(size.rounds, 3)):
            for who in (DOOR, AGENT) if turn % 2 == 0 else (AGENT, DOOR):
                _measure(found, who, stage, broker, core, RECORDS[who] if whole else SMOKE)
    finally:
        broker.kill()
    return found


def _measure(found: Found, who: str, stage: Stage, broker: Broker, core: int, records: int) -> None:
    name = f"bench-{time.time_ns()}"
    topics = {"decisions": f"{name}.out", "dead_letters": f"{name}.dead", "lease": f"{name}.lease"}
    broker.create(*topics.values())
    topics["transactions"] = TRANSACTIONS
    with _running(who, stage, broker, name, topics, core) as process:
        first, began, cpu = _decided(broker, topics["decisions"], process, 1), time.monotonic(), _cpu_s(process.pid)
        last = _decided(broker, topics["decisions"], process, records)
        took, used = time.monotonic() - began, _cpu_s(process.pid) - cpu
    taken = max(last - first, 1)
    found.a_second[who].append(taken / took)
    found.cpu_us[who].append(used / taken * 1e6)


@contextmanager
def _running(
    who: str, stage: Stage, broker: Broker, pop: str, topics: dict[str, str], core: int
) -> Iterator[subprocess.Popen[str]]:
    certificate, key = broker.client()
    at = {"servers": broker.address, "ca": str(broker.ca), "certificate": str(certificate), "key": str(key)}
    taken = json.dumps(at | topics)
    command = {
        DOOR: ["benchmarks.engine_server", str(stage.path), "--journal", "--stream", pop, taken],
        AGENT: ["benchmarks.peers.faust_agent", str(stage.path), pop, taken],
    }[who]
    with on_core(core):
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=servers.ROOT,
            env=servers.ENVIRONMENT,
            stdout=subprocess.PIPE,
            text=True,
        )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _fill(broker: Broker, topic: str, history: traffic.Span, records: int) -> None:
    """So many, that go on where the history ended."""
    transactions, _ = traffic.history(traffic.Span(history.transactions + records, history.step_us))
    producer = Producer(broker.plain(**{"queue.buffering.max.messages": 1_000_000, "linger.ms": 20}))
    rows = transactions.slice(history.transactions).to_pylist()
    for row in rows:
        made = transaction_pb2.Transaction(
            id=row["transaction_id"],
            program=PROGRAM,
            event_time_us=row["event_time_us"],
            kind=transaction_pb2.KIND_PURCHASE,
            amount_minor=row["amount_minor"],
            currency="EUR",
            entities=[transaction_pb2.EntityKey(name=name, value=row[name]) for name in ("customer", "terminal")],
        )
        producer.produce(topic, made.SerializeToString())
    producer.flush(120)


def _decided(broker: Broker, topic: str, process: subprocess.Popen[str], least: int) -> int:
    """Waits until so many decisions stand in the topic; gives how many."""
    consumer = Consumer(broker.plain(**{"group.id": "bench"}))
    until, end = time.monotonic() + _WITHIN_S, 0
    try:
        while True:
            # A broker that was not scheduled for a while leads nothing until it is heard of again.
            with suppress(KafkaException):
                _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30)
            if end >= least:
                return int(end)
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{end} of {least} decisions came")
            time.sleep(0.05)
    finally:
        consumer.close()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rows(found: Found) -> list[Row]:
    """Every figure, and after them what is asked of them."""
    figures = [
        Row(f"{PREFIX}{who}/{measure}", median(by[who]), unit)
        for measure, unit, by in (("a second", "1/s", found.a_second), ("cpu_us", "us", found.cpu_us))
        for who in (DOOR, AGENT)
    ]
    return figures + _asked(found)


def _asked(found: Found) -> list[Row]:
    share = median(one / other for one, other in zip(found.cpu_us[DOOR], found.cpu_us[AGENT], strict=True))
    return [
        at_least(f"{PREFIX}records a second, one core", median(found.a_second[DOOR]), "1/s", 25_000),
        at_most(f"{PREFIX}cpu over the Faust agent's", share, "x", 0.125),
    ]


def tables(found: Found) -> str:
    """For people."""
    lines = [[who, f"{median(found.a_second[who]):,.0f}", f"{median(found.cpu_us[who]):,.1f}"] for who in (DOOR, AGENT)]
    asked: list[list[Any]] = [
        [row.name.removeprefix(PREFIX), f"{row.value:.3g}", row.target or "", "yes" if row.met else "NO"]
        for row in _asked(found)
    ]
    header = ["over a broker", "records a second", "CPU us a record"]
    return table(header, lines) + "\n\n" + table(["asked", "is", "target", "met"], asked)
