"""What comes by the topics of low rate and by other places' topics, over the real broker: it is what calls would have
told, it survives what kills the worker, and the statistics say how far each topic is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fraudgate.v1 import decision_pb2, feedback_pb2, operation_pb2, scoring_pb2, stream_pb2, transaction_pb2
from service import config
from service.stream.intake import Intake
from tests.broker import Broker
from tests.stream.conftest import Pop
from tests.stream.records import purchase
from tests.stream.test_door import channel, replayed

HOUR = 3_600_000_000
FRAUDS = range(0, 40, 2)


def stats(pop: Pop) -> dict[str, int]:
    """As an operator sees them, over the wire."""
    with channel(pop, "operator") as wire:
        call = wire.unary_unary("/fraudgate.v1.Operation/Stats")
        told = call(operation_pb2.StatsRequest().SerializeToString(), timeout=10)
    return dict(operation_pb2.StatsResponse.FromString(told).values)


def until(pop: Pop, within_s: float = 60.0, **expected: int) -> dict[str, int]:
    """Waits until the statistics say so; gives all of them."""
    deadline = time.monotonic() + within_s
    while True:
        told = stats(pop)
        if all(told.get(name, 0) == value for name, value in expected.items()):
            return told
        assert time.monotonic() < deadline, ({name: told.get(name) for name in expected}, pop.said()[-3_000:])
        time.sleep(0.05)


def label(number: int) -> feedback_pb2.Label:
    """That a purchase was fraud."""
    of = purchase(number)
    subject = transaction_pb2.Subject(
        transaction_id=of.id, event_time_us=of.event_time_us, kind=of.kind, entities=of.entities
    )
    return feedback_pb2.Label(
        program="shop",
        subject=subject,
        source=feedback_pb2.LABEL_SOURCE_CHARGEBACK,
        **{"class": feedback_pb2.LABEL_CLASS_THIRD_PARTY_FRAUD},  # type: ignore[arg-type] # the field is a word of Python
    )


def outcome(number: int) -> feedback_pb2.Outcome:
    """That a purchase went through."""
    return feedback_pb2.Outcome(
        program="shop",
        subject=label(number).subject,
        fate=feedback_pb2.FATE_APPROVED,
        decider=feedback_pb2.DECIDER_ISSUER,
    )


def erasure(customer: str) -> operation_pb2.EraseRequest:
    return operation_pb2.EraseRequest(program="shop", entity=transaction_pb2.EntityKey(name="customer", value=customer))


def after(number: int, us: int) -> transaction_pb2.Transaction:
    """One more of the same customer, so long after."""
    made = purchase(number)
    made.id = f"after-{us}-{number}"
    made.event_time_us += us
    return made


def later(number: int) -> transaction_pb2.Transaction:
    """Of the first five customers within the hour, of the others when the labels' delay is over."""
    return after(number, HOUR if number < 5 else 192 * HOUR)


def score(pop: Pop, transaction: transaction_pb2.Transaction) -> decision_pb2.Decision:
    with channel(pop) as wire:
        answer = wire.unary_unary("/fraudgate.v1.Scoring/Score")(transaction.SerializeToString(), timeout=10)
    return decision_pb2.Decision.FromString(answer)


def test_labels_outcomes_and_erasures_by_topic_are_what_calls_tell_and_survive_kill_9(
    pops: Callable[..., Pop], broker: Broker
) -> None:
    by_topic = pops()
    name = by_topic.name
    by_topic.topics |= {"outcomes": f"{name}.outcomes", "control": f"{name}.control"}
    broker.create(by_topic.topics["outcomes"], by_topic.topics["control"])
    by_topic.start()
    payments = [purchase(number).SerializeToString() for number in range(200)]
    by_topic.produce(payments)
    until(by_topic, transactions=200, stream_decisions=200)
    # Each of them is killed over: what was taken is not taken again, and what was not is.
    by_topic.produce([label(number).SerializeToString() for number in FRAUDS], to="labels")
    by_topic.produce([outcome(number).SerializeToString() for number in range(50)], to="outcomes")
    until(by_topic, labels=len(FRAUDS), outcomes=50)
    by_topic.kill()
    control = [stream_pb2.Control(erase=erasure(f"c-{number}")) for number in range(3)]
    refused = [stream_pb2.Control(), stream_pb2.Control(erase=operation_pb2.EraseRequest(program="shop"))]
    by_topic.produce([record.SerializeToString() for record in control + refused], to="control")
    by_topic.start()
    told = until(by_topic, erasures=3, passed=2, stream_dead_letters=2)
    assert (told["labels"], told["outcomes"]) == (0, 0), "taken again"
    found = [score(by_topic, later(number)).assessment for number in range(60)]
    by_topic.kill()
    by_topic.start()
    # Faust reads again what it had not acknowledged; the engine knows it.
    until(by_topic, stream_lease=1)
    again = [score(by_topic, later(number)) for number in range(60)]
    assert all(answer.receipt.replayed for answer in again)
    letters = [stream_pb2.DeadLetter.FromString(value) for _, value, _ in by_topic.read("dead_letters", 2)]
    assert [(letter.topic, letter.offset) for letter in letters] == [(by_topic.topics["control"], at) for at in (3, 4)]
    assert [letter.reason.split(":")[0] for letter in letters] == ["change", "erase.entity"]
    offsets = {topic: highest for topic, _, highest in by_topic.stop()["offsets"]}
    assert offsets[by_topic.topics["control"]] == 4
    assert offsets[by_topic.topics["labels"]] == len(FRAUDS) - 1
    assert offsets[by_topic.topics["outcomes"]] == 49
    assert replayed(by_topic)["assessments"]["differing"] == 0

    by_call = pops()
    by_call.start()
    with channel(by_call) as wire:
        for payment in payments:
            wire.unary_unary("/fraudgate.v1.Scoring/Score")(payment, timeout=10)
        labels = scoring_pb2.LabelRequest(labels=[label(number) for number in FRAUDS])
        wire.unary_unary("/fraudgate.v1.Feedback/Label")(labels.SerializeToString(), timeout=10)
    with channel(by_call, "operator") as wire:
        for number in range(3):
            request = erasure(f"c-{number}").SerializeToString()
            wire.unary_unary("/fraudgate.v1.Operation/Erase")(request, timeout=10)
    assert [score(by_call, later(number)).assessment for number in range(60)] == found
    # An erased key reads as unknown.
    incomplete = [number for number in range(5) if "customer_count_1d" in found[number].incomplete_features]
    assert incomplete == list(range(3))
    risks = {assessment.risk_score for assessment in found}
    by_call.stop()
    never = pops()
    never.start()
    never.produce(payments)
    until(never, transactions=200)
    assert {score(never, later(number)).assessment.risk_score for number in range(60)} != risks


