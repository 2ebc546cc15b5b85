"""What was acknowledged survives `kill -9`, at random moments and at every place where the journal touches the disk."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fraudgate.v1 import decision_pb2
from tests.crash.killed import Log, load, score_all
from tests.crash.served import KNOWN_IDS, process, recovered

PROVE = bool(os.environ.get("FRAUDGATE_PROVE"))
ROUNDS, RANDOM, KILLS = (4, 3, 200) if PROVE else (1, 1, 20)
"""How often each place, and how many random moments for each promise in each round; kills that this makes at least."""
LEAST = 200
"""Acknowledged in a life before it is killed: below that a kill shows nothing."""
VOID = 4
"""Lives at one place that may show nothing, before the one that does."""
SIDE_BY_SIDE = 2
"""Scorers that live and die at the same time, each in a folder of its own."""

LOADED = {
    "append.before": (250, 500),
    "append.half": (250, 500),
    "append.after": (250, 500),
    "header.before": (3, 6),
    "header.half": (3, 6),
    "header.after": (3, 6),
    "sync.before": (60, 120),
    "sync.after": (60, 120),
    "roll.before": (3, 6),
    "roll.after": (3, 6),
    "key.before": (5, 9),
    "key.after": (5, 9),
    "snapshot.before": (1, 2),
    "snapshot.half": (1, 2),
    "snapshot.after": (1, 2),
    "publish.before": (1, 2),
    "publish.after": (1, 2),
    "key.half": (5, 9),
}
"""Places that are passed under load, and between which calls the scorer dies there.

A drain holds one input at the least, so appends are counted beyond LEAST. The last leaves half a line behind, which
the next start replaces.
"""
STARTING = ["keys.before", "keys.after", "remove.before", "remove.after", "renew.before", "renew.after"]
"""Places that a start passes, on what the life before has left."""
RETAINING = {"remove.before": 4, "remove.after": 4, "keys.before": 2, "keys.after": 2}
"""Places that retention passes under load."""


def side_by_side(live: Callable[[str], int], each: Iterable[str]) -> int:
    """Sums what they give; raises what one of them raised."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as lives:
        return sum(lives.map(live, each))


def dies_at(path: Path, log: Log, place: str, call: int, **journal: object) -> None:
    """A life that serves and ends at the so-many-th call of a place.

    How much is acknowledged until then is the disk's affair and the machine's: a life that acknowledged less than
    LEAST shows nothing, and the next one goes on twice as long.
    """
    for void in range(VOID + 1):
        before = len(log.answers)
        with process(path, die=f"{place}:{call << void}", **journal) as life:
            assert life.port is not None
            streams = load(path, life.port, log)
            for stream in streams:
                stream.join(90)
            assert not any(stream.is_alive() for stream in streams)
            assert life.process.wait(10) == -signal.SIGKILL, f"{place} was not reached"
        if len(log.answers) - before >= LEAST:
            return
    raise AssertionError(f"{place}: below its load {VOID + 1} times")


def dies_starting(path: Path, log: Log, place: str, draw: random.Random, **journal: object) -> None:
    """A start that ends at a place.

    What the last life left, a segment made ready or none, is its moment's affair: after a start that has nothing to do
    at the place comes one more life under load, and then the next start.
    """
    for _ in range(VOID + 1):
        with process(path, die=f"{place}:1", **journal) as life:
            if life.port is None:
                assert life.process.wait(10) == -signal.SIGKILL
                return
        dies_at_random(path, log, draw, **journal)
    raise AssertionError(f"{place}: nothing to do there at {VOID + 1} starts")


def dies_at_random(path: Path, log: Log, draw: random.Random, **journal: object) -> None:
    """A life that is killed at any moment."""
    before = len(log.answers)
    with process(path, **journal) as life:
        assert life.port is not None
        streams = load(path, life.port, log)
        deadline = time.monotonic() + 60
        while len(log.answers) - before < LEAST and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(draw.uniform(0.0, 0.3))
        life.process.send_signal(signal.SIGKILL)
        for stream in streams:
            stream.join(60)
    assert len(log.answers) - before >= LEAST


