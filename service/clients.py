"""How clients speak to the broker: over mutual TLS, always."""

import ssl
from typing import Any

import structlog

from service.config import Broker

_log = structlog.get_logger()


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
        "error_cb": lambda error: _log.warning("broker", error=error.str()),
    }


def context(broker: Broker) -> ssl.SSLContext:
    """The same for Faust."""
    made = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=broker.ca)
    made.load_cert_chain(broker.certificate, broker.key)
    return made
