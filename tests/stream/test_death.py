"""What is in the middle of things is killed, at random moments: nothing is lost, nothing counts twice, order holds."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from fraudgate.v1 import decision_pb2
from tests.broker import Broker
from tests.stream.conftest import Pop, Read
from tests.stream.records import purchase

KILLS = 100 if os.environ.get("FRAUDGATE_PROVE") else 20


class Payments:
    """Someone who pays, one after the other, until it is enough."""

    def __init__(self, pop: Pop) -> None:
        self.sent = 0
        self._pop = pop
        self._enough = threading.Event()

    @contextlib.contextmanager
    def going_on(self) -> Iterator[None]:
        """Pays meanwhile."""
        paying = threading.Thread(target=self._pay)
        paying.start()
        try:
            yield
        finally:
            self._enough.set()
            paying.join()

    def _pay(self) -> None:
        while not self._enough.is_set():
            values = [purchase(number).SerializeToString() for number in range(self.sent, self.sent + 50)]
            self._pop.produce(values, within_s=120)
            self.sent += len(values)
            self._enough.wait(0.05)


def until_decided(pop: Pop, more_than: int, within_s: float = 60.0) -> int:
    """Waits until more decisions stand in the topic; gives how many."""
    until = time.monotonic() + within_s
    while (count := pop.count("decisions")) <= more_than:
        assert time.monotonic() < until, pop.said()[-2_000:]
        time.sleep(0.01)
    return count


def check(read: Read, told: dict[str, Any], calm: dict[str, Any], sent: int) -> None:
    """Each transaction has one decision however often it left, in its place, and the state is the undisturbed one."""
    first: dict[str, bytes] = {}
    for key, value, _ in read:
        kept = decision_pb2.Decision.FromString(first.setdefault(key, value))
        again = decision_pb2.Decision.FromString(value)
        assert again.assessment == kept.assessment
        assert (again.receipt.epoch, again.receipt.sequence) == (kept.receipt.epoch, kept.receipt.sequence)
    assert list(first) == [f"t-{number}" for number in range(sent)]
    sequences = [decision_pb2.Decision.FromString(value).receipt.sequence for value in first.values()]
    assert sequences == list(range(1, sent + 1))
    assert told["digest"] == calm["digest"]


def undisturbed(pops: Callable[..., Pop], like: Pop, sent: int) -> dict[str, Any]:
    """What a PoP says that takes the same topic and is left alone."""
    calm = pops(topics=like.topics | {"decisions": like.topics["dead_letters"]})
    calm.start()
    calm.read("decisions", sent, within_s=180, different=True)
    return calm.stop()


def test_kill_9_of_the_worker_loses_nothing_doubles_nothing_and_leaves_the_undisturbed_state(
    pops: Callable[..., Pop],
) -> None:
    draw = random.Random(5)
    pop = pops()
    payments = Payments(pop)
    decided = 0
    with payments.going_on():
        for _ in range(KILLS // 2):
            # Wherever it is: it starts, takes the journal in, asks for the lease, or takes the first records.
            pop.spawn()
            time.sleep(draw.uniform(0.0, 2.0))
            pop.kill()
            # In the middle: records are taken and decisions leave.
            pop.start()
            decided = until_decided(pop, decided)
            time.sleep(draw.uniform(0.0, 0.3))
            pop.kill()
    pop.start()
    pop.read("decisions", payments.sent, within_s=180, different=True)
    told = pop.stop()
    # Those that came to the journal have a life of their own in it.
    assert KILLS // 2 < told["epoch"] <= KILLS + 1
    assert told["recovered"] > 0
    read = pop.read("decisions", pop.count("decisions"))
    check(read, told, undisturbed(pops, pop, payments.sent), payments.sent)


def test_a_broker_that_is_killed_or_hangs_costs_nothing_but_the_wait(pops: Callable[..., Pop], broker: Broker) -> None:
    pop = pops()
    payments = Payments(pop)
    pop.start()
    with payments.going_on():
        decided = until_decided(pop, 0)
        broker.pause()
        try:
            time.sleep(3)
        finally:
            broker.resume()
        decided = until_decided(pop, decided)
        broker.kill()
        broker.start()
        decided = until_decided(pop, pop.count("decisions"))
    pop.read("decisions", payments.sent, within_s=180, different=True)
    told = pop.stop()
    read = pop.read("decisions", pop.count("decisions"))
    check(read, told, undisturbed(pops, pop, payments.sent), payments.sent)
