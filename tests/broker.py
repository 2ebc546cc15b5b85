"""The broker that tests start: skipped, with the reason, where Java or Maven is missing; in CI that is a failure."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from service.demo.kafka import broker, jars


class Broker(broker.Broker):
    """For a test."""

    def __init__(self, folder: Path) -> None:
        if jars.missing():
            why = f"a broker needs {' and '.join(jars.missing())} on the path"
            if os.environ.get("CI"):
                pytest.fail(why)
            pytest.skip(why)
        super().__init__(folder)
