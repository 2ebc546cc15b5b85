"""Takes transactions from topics in bulk: one call of the engine a poll, nothing in Python per record.

Each partition is read from behind what the engine's state contains. What the engine does not take for now stands still:
the consumer is paused, so memory is bounded and order holds. What fails is begun anew from the state.
"""

import threading
import time
from typing import Any, Final, Literal

import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

import engine
from service import clients
from service.config import Broker

# How long is waited for a first record, and before the engine is asked again that takes nothing.
_WAIT_S: Final = 0.1
_FULL_S: Final = 0.02
_AGAIN_S: Final = 1.0
_METADATA_S: Final = 5.0
# How often is looked where partitions end.
_LOOK_S: Final = 1.0
# What the client fetches ahead, at most.
_AHEAD_KBYTES: Final = 16_384

_log = structlog.get_logger()


class Intake:
    """Reads partitions of one topic."""

    def __init__(
        self,
        server: "engine.Server",
        kind: Literal["transactions", "mirrored"],
        broker: Broker,
        topic: str,
        partitions: list[int] | None,
        poll: int,
    ) -> None:
        self.topic = topic
        self.is_mirror = kind == "mirrored"
        self._server = server
        self._kind: Literal["transactions", "mirrored"] = kind
        self._broker = broker
        self._partitions = partitions
        self._poll = poll
        self._running = threading.Lock()
        # When what was there was read to its end; and what the last look has seen that was not read yet.
        self._current = time.monotonic()
        self._seen: tuple[float, dict[int, int]] | None = None
        # Where each partition was begun.
        self._begun: dict[int, int] = {}
        self._measured = 0.0
        self.lags: dict[int, int] = {}
        """By partition, how many records were not handed over, as far as the broker has said."""

    def run(self, stop: threading.Event) -> None:
        """Take until `stop`. One that was told to stop before ends first."""
        with self._running:
            self._run(stop)

    def join(self) -> None:
        """Wait until what was told to stop has ended."""
        with self._running:
            pass

    def _run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            consumer: Consumer | None = None
            try:
                consumer = self._made()
                self._begin(consumer)
                while not stop.is_set():
                    self._step(consumer, stop)
            except (KafkaException, RuntimeError, OSError) as error:
                _log.warning("the intake begins anew", topic=self.topic, reason=str(error))
                stop.wait(_AGAIN_S)
            finally:
                if consumer is not None:
                    consumer.close()

    def _made(self) -> Consumer:
        return Consumer(
            clients.plain(self._broker)
            | {
                # The state knows where to go on; the group is only a name that the client asks for.
                "group.id": "fraudgate",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "queued.max.messages.kbytes": _AHEAD_KBYTES,
                "fetch.wait.max.ms": 20,
            }
        )

    def lag_s(self) -> float:
        """For how long there has been something, as far as is known, that was not read."""
        return time.monotonic() - self._current

    def _begin(self, consumer: Consumer) -> None:
        """Reads on behind what the state contains. Raises where the topic is not there, or cannot be what it was."""
        found = consumer.list_topics(self.topic, timeout=_METADATA_S).topics[self.topic]
        if found.error is not None:
            raise KafkaException(found.error)
        numbers = sorted(found.partitions) if self._partitions is None else self._partitions
        known = {partition: highest for topic, partition, highest in self._server.offsets() if topic == self.topic}
        self._begun = {number: self._begin_at(consumer, number, known.get(number)) for number in numbers}
        self._seen = None
        consumer.assign([TopicPartition(self.topic, number, offset) for number, offset in self._begun.items()])
        _log.info("taking", topic=self.topic, begun=self._begun)

    def _begin_at(self, consumer: Consumer, partition: int, highest: int | None) -> int:
        oldest, end = consumer.get_watermark_offsets(TopicPartition(self.topic, partition), timeout=_METADATA_S)
        if highest is None:
            return int(oldest)
        following = highest + 1
        if following > end:
            raise RuntimeError(f"partition {partition} ends before what was taken of it: another topic has its name")
        if following < oldest:
            _log.error(
                "records were removed before they were read",
                topic=self.topic,
                partition=partition,
                from_offset=following,
            )
        return max(following, int(oldest))

    def _step(self, consumer: Consumer, stop: threading.Event) -> None:
        messages = consumer.consume(1, timeout=_WAIT_S)
        if messages:
            messages += consumer.consume(self._poll - 1, timeout=0)
            self._hand(consumer, messages, stop)
        self._measure(consumer, [])
        if self.is_mirror:
            self._look(consumer)

    def _measure(self, consumer: Consumer, waiting: list[Message]) -> None:
        """Notes now and then how far behind its end each partition is taken; `waiting` was read and is not.

        Ends are those that were fetched last; of partitions that stand still the broker is asked.
        """
        if time.monotonic() - self._measured < _LOOK_S:
            return
        self._measured = time.monotonic()
        read = {place.partition: max(place.offset, self._begun[place.partition]) for place in _places(consumer)}
        for message in reversed(waiting):
            if (partition := message.partition()) is not None and (offset := message.offset()) is not None:
                read[partition] = offset
        lags = {}
        for partition, at in read.items():
            place = TopicPartition(self.topic, partition)
            _, end = consumer.get_watermark_offsets(place, timeout=_METADATA_S, cached=not waiting)
            lags[partition] = max(end - at, 0)
        self.lags = lags

    def _look(self, consumer: Consumer) -> None:
        """Looks now and then where the partitions end, and notes when all that was there then is read."""
        if self._seen is None and time.monotonic() - self._current >= _LOOK_S:
            ends = {}
            for partition in self._begun:
                now = time.monotonic()
                _, ends[partition] = consumer.get_watermark_offsets(
                    TopicPartition(self.topic, partition), timeout=_METADATA_S
                )
            self._seen = now, ends
        if self._seen is not None:
            at, ends = self._seen
            # Nothing was read of one that has no position.
            read = {place.partition: max(place.offset, self._begun[place.partition]) for place in _places(consumer)}
            if all(read[partition] >= end for partition, end in ends.items()):
                self._current, self._seen = at, None

    def _hand(self, consumer: Consumer, messages: list[Message], stop: threading.Event) -> None:
        waiting: list[Any] = messages
        paused = False
        while not stop.is_set():
            taken = self._server.take(self._kind, waiting)
            if taken == len(waiting):
                break
            waiting = waiting[taken:]
            if not paused:
                _log.warning("the engine takes nothing for now", topic=self.topic)
                consumer.pause(consumer.assignment())
                paused = True
            self._measure(consumer, waiting)
            stop.wait(_FULL_S)
        if paused:
            consumer.resume(consumer.assignment())


def _places(consumer: Consumer) -> list[TopicPartition]:
    """Where each partition is read next; below 0 where nothing of it was read."""
    places: list[TopicPartition] = consumer.position(consumer.assignment())
    return places
