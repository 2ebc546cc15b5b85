"""What is absent is waited for: the broker, and the place of another worker. Calls are served meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from fraudgate.v1 import decision_pb2
from tests.broker import Broker
from tests.stream.conftest import Pop
from tests.stream.records import purchase
from tests.stream.test_door import channel


def answers(pop: Pop, number: int) -> bool:
    """Whether it answers a call in full."""
    with channel(pop) as wire:
        answer = wire.unary_unary("/fraudgate.v1.Scoring/Score")(purchase(number).SerializeToString(), timeout=10)
    return decision_pb2.Decision.FromString(answer).receipt.sequence > 0


def test_without_a_broker_calls_are_served_at_once_and_the_stream_begins_when_it_is_there(
    pops: Callable[..., Pop], broker: Broker, tmp_path: Path
) -> None:
    absent = Broker(tmp_path / "absent")
    topics = {name: name for name in ("transactions", "decisions", "dead_letters", "labels", "lease")}
    pop = pops(topics=topics)
    pop.broker = absent
    pop.start()
    assert answers(pop, 1_000_000)
    time.sleep(5)
    assert answers(pop, 1_000_001)
    with absent:
        absent.create(*topics.values())
        pop.produce([purchase(number).SerializeToString() for number in range(100)])
        assert [key for key, _, _ in pop.read("decisions", 100)] == [f"t-{number}" for number in range(100)]
        absent.kill()
        # Nobody is there to say goodbye to.
        told = pop.stop()
    assert told["transactions"] == 102


def test_a_second_worker_of_the_same_pop_waits_and_takes_none_until_the_first_is_gone(pops: Callable[..., Pop]) -> None:
    first = pops()
    first.start()
    first.produce([purchase(number).SerializeToString() for number in range(100)])
    first.read("decisions", 100)
    second = pops(topics=first.topics, named=first.name)
    second.start()
    time.sleep(3)
    first.produce([purchase(number).SerializeToString() for number in range(100, 200)])
    assert len(first.read("decisions", 200)) == 200
    assert "takes in" not in second.said()
    assert answers(second, 1_000_000)
    first.kill()
    # Its own journal is empty: it takes everything, and every decision leaves again under the same id.
    read = first.read("decisions", 400, within_s=60)
    assert "takes in" in second.said()
    assert second.stop()["offsets"] == [[first.topics["transactions"], 0, 199]]
    assert {key for key, _, _ in read[200:]} == {f"t-{number}" for number in range(200)}
