"""The client against a scorer of grpcio's own, over mutual TLS: what it asks, what it retries, what it raises."""

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from grpc_health.v1 import health, health_pb2

import fraudgate
from fraudgate.v1 import decision_pb2, status_pb2
from service.certificates import Folder, make
from tests.client.scorer import Scripted, connect, retry_in, serve, status

SECRET = "4111111111111111"


def payment(number: int = 1) -> fraudgate.Transaction:
    return fraudgate.purchase(
        id=f"t{number}",
        program="cards",
        event_time=datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=number),
        amount="1.00",
        currency="EUR",
        entities={"customer": SECRET},
    )


def sequence(answer: decision_pb2.Decision | fraudgate.FraudgateError) -> int:
    assert isinstance(answer, decision_pb2.Decision)
    return answer.receipt.sequence


def test_one_is_asked_as_it_was_written(client: fraudgate.Client, scripted: Scripted) -> None:
    assert sequence(client.score(payment(7))) == 7
    assert scripted.asked == [payment(7)]
    assert 1 < scripted.deadlines[0] <= 5.1


REFUSALS = [
    (
        status(
            grpc.StatusCode.INVALID_ARGUMENT,
            "bad",
            status_pb2.BadRequest(field_violations=[{"field": "currency", "description": "unknown"}]),
        ),
        fraudgate.InvalidTransaction,
        "INVALID_ARGUMENT currency: unknown",
    ),
    (
        status(
            grpc.StatusCode.OUT_OF_RANGE,
            "bad",
            status_pb2.BadRequest(field_violations=[{"field": "event_time_us", "description": "too far ahead"}]),
        ),
        fraudgate.InvalidTransaction,
        "OUT_OF_RANGE event_time_us: too far ahead",
    ),
    (
        status(grpc.StatusCode.ALREADY_EXISTS, "known", status_pb2.ErrorInfo(reason="ID_REUSED")),
        fraudgate.IdReused,
        "ALREADY_EXISTS ID_REUSED known",
    ),
    (
        status(grpc.StatusCode.PERMISSION_DENIED, "no", status_pb2.ErrorInfo(reason="IDENTITY_NOT_ALLOWED")),
        fraudgate.NotAllowed,
        "PERMISSION_DENIED IDENTITY_NOT_ALLOWED no",
    ),
    (
        status(grpc.StatusCode.RESOURCE_EXHAUSTED, "big", status_pb2.ErrorInfo(reason="MESSAGE_TOO_LARGE")),
        fraudgate.Failed,
        "RESOURCE_EXHAUSTED MESSAGE_TOO_LARGE big",
    ),
    (status(grpc.StatusCode.INTERNAL, "odd"), fraudgate.Failed, "INTERNAL odd"),
]


@pytest.mark.parametrize(("refusal", "kind", "text"), REFUSALS, ids=[text for _, _, text in REFUSALS])
def test_a_refusal_is_raised_once_as_what_it_is(
    client: fraudgate.Client,
    scripted: Scripted,
    refusal: status_pb2.Status,
    kind: type[fraudgate.FraudgateError],
    text: str,
) -> None:
    scripted.refusals = [refusal]
    with pytest.raises(fraudgate.FraudgateError) as raised:
        client.score(payment())
    assert type(raised.value) is kind
    assert str(raised.value) == text
    assert len(scripted.asked) == 1


def test_invalid_fields_are_listed(client: fraudgate.Client, scripted: Scripted) -> None:
    scripted.refusals = [REFUSALS[0][0]]
    with pytest.raises(fraudgate.InvalidTransaction) as raised:
        client.score(payment())
    assert raised.value.fields == (fraudgate.InvalidField("currency", "unknown"),)


def test_free_text_of_another_server_is_not_repeated(client: fraudgate.Client, scripted: Scripted) -> None:
    """grpcio sends the text of a handler's exception, which may quote the request."""

    def leak(request: object, context: object) -> None:
        raise ValueError(f"cannot parse {SECRET}")

    scripted._taken = leak  # type: ignore[method-assign]
    with pytest.raises(fraudgate.Failed) as raised:
        client.score(payment())
    assert SECRET not in str(raised.value) + repr(raised.value) + repr(raised.value.__context__)


def test_unavailable_is_retried_with_the_same_id(client: fraudgate.Client, scripted: Scripted) -> None:
    scripted.refusals = [status(grpc.StatusCode.UNAVAILABLE, "gone", status_pb2.ErrorInfo(reason="DRAINING"))] * 2
    assert sequence(client.score(payment(3))) == 3
    assert scripted.asked == [payment(3)] * 3


