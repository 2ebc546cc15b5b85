"""The topics, through librdkafka, over mutual TLS: partitions from where their reader ends, and messages out in order.

The client recovers from a broker's absence by itself. What was handed over waits for its delivery as long as the
process lives; what a process takes with it was not put down as delivered, and is sent again by the next one.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from service import clients
from service.config import Broker, Forward

VERSION: Final = "1"
# Most messages of one poll: a message holds up to thousands of rows.
POLL: Final = 64
_METADATA_S: Final = 5.0

_log = structlog.get_logger()


def _client(broker: Broker) -> dict[str, Any]:
    # Its own lines on stderr repeat what the callback is told.
    return clients.plain(broker) | {"log_level": 0}


class Partitions:
    """All partitions of a topic, read by one process."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self._broker = broker
        self._topic = topic
        self._next: dict[int, int] = {}
        self._pems = clients.pems(broker)
        self._consumer = self._made()

    def _made(self) -> Consumer:
        return Consumer(
            _client(self._broker)
            # Who reads knows where it is; the group is only a name that the client asks for.
            | {"group.id": "fraudgate", "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        )

    def _renew(self) -> None:
        """Go on with the certificates of now, where others took the place of those before."""
        if self._pems.have_changed():
            before, self._consumer = self._consumer, self._made()
            before.close()
            self._assign()

    def _assign(self) -> None:
        self._consumer.assign([TopicPartition(self._topic, number, at) for number, at in self._next.items()])

    def begin(self, begin: Callable[[str, int], int]) -> bool:
        """Read each partition from where `begin(topic, partition)` says; whether the broker told what there is."""
        self._renew()
        try:
            found = self._consumer.list_topics(self._topic, timeout=_METADATA_S).topics[self._topic]
        except KafkaException as error:
            _log.warning("waiting for the broker", error=error.args[0].str())
            return False
        if found.error is not None or not found.partitions:
            _log.warning("waiting for the topic", topic=self._topic)
            return False
        numbers = sorted(found.partitions)
        self._next = {number: begin(self._topic, number) for number in numbers}
        self._assign()
        return True

    def poll(self, seconds: float) -> list[Message]:
        """What has come, at most so long waited for."""
        self._renew()
        messages = []
        for message in self._consumer.consume(POLL, timeout=seconds):
            partition, offset = message.partition(), message.offset()
            if (error := message.error()) is None and partition is not None and offset is not None:
                messages.append(message)
                self._next[partition] = offset + 1
            else:
                _log.warning("broker", error="a record without a place" if error is None else error.str())
        return messages

    def close(self) -> None:
        """Leave."""
        self._consumer.close()


class Deliveries:
    """Messages out, in order for each key."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._pems = clients.pems(broker)
        self._sent: list[tuple[str, str, bytes, str]] = []
        self._producer = self._made()

    def _made(self) -> Producer:
        return Producer(
            # Idempotent and without a time limit: what was handed over is delivered in order, or not while this lives.
            _client(self._broker)
            | {"enable.idempotence": True, "message.timeout.ms": 0, "compression.type": "lz4", "linger.ms": 5}
        )

    def send(self, topic: str, key: str, value: bytes, type_: str) -> None:
        """Hand over. Raises BufferError where too much waits already."""
        self._produce(topic, key, value, type_)
        self._sent.append((topic, key, value, type_))

    def _produce(self, topic: str, key: str, value: bytes, type_: str) -> None:
        headers: list[tuple[str, str | bytes | None]] = [("type", type_.encode()), ("version", VERSION.encode())]
        self._producer.produce(topic, value, key=key.encode(), headers=headers)
        self._producer.poll(0)

    def flush(self, seconds: float = 5.0) -> None:
        """Wait until all is delivered. Raises OSError where some still waits, KafkaException where that is in vain."""
        if self._pems.have_changed():
            # The client of before has its time first: it may be connected still. Of what then waits for one with the
            # certificates of now some may have come: it comes again, in order.
            again = self._sent if self._producer.flush(seconds) else []
            self._producer.purge()
            self._producer = self._made()
            for message in again:
                self._produce(*message)
        waiting = self._producer.flush(seconds)
        if waiting:
            raise OSError(f"{waiting} messages wait for the broker")
        self._sent.clear()


class Decisions(Deliveries):
    """What the cloud says, keyed by PoP."""

    def __init__(self, broker: Broker, topic: str) -> None:
        super().__init__(broker)
        self._topic = topic

    def publish(self, pop: str, decisions: bytes) -> None:
        """Hand over."""
        self.send(self._topic, pop, decisions, "fraudgate.v1.RescoredDecisions")


class Shipments(Deliveries):
    """What a PoP ships, keyed by itself."""

    def __init__(self, forward: Forward) -> None:
        super().__init__(forward)
        self._topics: Mapping[str, tuple[str, str]] = {
            "request": (forward.requests, "fraudgate.v1.RescoreRequest"),
            "reversal": (forward.reversals, "fraudgate.v1.Reversal"),
        }

    def publish(self, kind: str, key: str, value: bytes) -> None:
        """Hand over a request or a reversal."""
        topic, type_ = self._topics[kind]
        self.send(topic, key, value, type_)
