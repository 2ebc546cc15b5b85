"""Produces what the journal says: a decision for each transaction that a stream brought, a dead letter for what was
passed over. A cursor reads behind the engine; its place moves only over what was delivered, so nothing is lost, and
what a death repeats has the same epoch and sequence in its headers.
"""

import threading
import time
from typing import Any, Final

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

import engine
from service import clients
from service.config import Stream

CURSOR: Final = "topics"
# Most inputs that are read at once, and how long is waited for the first.
_MOST: Final = 16_384
_WAIT_S: Final = 0.2
_AGAIN_S: Final = 1.0
_LOOK_S: Final = 0.5
# How often the place of the cursor is kept where nothing leaves, in seconds.
_KEEP_S: Final = 5.0

_log = structlog.get_logger()


class Outlet:
    """Produces from one journal, until it is stopped."""

    def __init__(self, server: "engine.Server", stream: Stream) -> None:
        self._server = server
        self._broker = stream
        self._pems = clients.pems(stream)
        self._topics = {"decision": stream.decisions, "dead letter": stream.dead_letters}
        self._failed: KafkaError | None = None
        self._kept = 0.0
        self._behind = True
        self.delivered = dict.fromkeys(self._topics, 0)
        """How many of each left since the start; those that a death repeats count again."""
        self.waiting = 0
        """Inputs that are journaled and were not looked at."""

    def is_behind(self) -> bool:
        """Whether something is journaled that was not looked at, or waits for its delivery."""
        return self._behind

    def run(self, stop: threading.Event) -> None:
        """Produce until `stop`, and then what is left of what is journaled, if the broker takes it at once."""
        while not stop.is_set():
            # One that is dropped gives its name back.
            cursor, producer = self._server.cursor(CURSOR), None
            self._failed = None
            try:
                producer = self._made()
                while (self._step(cursor, producer, stop) or not stop.is_set()) and not self._pems.have_changed():
                    pass
            except (KafkaException, ValueError, OSError) as error:
                _log.error("the outlet begins anew", reason=str(error))
                stop.wait(_AGAIN_S)
            finally:
                if producer is not None:
                    producer.purge()
                del cursor

    def _made(self) -> Producer:
        return Producer(
            clients.plain(self._broker)
            | {
                # In order, each once while this lives, and without a time limit: the journal is the spool.
                "enable.idempotence": True,
                "message.timeout.ms": 0,
                "compression.type": "lz4",
                "linger.ms": 2,
                "queue.buffering.max.messages": 2 * _MOST,
                "delivery.report.only.error": True,
            }
        )

    def _step(self, cursor: "engine.Cursor", producer: Producer, stop: threading.Event) -> bool:
        """Produces what there is; whether there was anything. Raises where something cannot be delivered, ever."""
        through, leaves = cursor.read(_MOST, 0.0 if stop.is_set() else _WAIT_S)
        self._behind |= bool(leaves)
        for said, key, value, headers in leaves:
            self._produce(producer, self._topics[said], key, value, headers, stop)
        while (left := producer.flush(_LOOK_S)) and self._failed is None:
            if stop.is_set():
                raise OSError(f"{left} messages wait for the broker; they will be read again")
            if self._pems.have_changed():
                # Perhaps the broker waits for just that.
                raise OSError(f"{left} messages wait for a client with the certificates of now; they are read again")
        if self._failed is not None:
            raise KafkaException(self._failed)
        now = time.monotonic()
        if leaves or now - self._kept > _KEEP_S:
            cursor.keep(through)
            self._kept = now
        self.waiting = cursor.behind()
        self._behind = self.waiting > 0
        for said, *_ in leaves:
            self.delivered[said] += 1
        return bool(leaves)

    def _produce(
        self, producer: Producer, topic: str, key: str, value: bytes, headers: Any, stop: threading.Event
    ) -> None:
        while True:
            try:
                producer.produce(topic, value, key, headers=headers, on_delivery=self._report)
            except BufferError:
                producer.poll(_LOOK_S)
                if stop.is_set() or self._failed is not None:
                    raise OSError("the broker takes nothing") from None
            else:
                return

    def _report(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failed = error
