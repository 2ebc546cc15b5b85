"""What Faust does that would lose or cost something, each on a real broker; each fails where its guard is taken away.

| Faust by itself | the guard | held by `test_` |
|---|---|---|
| acknowledges a record whose agent raised, or was cancelled | by hand, once the engine has it | `a_record_...` |
| its fetcher dies of lz4 where a library is missing | `cramjam` is required | `compressed_...` |
| serves the web, declares topics, elects a leader by one | it is told not to | `it_listens_...` |
| of an absent topic, and without a broker, floods the log | it is left out; errors alone are logged | `an_absent_...` |
| exits when the broker is absent at its start | it is begun again and again | `waiting.py` |
| says goodbye for a minute to a broker that is gone | time-outs of 10 s, a stop of 5 s | `a_stop_...`, `waiting.py` |
| its consumer's thread keeps a process from ending | the thread is a daemon | `a_stop_...` |
| turns prints into warnings | its command line is not used | `it_listens_...` |
| a restarted member waits for its session's end | it is named by the journal | `death.py` |
| a static member that comes back is given the topics that it had | with others it is another one | `an_absent_...` |
| a producer's queue dies with its process | decisions leave by a cursor over the journal | `death.py` |
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from mode.threads import WorkerThread

from service.config import Stream
from service.stream.application import application
from service.stream.worker import Worker
from tests.broker import Broker
from tests.stream.conftest import Pop

TOPICS = ("labels", "outcomes", "control")


@dataclass
class Engine:
    """One that takes what it is handed; but it fails at some records, so often."""

    fails: dict[bytes, int] = field(default_factory=dict)
    taken: list[tuple[str, int, bytes]] = field(default_factory=list)
    tried: int = 0

    def take(self, kind: str, messages: list[Any]) -> int:
        (message,) = messages
        self.tried += 1
        if self.fails.get(message.value(), 0) > 0:
            self.fails[message.value()] -= 1
            raise RuntimeError("it takes nothing")
        self.taken.append((kind, message.offset(), message.value()))
        return 1

    def stats(self) -> dict[str, int]:
        return {"transactions": 0, "passed": 0}

    def tell(self, stats: dict[str, int]) -> None:
        pass


def configured(pop: Pop) -> Stream:
    """What a worker of the PoP is told, without transactions."""
    certificate, key = pop.broker.client()
    at = {"servers": pop.broker.address, "ca": pop.broker.ca, "certificate": certificate, "key": key}
    named = {name: topic for name, topic in pop.topics.items() if name != "transactions"}
    return Stream.model_validate(at | named)


@pytest.fixture
def pop(pops: Callable[..., Pop], broker: Broker) -> Pop:
    """One whose topics of low rate are all there."""
    made = pops()
    more = {name: f"{made.name}.{name}" for name in ("outcomes", "control")}
    broker.create(*more.values())
    made.topics |= more
    return made


@contextlib.asynccontextmanager
async def hosted(engine: Engine, pop: Pop, member: str = "one") -> AsyncIterator[Any]:
    """The application, while it runs."""
    app = application(engine, pop.name, configured(pop), member, [], threading.Event())  # type: ignore[arg-type] # all it asks
    await app.start()
    try:
        yield app
    finally:
        await asyncio.wait_for(app.stop(), 30)


async def until(holds: Callable[[], bool], within_s: float = 40.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def test_a_record_whose_taking_fails_or_is_cut_short_is_taken_again_and_those_behind_it_wait(pop: Pop) -> None:
    records = [b"first", b"second", b"third"]

    async def run() -> tuple[Engine, Engine]:
        # It fails three times and goes on; then for ever, and is cut short.
        fails, whole = Engine({b"first": 3, b"second": 1 << 30}), Engine()
        async with hosted(fails, pop):
            pop.produce(records, to="labels")
            await until(lambda: fails.tried >= 6)
            assert fails.taken == [("labels", 0, b"first")]
        async with hosted(whole, pop):
            await until(lambda: len(whole.taken) >= 2)
            await asyncio.sleep(1)
        return fails, whole

    fails, whole = asyncio.run(run())
    assert fails.taken == [("labels", 0, b"first")]
    # What was acknowledged need not come again; what was not must, in order.
    assert [value for _, _, value in whole.taken][-2:] == records[1:]


def test_compressed_records_are_taken(pop: Pop) -> None:
    compressions = ("lz4", "gzip", "snappy", "zstd")

    async def run() -> Engine:
        engine = Engine()
        async with hosted(engine, pop):
            for compression in compressions:
                for name in TOPICS:
                    pop.produce([compression.encode() * 100] * 5, to=name, compression=compression)
            await until(lambda: len(engine.taken) == 5 * len(TOPICS) * len(compressions))
        return engine

    engine = asyncio.run(run())
    for name in TOPICS:
        expected = [compression.encode() * 100 for compression in compressions for _ in range(5)]
        assert [value for kind, _, value in engine.taken if kind == name] == expected


@contextlib.contextmanager
def hosting(engine: Engine, pop: Pop, path: Path) -> Iterator[None]:
    """The worker's host of it, which has to end within half a minute whatever becomes of the broker: by itself it takes
    one."""
    worker = Worker(engine, pop.name, configured(pop), path)  # type: ignore[arg-type] # all it asks
    worker.lease.held.set()
    host = threading.Thread(target=lambda: asyncio.run(worker.host()))
    host.start()
    try:
        yield
    finally:
        worker.host_no_more()
        host.join(30)
        is_over = not host.is_alive()
        # A thread that hangs must not hang the tests.
        pop.broker.resume()
    assert is_over
    # Nor does what it left behind keep a process from ending.
    left = [each for each in threading.enumerate() if isinstance(each, WorkerThread)]
    assert all(each.daemon for each in left)


def topics(broker: Broker) -> set[str]:
    return set(AdminClient(broker.plain()).list_topics(timeout=30).topics)


def listening() -> set[str]:
    """The sockets that this process listens on."""
    own = set()
    for opened in Path("/proc/self/fd").iterdir():
        # One may be gone by now.
        with contextlib.suppress(OSError):
            own.add(str(opened.readlink()))
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in own:
                found.add(words[1])
    return found


def test_it_listens_nowhere_declares_no_topic_and_leaves_prints_alone(
    pop: Pop, broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    listened, declared = listening(), topics(broker)

    async def run() -> None:
        engine = Engine()
        async with hosted(engine, pop):
            pop.produce([b"one"], to="labels")
            await until(lambda: len(engine.taken) == 1)
            assert listening() == listened
            print("printed")

    asyncio.run(run())
    assert topics(broker) - declared <= {"__consumer_offsets"}
    assert capsys.readouterr().out == "printed\n"


@contextlib.contextmanager
def logged() -> Iterator[list[logging.LogRecord]]:
    """What is logged meanwhile, by whatever logs through the standard library."""
    records: list[logging.LogRecord] = []
    keeps = logging.Handler()
    keeps.emit = records.append  # type: ignore[method-assign]
    logging.getLogger().addHandler(keeps)
    try:
        yield records
    finally:
        logging.getLogger().removeHandler(keeps)


def test_an_absent_topic_and_an_absent_broker_do_not_flood_the_log(pop: Pop, broker: Broker, tmp_path: Path) -> None:
    absent = pop.topics["outcomes"] = f"{pop.name}.absent"
    engine = Engine()
    with logged() as records, hosting(engine, pop, tmp_path):
        # What is there is taken meanwhile.
        pop.produce([b"one"], to="labels")
        asyncio.run(until(lambda: len(engine.taken) == 1))
        time.sleep(3)
        assert absent not in topics(broker)
        broker.create(absent)
        pop.produce([b"two"], to="outcomes")
        asyncio.run(until(lambda: len(engine.taken) == 2))
        broker.pause()
        try:
            time.sleep(5)
        finally:
            broker.resume()
        assert len(records) < 50, [record.getMessage() for record in records[:50]]
    assert [kind for kind, _, _ in engine.taken] == ["labels", "outcomes"]


def test_a_stop_without_a_broker_does_not_wait_for_it(pop: Pop, broker: Broker, tmp_path: Path) -> None:
    engine = Engine()
    with hosting(engine, pop, tmp_path):
        pop.produce([b"one"], to="labels")
        asyncio.run(until(lambda: len(engine.taken) == 1))
        broker.pause()
