"""The stream's demo, on a small world: it fails by itself where something promised did not come back, or came twice."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import pytest
from rich.console import Console

from service import simulate
from service.demo import outage
from service.demo.story import simulated


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("FRAUDGATE_PROVE"), reason="a demo of minutes: with FRAUDGATE_PROVE")
def test_an_outage_is_caught_up_with_and_everything_promised_comes_back_once(tmp_path: Path) -> None:
    told = io.StringIO()
    story = simulated(simulate.Scale(1_000, 1_500, 75))
    outage.play(story, tmp_path, Console(file=told, width=160), rate=200.0, live_s=5.0, outage_s=10.0)
    shown = told.getvalue()
    assert "Everything that was promised came back, once." in shown
    (promised,) = re.findall(r"promised to be scored again +│ +([\d,]+) ", shown)
    assert int(promised.replace(",", "")) > 100
    assert "because of feature" in shown
