"""A PoP's link to the cloud: one thread ships what is scored again, another brings what comes of it. Neither is on a
transaction's way; while the broker is away both wait, and the journal is the spool.
"""

import threading
from typing import Any, Final

import structlog

import engine
from service.cloud.forwarder import Forwarder
from service.cloud.kafka import Partitions, Shipments
from service.config import Forward

_POLL_S: Final = 0.2
_AGAIN_S: Final = 1.0
_JOIN_S: Final = 15.0

_log = structlog.get_logger()


class Link:
    """Between a server that took its journal in and the broker of its `[forward]`. Make it before the server starts."""

    def __init__(self, server: "engine.Server", pop: str, config: Forward) -> None:
        self._server = server
        self._pop = pop
        self._config = config
        self._stop = threading.Event()
        self.forwarder = Forwarder(server.forward(pop), Shipments(config), config.rows)
        self.forwarder.pass_over()
        self._threads = [
            threading.Thread(target=self.forwarder.run, args=(self._stop,), name="forwarder", daemon=True),
            threading.Thread(target=self._bring, name="rescored", daemon=True),
        ]

    def start(self) -> None:
        """Once the server was started."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """What was not shipped is shipped by the next start."""
        self._stop.set()
        for thread in self._threads:
            thread.join(_JOIN_S)

    def _bring(self) -> None:
        taken = {(topic, partition): highest + 1 for topic, partition, highest in self._server.offsets()}
        partitions = Partitions(self._config, self._config.decisions)
        try:
            while not self._stop.is_set() and not partitions.begin(lambda *where: taken.get(where, 0)):
                self._stop.wait(_AGAIN_S)
            while not self._stop.is_set():
                self._take(partitions.poll(_POLL_S))
        except RuntimeError:
            # The server stopped first; what it did not take is read again.
            if not self._stop.is_set():
                _log.exception("what the cloud says is brought no more")
        finally:
            partitions.close()

    def _take(self, messages: list[Any]) -> None:
        ours = [message for message in messages if message.key() == self._pop.encode()]
        while ours and not self._stop.is_set():
            taken = self._server.take("rescored", ours)
            ours = ours[taken:]
            if ours:
                # The journal takes nothing for now.
                self._stop.wait(_AGAIN_S)
