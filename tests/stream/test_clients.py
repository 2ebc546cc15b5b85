"""What clients of the broker log: a broker that is away is one thing to know, and not ten times a second."""

from __future__ import annotations

import pytest
import structlog
from confluent_kafka import KafkaError
from structlog.testing import capture_logs

from service import clients
from service.clients import Told


def test_an_error_that_lasts_is_told_once_a_minute_and_another_kind_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # Where logs were configured before, a logger keeps what it was first used with.
    monkeypatch.setattr(clients, "_log", structlog.get_logger())
    now = 0.0
    tell = Told(lambda: now)
    with capture_logs() as logged:
        for second in range(200):
            now = float(second)
            tell(KafkaError(KafkaError._TRANSPORT, "away"))
            if second in (70, 71):
                tell(KafkaError(KafkaError._ALL_BROKERS_DOWN, "all"))
    assert [entry["error"] for entry in logged] == ["away", "away", "all", "away", "away"]