def test_unavailable_is_given_up_after_four_attempts(client: fraudgate.Client, scripted: Scripted) -> None:
    scripted.refusals = [status(grpc.StatusCode.UNAVAILABLE, "none", status_pb2.ErrorInfo(reason="NO_MODEL"))] * 9
    with pytest.raises(fraudgate.Unavailable) as raised:
        client.score(payment())
    assert raised.value.reason == "NO_MODEL"
    assert len(scripted.asked) == 4


class Clock:
    """A client's clock, which goes on only while it sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("fraudgate.client.time", clock)
    return clock


def test_overload_is_waited_out_for_as_long_as_the_scorer_says(
    client: fraudgate.Client, scripted: Scripted, clock: Clock
) -> None:
    scripted.refusals = [status(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", retry_in(2.5))]
    assert sequence(client.score(payment(2), deadline=60)) == 2
    # With its jitter.
    assert len(clock.slept) == 1
    assert 2.5 <= clock.slept[0] <= 3.75
    assert len(scripted.asked) == 2


def test_overload_is_raised_at_once_when_the_wait_would_outlast_the_deadline(
    client: fraudgate.Client, scripted: Scripted, clock: Clock
) -> None:
    scripted.refusals = [status(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", retry_in(60.5))]
    with pytest.raises(fraudgate.Overloaded) as raised:
        client.score(payment(), deadline=60)
    assert raised.value.retry_after == 60.5
    assert clock.slept == []
    assert len(scripted.asked) == 1


def test_the_deadline_bounds_the_call_with_its_retries(
    client: fraudgate.Client, scripted: Scripted, clock: Clock
) -> None:
    scripted.refusals = [status(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", retry_in(40))] * 9
    with pytest.raises(fraudgate.Overloaded):
        client.score(payment(), deadline=100)
    # One wait or two, of 40 to 60 seconds each; each call gets what is left.
    assert 1 <= len(clock.slept) <= 2
    assert all(40 <= slept <= 60 for slept in clock.slept)
    left = [100 - sum(clock.slept[:asked]) for asked in range(len(clock.slept) + 1)]
    # It travels rounded up.
    assert all(0 < given <= most + 1 for given, most in zip(scripted.deadlines, left, strict=True))


def test_a_scorer_that_is_not_there_is_unavailable(folder: Folder) -> None:
    with connect(folder, port=1) as client:
        assert not client.healthy()
        with pytest.raises(fraudgate.Unavailable):
            client.score(payment())


def test_a_scorer_of_another_authority_is_not_trusted(
    scorer: tuple[Scripted, int, health.HealthServicer], tmp_path: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = make(tmp_path_factory.mktemp("other") / "made", clients=["payments.example"])
    with connect(other, scorer[1]) as client, pytest.raises(fraudgate.Unavailable):
        client.score(payment())
    assert scorer[0].asked == []


def test_health_is_what_the_scorer_says(
    client: fraudgate.Client, scorer: tuple[Scripted, int, health.HealthServicer]
) -> None:
    assert client.healthy()
    scorer[2].set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    assert not client.healthy()


def refuse_even(transaction: fraudgate.Transaction) -> status_pb2.Status | None:
    even = transaction.event_time_us % 2 == 0
    return status(grpc.StatusCode.ALREADY_EXISTS, "known") if even else None


def test_each_item_of_a_batch_has_its_own_answer(client: fraudgate.Client, scripted: Scripted) -> None:
    scripted.refuse_item = refuse_even
    first, second, third = client.score_batch([payment(n) for n in (1, 2, 3)])
    assert (sequence(first), sequence(third)) == (1, 3)
    assert isinstance(second, fraudgate.IdReused)


def test_labels_and_outcomes_are_told_in_order(client: fraudgate.Client, scripted: Scripted) -> None:
    labels = [fraudgate.label(payment(n), "genuine", source="analyst") for n in (1, 2)]
    outcomes = [fraudgate.outcome(payment(n), "approved", decider="issuer") for n in (1, 2)]
    for receipts in (client.label(labels), client.report(outcomes)):
        assert [receipt.sequence for receipt in receipts if isinstance(receipt, fraudgate.Receipt)] == [1, 2]
    assert list(scripted.asked[0].labels) == labels
    assert list(scripted.asked[1].outcomes) == outcomes


def test_a_stream_is_answered_in_order_and_goes_on_after_a_bad_item(
    client: fraudgate.Client, scripted: Scripted
) -> None:
    scripted.refuse_item = refuse_even
    answers = list(client.score_stream(payment(n) for n in range(1000)))
    assert len(answers) == 1000
    for n, answer in enumerate(answers):
        assert isinstance(answer, fraudgate.IdReused) if n % 2 == 0 else sequence(answer) == n


def test_a_stream_that_breaks_sends_again_what_was_not_answered(client: fraudgate.Client, scripted: Scripted) -> None:
    scripted.break_stream_after = [10, 0, 5]
    answers = list(client.score_stream((payment(n) for n in range(100)), in_flight=8))
    assert [sequence(answer) for answer in answers] == list(range(100))
    ordinals = [request.ordinal for request in scripted.asked]
    assert sorted(set(ordinals)) == list(range(100))


def test_a_stream_that_never_brings_an_answer_is_given_up(client: fraudgate.Client, scripted: Scripted) -> None:
    scripted.break_stream_after = [0] * 9
    with pytest.raises(fraudgate.Unavailable):
        list(client.score_stream([payment()]))
    assert len(scripted.break_stream_after) == 4


def test_a_stream_reads_no_further_ahead_than_what_may_be_in_flight(
    client: fraudgate.Client, scripted: Scripted
) -> None:
    read = 0

    def source() -> Iterator[fraudgate.Transaction]:
        nonlocal read
        for n in range(100):
            read += 1
            yield payment(n)

    answers = client.score_stream(source(), in_flight=4)
    for taken in range(1, 20):
        next(answers)
        # One more is read before there is room for it.
        assert read <= taken + 4 + 1
    answers.close()  # type: ignore[attr-defined]


def test_what_the_source_raises_comes_after_the_answers_before_it(client: fraudgate.Client) -> None:
    def source() -> Iterator[fraudgate.Transaction]:
        yield payment(1)
        yield payment(2)
        raise LookupError("no more")

    answers = client.score_stream(source())
    assert [sequence(next(answers)), sequence(next(answers))] == [1, 2]
    with pytest.raises(LookupError, match="no more"):
        next(answers)


def test_a_live_source_gets_its_answer_before_it_gives_the_next(client: fraudgate.Client) -> None:
    answered = threading.Event()

    def source() -> Iterator[fraudgate.Transaction]:
        yield payment(1)
        assert answered.wait(60)
        yield payment(2)

    answers = client.score_stream(source())
    assert sequence(next(answers)) == 1
    answered.set()
    assert sequence(next(answers)) == 2


def test_leaving_a_stream_ends_its_threads(client: fraudgate.Client) -> None:
    answers = client.score_stream((payment(n) for n in range(10**9)), in_flight=4)
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    ends = time.monotonic() + 60
    while any(thread.name == "fraudgate-stream" for thread in threading.enumerate()):
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_a_stream_outlives_a_restart_of_the_scorer(folder: Folder) -> None:
    server, port, _ = serve(Scripted(), folder)
    with connect(folder, port) as client:

        def source() -> Iterator[fraudgate.Transaction]:
            nonlocal server
            for n in range(60):
                if n == 30:
                    server.stop(None).wait()
                    server, _, _ = serve(Scripted(), folder, port)
                yield payment(n)

        assert [sequence(answer) for answer in client.score_stream(source(), in_flight=8)] == list(range(60))
    server.stop(None).wait()


def test_asyncio_asks_the_same(folder: Folder, scorer: tuple[Scripted, int, health.HealthServicer]) -> None:
    scripted, port, _ = scorer
    leaf = folder.client("payments.example")

    async def ask() -> None:
        async with fraudgate.aio.Client(
            f"localhost:{port}", ca=folder.ca.certificate, certificate=leaf.certificate, key=leaf.key, deadline=5
        ) as client:
            assert await client.healthy()
            scripted.refusals = [status(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", retry_in(0.01))]
            assert sequence(await client.score(payment(5))) == 5
            assert sequence((await client.score_batch([payment(6)]))[0]) == 6
            assert await client.label([fraudgate.label(payment(), "genuine", source="analyst")])
            assert await client.report([fraudgate.outcome(payment(), "approved", decider="issuer")])
            scripted.refusals = [REFUSALS[0][0]]
            with pytest.raises(fraudgate.InvalidTransaction):
                await client.score(payment())

    asyncio.run(ask())
