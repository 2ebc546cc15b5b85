"""What a server journals: snapshots on demand, decisions shown again, keys that are other ones or rotated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import engine
from fraudgate.v1 import transaction_pb2
from tests.scorer import running_scorer

KEY = bytes(range(32))
HASH_KEY = bytes(range(32))


def settings(folder: Path, **changed: object) -> dict[str, object]:
    return {
        "folder": str(folder),
        "promise": "written",
        "segment_bytes": 1 << 20,
        "buffer_bytes": 1 << 24,
        "sync_ms": 10,
        "retain_bytes": None,
        "retain_s": None,
        "snapshot_bytes": None,
        "snapshot_inputs": None,
        "snapshots": 2,
        **changed,
    }


def purchase(number: int) -> transaction_pb2.Transaction:
    return transaction_pb2.Transaction(
        id=f"t-{number}",
        program="shop",
        event_time_us=1_700_000_000_000_000 + number * 1_000,
        kind=transaction_pb2.KIND_PURCHASE,
        amount_minor=number % 997,
        currency="EUR",
        entities=[
            transaction_pb2.EntityKey(name="customer", value=f"c-{number % 50}"),
            transaction_pb2.EntityKey(name="terminal", value=f"t-{number % 7}"),
        ],
    )


def test_a_snapshot_is_taken_on_demand_and_the_next_start_reads_only_what_came_after_it(tmp_path: Path) -> None:
    journal = settings(tmp_path / "journal")
    with running_scorer(tmp_path, journal=journal, journal_key=KEY, ahead_us=None) as scorer:
        for number in range(60):
            scorer.score(purchase(number))
        assert scorer.server.snapshot() == 60
        for number in range(60, 70):
            scorer.score(purchase(number))
        digest = scorer.server.digest()
    with running_scorer(tmp_path, journal=journal, journal_key=KEY, ahead_us=None) as scorer:
        stats = scorer.server.stats()
        assert (stats["snapshot_sequence"], stats["recovered"]) == (60, 10)
        assert scorer.server.digest() == digest
        assert scorer.score(purchase(5)).receipt.replayed


def test_a_scorer_without_a_journal_says_so_when_asked_for_a_snapshot(tmp_path: Path) -> None:
    with running_scorer(tmp_path) as scorer, pytest.raises(RuntimeError, match="snapshot: it has no journal"):
        scorer.server.snapshot()


def no_model(_: str) -> None:
    return None


def test_what_was_decided_can_be_shown_again_with_what_it_saw(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with running_scorer(tmp_path, journal=settings(journal), journal_key=KEY, ahead_us=None) as scorer:
        decisions = [scorer.score(purchase(number)) for number in range(120)]

    def show(id: str) -> Any:
        runtime = str(engine.onnxruntime_library())
        return json.loads(engine.journal_show(str(journal), KEY, HASH_KEY, "shop", id, runtime, no_model))

    told = show("t-77")
    assert told["sequence"] == decisions[77].receipt.sequence
    assert told["assessment"]["risk_score"] == decisions[77].assessment.risk_score
    assert told["again"]["features"] == {"result": "same"}
    assert show("absent") is None
    last = json.loads(engine.journal_tail(str(journal), KEY, 5))
    assert [one["sequence"] for one in last] == [116, 117, 118, 119, 120]
    verified = json.loads(engine.journal_verify(str(journal), KEY))
    assert (verified["inputs"], verified["torn_bytes"]) == (120, 0)
    assert "c-1" not in json.dumps(last)


def test_another_key_is_an_error_that_names_both(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with running_scorer(tmp_path, journal=settings(journal), journal_key=KEY, ahead_us=None) as scorer:
        scorer.score(purchase(1))
    with pytest.raises(ValueError, match=r"is wrapped under key-encryption key [0-9a-f]{16}; the one given is"):
        engine.journal_verify(str(journal), bytes(32))
    assert engine.journal_rotate(str(journal), KEY, bytes(32)) > 0
    assert json.loads(engine.journal_verify(str(journal), bytes(32)))["inputs"] == 1
