"""The topics, through librdkafka: requests in from where the lake ends, decisions out in order.

The client recovers from a broker's absence by itself. A decision waits for its delivery as long as the process lives;
what a process takes with it is not in the lake either, and is scored and sent again by the next one.
"""

from collections.abc import Callable
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from service.cloud.config import Broker
from service.cloud.rescorer import Message

TYPE: Final = "fraudgate.v1.RescoredDecisions"
VERSION: Final = "1"
# Most messages of one poll: a message holds up to thousands of rows.
POLL: Final = 64
_METADATA_S: Final = 5.0

_log = structlog.get_logger()


def client(broker: Broker) -> dict[str, Any]:
    """What every client of the broker is told."""
    return {
        "bootstrap.servers": broker.servers,
        "security.protocol": "ssl",
        "ssl.ca.location": str(broker.ca),
        "ssl.certificate.location": str(broker.certificate),
        "ssl.key.location": str(broker.key),
        "reconnect.backoff.max.ms": 1_000,
        "error_cb": lambda error: _log.warning("broker", error=error.str()),
    }


class Requests:
    """All partitions of a topic, read by one process."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self._topic = topic
        self._consumer = Consumer(
            client(broker)
            # The lake knows where it ends; the group is only a name that the client asks for.
            | {"group.id": "fraudgate-cloud", "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        )

    def begin(self, begin: Callable[[str, int], int]) -> bool:
        """Read each partition from where `begin(topic, partition)` says; whether the broker told what there is."""
        try:
            found = self._consumer.list_topics(self._topic, timeout=_METADATA_S).topics[self._topic]
        except KafkaException as error:
            _log.warning("waiting for the broker", error=error.args[0].str())
            return False
        if found.error is not None or not found.partitions:
            _log.warning("waiting for the topic", topic=self._topic)
            return False
        numbers = sorted(found.partitions)
        self._consumer.assign([TopicPartition(self._topic, number, begin(self._topic, number)) for number in numbers])
        return True

    def poll(self, seconds: float) -> list[Message]:
        """What has come, at most so long waited for."""
        messages = []
        for record in self._consumer.consume(POLL, timeout=seconds):
            if (error := record.error()) is not None:
                _log.warning("broker", error=error.str())
                continue
            partition, offset = record.partition(), record.offset()
            if partition is not None and offset is not None:
                messages.append(Message(self._topic, partition, offset, record.value() or b""))
        return messages

    def close(self) -> None:
        """Leave."""
        self._consumer.close()


class Decisions:
    """A topic of decisions, keyed by PoP: what one PoP is told comes in order."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self._topic = topic
        self._producer = Producer(
            # Idempotent and without a time limit: what was handed over is delivered in order, or not while this lives.
            client(broker)
            | {"enable.idempotence": True, "message.timeout.ms": 0, "compression.type": "lz4", "linger.ms": 5}
        )

    def publish(self, pop: str, decisions: bytes) -> None:
        """Hand over. Raises BufferError where too much waits already."""
        self._producer.produce(
            self._topic, decisions, key=pop.encode(), headers=[("type", TYPE.encode()), ("version", VERSION.encode())]
        )
        self._producer.poll(0)

    def flush(self, seconds: float = 10.0) -> None:
        """Wait until all is delivered. Raises OSError where some still waits, KafkaException where that is in vain."""
        waiting = self._producer.flush(seconds)
        if waiting:
            raise OSError(f"{waiting} messages wait for the broker")
