"""Three real minutes without broker and cloud, at full speed over gRPC: with FRAUDGATE_PROVE, for they are long.

What it costs and how fast it is caught up with are figures that `python -m benchmarks.gone` prints, as this does.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks import gone
from benchmarks.stage import PROGRAM
from service.demo.seen import promised

SECONDS, SPOOL = 180.0, 500_000


@pytest.mark.skipif("FRAUDGATE_PROVE" not in os.environ, reason="takes five minutes: FRAUDGATE_PROVE=1")
def test_three_minutes_at_full_speed_lose_nothing_promised_double_nothing_and_the_spool_grows_to_its_bound(
    tmp_path: Path,
) -> None:
    played = gone.play(tmp_path, SECONDS, SPOOL)
    print(gone.tables(played))
    assert not any(report["errors"] for reports in played.reports.values() for report in reports)
    before, end = played.stats[gone.BEFORE], played.stats["end"]
    assert end["transactions"] - before["transactions"] == played.calls()
    # What waits grows by what is taken, one by one, and nothing leaves.
    gone_at = gone.waiting(played.stats[gone.OUTAGE])
    assert played.spools == [(taken, gone_at + taken) for taken, _ in played.spools]
    assert played.stats[gone.OUTAGE]["rescore_shipped"] == played.stats[gone.CATCHING_UP]["rescore_shipped"]
    # Up to the bound the control share is promised, and behind it nothing: six deviations of a binomial, and a drain.
    full = played.stats[gone.CATCHING_UP]
    drawn = full["rescore_queued_control"] - played.stats[gone.OUTAGE]["rescore_queued_control"]
    within, share = SPOOL - gone_at, gone.CONTROL
    assert abs(drawn - share * within) < 6 * (share * (1 - share) * within) ** 0.5 + 64
    assert full["rescore_spool_full"] > 0
    # All that was promised came back and lies in the lake, once.
    assert end[f"rescored.{PROGRAM}"] == promised(end) == played.kept == played.distinct
    assert promised(end) > promised(full) > promised(played.stats[gone.OUTAGE])
