"""The memory that the process holds in truth, through the real door: beyond its bound no model is asked."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

from fraudgate.v1 import decision_pb2, transaction_pb2
from tests.scorer import Scorer, new_purchase, running_scorer, usual_programs

MIB = 1 << 20
LEAST_BALLAST = 512 * MIB
"""Held for a while. The bound lies in its middle, far from what else this process may take or give back meanwhile."""
FULL = decision_pb2.TIER_FULL, decision_pb2.CAUSE_UNSPECIFIED
HELD = decision_pb2.TIER_DEFAULT, decision_pb2.CAUSE_MEMORY
NUMBERS = itertools.count()


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def until(scorer: Scorer, rung: tuple[int, int]) -> tuple[transaction_pb2.Transaction, decision_pb2.Decision]:
    """Scores until one is answered on a rung: that one."""
    for _ in range(1_200):
        sent = new_purchase(f"t-{next(NUMBERS)}", 1_000)
        decision = scorer.score(sent)
        if (decision.assessment.tier, decision.assessment.cause) == rung:
            return sent, decision
        time.sleep(0.05)
    raise AssertionError(f"{rung} is never answered")


def test_beyond_the_memory_it_may_hold_the_default_answers_until_there_is_room_again(tmp_path: Path) -> None:
    # What tests before this one left is much: the bound is left again a tenth below it, so the ballast must weigh more.
    before = resident_bytes()
    weight = max(LEAST_BALLAST, before // 2)
    most = int((before + weight / 2) / 0.95)
    memory = {"history_bytes": 1 << 32, "rows_a_key": 16_384, "process_bytes": most}
    with running_scorer(tmp_path, programs=usual_programs()[:1], memory=memory) as scorer:
        until(scorer, FULL)
        ballast = b"\x01" * weight
        sent, held = until(scorer, HELD)
        assert scorer.server.stats()["resident_bytes"] > most
        # Nothing is declared, so nothing is approved; no model was asked.
        assert held.assessment.verdict == decision_pb2.VERDICT_CHALLENGE
        assert not held.assessment.HasField("risk_score")
        del ballast
        until(scorer, FULL)
        # It was taken in all the same, and that answer is its first.
        repeated = scorer.score(sent)
        assert repeated.receipt.replayed
        assert repeated.assessment == held.assessment
