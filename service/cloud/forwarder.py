"""The edge's side: ships what the journal marks to be scored again, and what the cloud turned around.

One step reads behind the journal's writer, hands over, waits until all is delivered, and only then moves the cursor's
place. So what was promised is shipped at least once and in order, whatever dies; who reads knows what came before by
its epoch and sequence. Without a broker the step waits, and the journal is the spool.
"""

import threading
from typing import Final, NamedTuple, Protocol

import structlog

import engine

# What is read at least this often, so that the spool's bound knows how far the cursor is.
_WAIT_S: Final = 0.2
_AGAIN_S: Final = 1.0

_log = structlog.get_logger()


class Topic(Protocol):
    """Where messages go."""

    def publish(self, kind: str, key: str, value: bytes) -> None:
        """Hand over; messages of one key come in order."""

    def flush(self) -> None:
        """Wait until all is delivered. Raises OSError where some still waits."""


class Shipped(NamedTuple):
    """What a step did."""

    rows: int
    messages: int
    through: int


class Forwarder:
    """Ships from one journal to one topic."""

    def __init__(self, forward: "engine.Forward", topic: Topic, rows: int) -> None:
        self._forward = forward
        self._topic = topic
        self._rows = rows
        self._waiting: Shipped | None = None

    def step(self) -> Shipped:
        """Ship what there is, about `rows` at most, after a short wait for more. Raises OSError: try it again later.

        A step that raised is finished by the next one: what was handed over is not handed over again.
        """
        waiting = self._waiting or self._read(_WAIT_S)
        if waiting.messages:
            self._topic.flush()
        self._waiting = None
        self._forward.keep(waiting.through)
        return waiting

    def pass_over(self) -> None:
        """Pass what holds nothing to ship, such as a history that warmed the state: it does not wait for the broker."""
        before = None
        while self._waiting is None and self._forward.behind():
            passed = self._read(0.0)
            if passed.messages:
                return
            self._waiting = None
            if passed == before:
                break
            before = passed
        if before is not None and self._waiting is None:
            self._forward.keep(before.through)

    def _read(self, wait_s: float) -> Shipped:
        through, rows, messages = self._forward.read(self._rows, wait_s)
        for kind, key, value in messages:
            self._topic.publish(kind, key, value)
        self._waiting = Shipped(rows, len(messages), through)
        return self._waiting

    def run(self, stop: threading.Event) -> None:
        """Ship until `stop`."""
        away = False
        while not stop.is_set():
            try:
                self.step()
            except OSError as error:
                if not away:
                    _log.warning("what is scored again waits in the journal", reason=str(error))
                away = True
                stop.wait(_AGAIN_S)
            else:
                if away:
                    _log.info("what is scored again is shipped again")
                away = False