def test_other_places_transactions_count_here_are_not_answered_and_their_lag_shows(
    pops: Callable[..., Pop], broker: Broker
) -> None:
    here = pops()
    elsewhere = f"{here.name}.elsewhere"
    here.topics |= {"mirrors": [elsewhere], "mirror_lag_s": 2.0}
    broker.create(elsewhere)
    there = Pop(broker, here.path, here.name, {"transactions": elsewhere})
    there.produce([purchase(number).SerializeToString() for number in range(500)])
    here.start()
    told = until(here, transactions=500, **{f"stream_lag.{elsewhere}.0": 0})
    # They are in the state, and nobody was answered.
    assert (told["history_events.shop.customer"], told["answered_full"]) == (500, 0)
    assert told[f"mirror_lag_ms.{elsewhere}"] < 60_000
    numbers = iter(range(0, 100_000, 50))

    def until_behind(is_behind: bool) -> decision_pb2.Assessment:
        """The first answer that says so, of customers that have paid elsewhere."""
        deadline = time.monotonic() + 90
        while True:
            said = score(here, after(next(numbers), HOUR)).assessment
            if said.mirror_behind == is_behind:
                return said
            assert time.monotonic() < deadline
            time.sleep(0.1)

    until_behind(False)
    # Nobody can say what is there while the broker hangs.
    broker.pause()
    try:
        until_behind(True)
    finally:
        broker.resume()
    until_behind(False)
    assert here.count("decisions") == 0
    here.stop()
    found = replayed(here)["assessments"]
    assert (found["differing"], found["same"] > 0) == (0, True)


@dataclass
class Full:
    """An engine that takes nothing until it is told to."""

    takes: bool = False
    taken: list[tuple[int, int]] = field(default_factory=list)

    def offsets(self) -> list[tuple[str, int, int]]:
        return []

    def take(self, kind: str, messages: list[Any]) -> int:
        assert kind == "transactions"
        if self.takes:
            self.taken += [(message.partition(), message.offset()) for message in messages]
        return len(messages) if self.takes else 0


def test_what_the_engine_does_not_take_shows_as_the_lag_of_its_partition_and_goes_in_order_when_it_does(
    pops: Callable[..., Pop],
) -> None:
    pop = pops(partitions=2)
    topic = pop.topics["transactions"]
    certificate, key = pop.broker.client()
    at = {"servers": pop.broker.address, "ca": pop.broker.ca, "certificate": certificate, "key": key}
    server = Full()
    intake = Intake(server, "transactions", config.Broker.model_validate(at), topic, None, 64)  # type: ignore[arg-type]
    stop = threading.Event()
    running = threading.Thread(target=intake.run, args=(stop,))
    running.start()

    def lags(expected: dict[int, int]) -> None:
        deadline = time.monotonic() + 90
        while intake.lags != expected:
            assert time.monotonic() < deadline, intake.lags
            time.sleep(0.05)

    try:
        lags({0: 0, 1: 0})
        # It stands still, and what comes meanwhile counts.
        for partition, count in ((0, 30), (1, 300), (0, 70)):
            pop.produce([b"x"] * count, partition=partition)
        lags({0: 100, 1: 300})
        server.takes = True
        lags({0: 0, 1: 0})
    finally:
        stop.set()
        running.join()
    assert [offset for partition, offset in server.taken if partition == 0] == list(range(100))
    assert [offset for partition, offset in server.taken if partition == 1] == list(range(300))
