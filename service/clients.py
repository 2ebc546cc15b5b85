"""How clients speak to the broker: over mutual TLS, always."""

import ssl
import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from confluent_kafka import KafkaError

from service.config import Broker
from service.pems import Pems

# After which an error that lasts is told of again.
_AGAIN_S: Final = 60.0

_log = structlog.get_logger()


class Told:
    """Logs a client's errors, each kind once a minute: a client without a broker has some ten of them a second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[int, float] = {}

    def __call__(self, error: KafkaError) -> None:
        now, before = self._clock(), self._told.get(error.code())
        if before is None or now - before >= _AGAIN_S:
            self._told[error.code()] = now
            _log.warning("broker", error=error.str())


def plain(broker: Broker) -> dict[str, Any]:
    """The settings of a plain client. It comes back by itself, soon, when the broker does."""
    return {
        "bootstrap.servers": broker.servers,
        "security.protocol": "ssl",
        "ssl.ca.location": str(broker.ca),
        "ssl.certificate.location": str(broker.certificate),
        "ssl.key.location": str(broker.key),
        "reconnect.backoff.max.ms": 1_000,
        "log_level": 3,
        "error_cb": Told(),
    }


def pems(broker: Broker) -> Pems:
    """What they are made with. A client keeps what it began with, so who has one makes it anew when that changed."""
    return Pems(broker.certificate, broker.key, broker.ca)


def context(broker: Broker) -> ssl.SSLContext:
    """The settings of a plain client, for Faust."""
    return pems(broker).context()
