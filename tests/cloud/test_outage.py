"""Broker and cloud gone for forty minutes of event time: what was promised is shipped afterwards, scored, and taken in
once; the spool grows as predicted and its bound holds. A real broker, killed; a real cloud, gone with it.

With FRAUDGATE_PROVE at 1,000 transactions a second of event time.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
import pytest

from fraudgate.v1 import decision_pb2
from service.cloud import command
from service.cloud.config import CloudConfig, LakeSection, Program, Topics
from service.cloud.link import Link
from service.config import Broker as BrokerSection
from service.config import Forward
from tests.broker import Broker
from tests.cloud.edge import POP, pop, teacher_of_shop
from tests.scorer import Scorer
from tests.stream.records import Record, purchase

RATE = 1_000 if os.environ.get("FRAUDGATE_PROVE") else 10
OUTAGE = 2_400 * RATE
SHARE = 0.25
REQUESTS, DECISIONS, REVERSALS = "fraudgate.rescore", "fraudgate.rescored", "fraudgate.reversals"
WITHIN_S = 600.0 if os.environ.get("FRAUDGATE_PROVE") else 60.0


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("kafka")) as started:
        started.create(REQUESTS, DECISIONS, REVERSALS)
        yield started


def section(broker: Broker) -> dict[str, object]:
    certificate, key = broker.client()
    return {"servers": broker.address, "ca": broker.ca, "certificate": certificate, "key": key}


@contextlib.contextmanager
def cloud(broker: Broker, path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`fraudgate cloud` on a thread of its own; only the bundle that it reads is made up."""
    monkeypatch.setattr("service.cloud.teacher.load", lambda *_: teacher_of_shop())
    config = CloudConfig.model_construct(
        broker=BrokerSection.model_construct(**section(broker)),
        topics=Topics(requests=REQUESTS, decisions=DECISIONS),
        lake=LakeSection.model_construct(folder=path / "lake", rows=4_096, seconds=0.5),
        program={"shop": Program.model_construct(bundle=path, digest=None)},
    )
    stop = threading.Event()
    thread = threading.Thread(target=command.rescore, args=(config, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


@contextlib.contextmanager
def linked(scorer: Scorer, broker: Broker) -> Iterator[Link]:
    forward = Forward.model_construct(
        **section(broker),
        requests=REQUESTS,
        decisions=DECISIONS,
        reversals=REVERSALS,
        rows=4_096,
    )
    link = Link(scorer.server, POP, forward)
    link.start()
    try:
        yield link
    finally:
        link.stop()


def feed(scorer: Scorer, numbers: range) -> None:
    """Transactions of consecutive event times, RATE a second, in polls as a consumer's."""
    for first in range(numbers.start, numbers.stop, 2_000):
        part = range(first, min(first + 2_000, numbers.stop))
        records = []
        for number in part:
            transaction = purchase(number)
            transaction.event_time_us = 1_700_000_000_000_000 + number * 1_000_000 // RATE
            transaction.amount_minor = number * 37 % 18_000
            records.append(Record(transaction.SerializeToString(), number))
        assert scorer.server.take("transactions", records) == len(records)


def until(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < ends, "it took too long"
        time.sleep(0.05)


def receipts(scorer: Scorer) -> list[decision_pb2.Receipt]:
    """Of all decisions, as the journal says."""
    cursor, told = scorer.server.cursor("check"), []
    while cursor.behind():
        _, leaves = cursor.read(50_000, 0.0)
        told += [decision_pb2.Decision.FromString(value).receipt for _, _, value, _ in leaves]
    return told


def test_forty_minutes_without_broker_and_cloud_lose_nothing_promised_and_double_nothing(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, bound = 60 * RATE, OUTAGE * 3 // 4
    rescore = {"control_share": SHARE, "labels": False}
    with pop(tmp_path, rescore=rescore, spool_inputs=bound) as scorer, linked(scorer, broker) as link:
        stats = scorer.server.stats
        with cloud(broker, tmp_path, monkeypatch):
            feed(scorer, range(live))
            queued = stats()["rescore_queued_control"]
            until(lambda: stats()["rescored.shop"] == queued)
        shipped = stats()["rescore_shipped"]
        assert shipped >= live

        broker.kill()
        began = stats()["transactions"]
        feed(scorer, range(live, live + OUTAGE))
        in_outage = stats()["rescore_queued_control"] - queued
        # What is drawn is a share of what came, up to the bound; six deviations of a binomial.
        expected = SHARE * bound
        assert abs(in_outage - expected) < 6 * (expected * (1 - SHARE)) ** 0.5 + SHARE * (shipped - live)
        assert stats()["rescore_spool_full"] > 0
        assert stats()["transactions"] - began == OUTAGE
        assert stats()["journal_written"] - stats()["rescore_shipped"] >= OUTAGE

        broker.start()
        with cloud(broker, tmp_path, monkeypatch):
            after = range(live + OUTAGE, live + OUTAGE + live)
            until(lambda: stats()["journal_written"] - stats()["rescore_shipped"] < bound)
            feed(scorer, after)
            promised = sum(stats()[f"rescore_queued_{why}"] for why in ("control", "degraded", "uncertain"))
            until(lambda: stats()["rescored.shop"] == promised)
        told = receipts(scorer)
        assert link.forwarder is not None

    promised_at = sorted(receipt.sequence for receipt in told if receipt.rescore_queued)
    assert len(promised_at) == promised
    assert sum(receipt.rescore_spool_full for receipt in told) > OUTAGE * (1 - 3 / 4) * SHARE / 2
    # The bound: what was promised in the outage lies within it.
    in_outage_at = [at for at in promised_at if shipped < at and at <= shipped + OUTAGE]
    assert max(in_outage_at) <= shipped + bound + 64
    kept = ds.dataset(tmp_path / "lake", format="parquet", partitioning="hive").to_table(["sequence"])
    assert sorted(kept["sequence"].to_pylist()) == promised_at
    assert len(np.unique(promised_at)) == len(promised_at)
