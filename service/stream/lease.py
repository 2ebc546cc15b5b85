"""One worker a PoP: whoever holds the only partition of a topic that stays empty, by Kafka's own group protocol.

A worker that was killed and comes back with its journal is the same member and goes on at once; another one waits until
the broker has not heard of the first for a session.
"""

import secrets
import threading
from pathlib import Path
from typing import Final

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from service import clients
from service.config import Stream
from service.files import write_private

SESSION_S: Final = 10
_LOOK_S: Final = 0.2
_AGAIN_S: Final = 1.0

_log = structlog.get_logger()


def member(folder: Path) -> str:
    """Who this worker is: as long as its journal lives."""
    path = folder / "worker"
    if not path.exists():
        write_private(path, secrets.token_hex(16).encode())
    return path.read_text().strip()


class Lease:
    """The right to take in for a PoP."""

    def __init__(self, pop: str, stream: Stream, folder: Path) -> None:
        self._broker = stream
        self._topic = stream.lease
        self._pop = pop
        self._pems = clients.pems(stream)
        self.member = member(folder)
        self.held = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """Wait for it, hold it, and say so, until `stop`."""
        while not stop.is_set():
            consumer: Consumer | None = None
            try:
                consumer = Consumer(
                    clients.plain(self._broker)
                    | {
                        "group.id": f"fraudgate.{self._pop}",
                        "group.instance.id": self.member,
                        "session.timeout.ms": SESSION_S * 1_000,
                        # Whoever has it keeps it when another comes.
                        "partition.assignment.strategy": "cooperative-sticky",
                        "enable.auto.commit": False,
                        "auto.offset.reset": "latest",
                    }
                )
                consumer.subscribe([self._topic], on_assign=self._given, on_revoke=self._gone, on_lost=self._gone)
                while not (stop.is_set() or self._pems.have_changed()):
                    if (record := consumer.poll(_LOOK_S)) is not None and (error := record.error()) is not None:
                        raise KafkaException(error)
            except (KafkaException, RuntimeError) as error:
                _log.warning("waiting for the lease", topic=self._topic, reason=str(error))
                stop.wait(_AGAIN_S)
            finally:
                self.held.clear()
                if consumer is not None:
                    consumer.close()

    def _given(self, _: Consumer, places: list[TopicPartition]) -> None:
        if places and not self.held.is_set():
            _log.info("this worker takes in", pop=self._pop)
            self.held.set()

    def _gone(self, _: Consumer, places: list[TopicPartition]) -> None:
        if places and self.held.is_set():
            _log.warning("another worker takes in", pop=self._pop)
            self.held.clear()