def lives(path: Path, log: Log, promise: str, places: Iterable[str], draw: random.Random) -> int:
    """One life after the other on the same journal; gives how many."""
    count = 0
    for place in places:
        if place in STARTING:
            dies_starting(path, log, place, draw, promise=promise)
        else:
            if place.startswith(("snapshot.", "publish.")):
                # So that this life owes no snapshot before it has taken 500 inputs, of which 256 may be in flight.
                with recovered(path) as (server, _):
                    server.snapshot()
            least, most = LOADED[place]
            dies_at(path, log, place, draw.randint(least, most) if PROVE else least, promise=promise)
        count += 1
    for _ in range(RANDOM):
        # With snapshots so dense that one is being written most of the time.
        dies_at_random(path, log, draw, promise=promise, snapshot_inputs=40)
    return count + RANDOM


def survives(path: Path, log: Log, promise: str) -> None:
    """All that was acknowledged is there, none twice, and the state is a fold of the acknowledged log."""
    assert len(log.sent) <= KNOWN_IDS, "of the first nothing is known any more"
    held = decision_pb2.Durability.Value(f"DURABILITY_{promise.upper()}")
    assert all(answer.receipt.durability >= held for answer in log.answers.values())
    with recovered(path) as (server, open_channel):
        ids = list(log.sent)
        for id, decision in zip(ids, score_all(open_channel, [log.sent[id] for id in ids]), strict=True):
            # What nobody was told may have been taken or not.
            first = log.answers.setdefault(id, decision)
            if first is decision:
                continue
            assert decision.receipt.replayed
            assert decision.receipt.sequence == first.receipt.sequence
            assert decision.receipt.epoch == first.receipt.epoch
            assert decision.assessment == first.assessment
        digest = server.digest()
    in_order = sorted(log.answers, key=lambda id: log.answers[id].receipt.sequence)
    assert [log.answers[id].receipt.sequence for id in in_order] == list(range(1, len(log.sent) + 1))
    with recovered(path, journaled=False) as (fresh, open_channel):
        decisions = score_all(open_channel, [log.sent[id] for id in in_order])
        for id, decision in zip(in_order, decisions, strict=True):
            assert decision.assessment == log.answers[id].assessment
        assert fresh.digest() == digest


@pytest.mark.slow
def test_every_acknowledged_transaction_survives_kill_9_wherever_it_strikes(tmp_path: Path) -> None:
    promises = ("written", "synced")

    def of(promise: str) -> int:
        # Between them the promises take every place; each of them all in the full count.
        loaded = list(LOADED) if PROVE else list(LOADED)[promises.index(promise) :: 2]
        places = loaded + STARTING if loaded[-1] == "key.half" else loaded
        log, draw = Log(), random.Random(promise)
        path = tmp_path / promise
        path.mkdir()
        kills = sum(lives(path, log, promise, places, draw) for _ in range(ROUNDS))
        survives(path, log, promise)
        return kills

    assert side_by_side(of, promises) >= KILLS


@pytest.mark.slow
def test_a_death_in_retention_costs_nothing_that_was_to_stay(tmp_path: Path) -> None:
    def at(place: str) -> int:
        log, path = Log(), tmp_path / place
        path.mkdir()
        dies_at(path, log, place, RETAINING[place], retain_bytes=1 << 18)
        newest = sorted(log.answers.values(), key=lambda answer: answer.receipt.sequence)[-500:]
        by_sequence = {answer.receipt.sequence: id for id, answer in log.answers.items()}
        with recovered(path) as (_, open_channel):
            sent = [log.sent[by_sequence[answer.receipt.sequence]] for answer in newest]
            for first, decision in zip(newest, score_all(open_channel, sent), strict=True):
                assert decision.receipt.replayed
                assert decision.receipt.sequence == first.receipt.sequence
                assert decision.assessment == first.assessment
        return 1

    assert side_by_side(at, RETAINING) == len(RETAINING)


def test_every_place_has_its_name_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    with process(tmp_path, die="nowhere:1") as life:
        assert life.port is None
    _, refused, names = life.told.partition("FRAUDGATE_DIE: PLACE:CALL, where PLACE is one of ")
    assert refused
    assert set(names.splitlines()[0].split(", ")) == {*LOADED, *STARTING}
