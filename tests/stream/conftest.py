"""A real broker for the tests of this folder, and the PoPs that they run beside it."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition

from service import certificates, serving
from tests.broker import Broker
from tests.scorer import FEATURES, small_model

KEY = bytes(range(32))
Read = list[tuple[str, bytes, dict[str, bytes]]]


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@dataclass
class Pop:
    """A PoP: its folder, its topics, and its process while it runs."""

    broker: Broker
    path: Path
    name: str
    topics: dict[str, Any]
    process: subprocess.Popen[str] | None = None
    port: int = 0
    told: dict[str, Any] = field(default_factory=dict)

    def start(self) -> None:
        """Starts its process; returns when it serves calls."""
        self.spawn()
        self.port = int(self._line())

    def spawn(self) -> None:
        """Starts its process, and waits for nothing."""
        log = (self.path / "log").open("a")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.stream.serving", str(self._configured())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        log.close()

    def stop(self) -> dict[str, Any]:
        """Has it stop well; gives what it says then: digest, offsets and counters."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write("stop\n")
        self.process.stdin.flush()
        watched = threading.Timer(45, self.process.kill)
        watched.start()
        self.told = json.loads(self._line())
        self.process.wait(20)
        watched.cancel()
        return self.told

    def kill(self) -> None:
        """As with kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def said(self) -> str:
        """What it logged."""
        return (self.path / "log").read_text()

    def produce(
        self,
        values: list[bytes],
        keys: list[str] | None = None,
        to: str = "transactions",
        within_s: float = 60.0,
        partition: int = -1,
        compression: str = "none",
    ) -> None:
        """Puts records into one of its topics, in order, each once. partition: -1 is where the key says."""
        producer = Producer(
            self.broker.plain(
                **{
                    "queue.buffering.max.messages": 1_000_000,
                    "linger.ms": 5,
                    "enable.idempotence": True,
                    "compression.type": compression,
                    "reconnect.backoff.max.ms": 500,
                }
            )
        )
        for place, value in enumerate(values):
            producer.produce(self.topics[to], value, None if keys is None else keys[place], partition)
        assert producer.flush(within_s) == 0

    def count(self, topic: str) -> int:
        """How many records one of its topics holds, in all its partitions, once the broker can say."""
        name = self.topics[topic]
        until = time.monotonic() + 90
        while True:
            consumer = Consumer(self.broker.plain(**{"group.id": "test"}))
            try:
                partitions = consumer.list_topics(name, timeout=10).topics[name].partitions
                return sum(consumer.get_watermark_offsets(TopicPartition(name, at), timeout=10)[1] for at in partitions)
            except KafkaException:
                # One that comes back does not know its topics at once.
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
            finally:
                consumer.close()

    def read(self, topic: str, count: int, within_s: float = 60.0, different: bool = False) -> Read:
        """At least `count` records of one of its topics from its beginning: key, value and headers, as they stand.

        different: until there are so many keys, for what a death repeats stands there twice.
        """
        consumer = Consumer(self.broker.plain(**{"group.id": "test", "auto.offset.reset": "earliest"}))
        name = self.topics[topic]
        partitions = consumer.list_topics(name, timeout=10).topics[name].partitions
        consumer.assign([TopicPartition(name, partition, OFFSET_BEGINNING) for partition in partitions])
        found: Read = []
        keys: set[str] = set()
        until = time.monotonic() + within_s
        while len(keys if different else found) < count and time.monotonic() < until:
            for record in consumer.consume(10_000, timeout=0.3):
                assert record.error() is None, record.error()
                found.append((record.key().decode(), record.value(), dict(record.headers() or [])))
                keys.add(found[-1][0])
        consumer.close()
        came = len(keys if different else found)
        assert came >= count, f"{came} of {count} in {topic}: {self.said()[-2_000:]}"
        return found

    def _configured(self) -> Path:
        """Writes its configuration, and all that this names."""
        clients = {"all.example": ["scoring", "feedback"], "operator.example": ["operation"]}
        folder = certificates.make(self.path / "certificates", clients=list(clients))
        for secret in (folder.hash_key, folder.journal_key):
            secret.write_text(KEY.hex())
        plan = FEATURES.compile()
        (self.path / "plan.json").write_bytes(plan.json)
        (self.path / "model").mkdir(exist_ok=True)
        files = serving.MANIFEST, serving.MODEL
        for name, content in zip(files, small_model(plan.digest, plan.features), strict=True):
            (self.path / "model" / name).write_bytes(content)
        certificate, key = self.broker.client()
        at = {"servers": self.broker.address, "ca": self.broker.ca, "certificate": certificate, "key": key}
        tables: dict[str, dict[str, Any]] = {
            "server": {
                "pop": self.name,
                "listen": "127.0.0.1:0",
                "certificate": folder.server.certificate,
                "key": folder.server.key,
                "client_ca": folder.ca.certificate,
                "ahead_s": "unbounded",
                "known_ids": 1_000_000,
            },
            "keys": {"hash_key": folder.hash_key},
            "journal": {"folder": self.path / "journal", "key": folder.journal_key, "segment_bytes": 1 << 24},
            "stream": at | self.topics,
            "program.shop": {
                "plan": self.path / "plan.json",
                "model": self.path / "model",
                "mode": "decide",
                "challenge": 40.0,
                "decline": 60.0,
                "complete_since": datetime(1970, 1, 1, tzinfo=UTC),
            },
        }
        lines = [line for name, table in tables.items() for line in (f"[{name}]", *_lines(table))]
        for client, allow in clients.items():
            lines += ["[[identity]]", *_lines({"name": f"dns:{client}", "allow": allow})]
        path = self.path / "fraudgate.toml"
        path.write_text("\n".join(lines))
        return path

    def _line(self) -> str:
        assert self.process is not None
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.said()[-4_000:]
        return line


def _lines(table: dict[str, Any]) -> list[str]:
    """A table of TOML; JSON writes most of what stands in one the same."""
    return [
        f"{name} = {value.isoformat() if isinstance(value, datetime) else json.dumps(value, default=str)}"
        for name, value in table.items()
    ]


@pytest.fixture
def pops(broker: Broker, tmp_path: Path) -> Iterator[Callable[..., Pop]]:
    """Makes PoPs, each with a name and topics of its own unless told otherwise; ends them."""
    numbers = itertools.count()
    made: list[Pop] = []

    def make(partitions: int = 1, topics: dict[str, Any] | None = None, named: str | None = None) -> Pop:
        number = next(numbers)
        name = f"{tmp_path.name.replace('_', '-')[:40]}-{number}"
        if topics is None:
            topics = {
                "transactions": f"{name}.transactions",
                "decisions": f"{name}.decisions",
                "dead_letters": f"{name}.dead",
                "labels": f"{name}.labels",
                "lease": f"{name}.lease",
            }
            broker.create(topics["transactions"], partitions=partitions)
            broker.create(*(topics[topic] for topic in ("decisions", "dead_letters", "labels", "lease")))
        path = tmp_path / str(number)
        path.mkdir()
        pop = Pop(broker, path, named or name.lower(), topics)
        made.append(pop)
        return pop

    with contextlib.ExitStack() as stack:
        stack.callback(lambda: [pop.kill() for pop in made])
        yield make
