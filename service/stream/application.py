"""The Faust application: agents for the topics of low rate, the services that take transactions in bulk, and a timer.

Faust's traps, each shut here: a record whose agent raises or is cancelled would be acknowledged and lost (agents
acknowledge by hand, once the engine has it, and try for ever); an absent topic floods the log (it is left out until it
is there); without session and rebalance time-outs a stop takes a minute; a static member that comes back with another
topic would not be given it; it would serve the web, declare topics, elect leaders and turn prints into warnings.
"""

import asyncio
import logging
import tempfile
import threading
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any, Final, Literal

import faust
import structlog
from confluent_kafka.admin import AdminClient
from faust.auth import SSLCredentials
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from mode.threads import WorkerThread

import engine
from service import clients
from service.config import Stream
from service.stream.intake import Intake

_AGAIN_S: Final = 0.5
_SESSION_S: Final = 10.0
_TELL_S: Final = 60.0

_METADATA_S: Final = 5.0

Kind = Literal["labels", "outcomes", "control"]

_log = structlog.get_logger()


class _Abandoned(WorkerThread):
    """The consumer's thread: one that still waits for a broker that hangs does not keep the process from ending."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.daemon = True


AIOKafkaConsumerThread.Worker = _Abandoned


@dataclass(frozen=True)
class Delivered:
    """A record as Faust delivered it, in the form in which the engine reads it."""

    message: Any

    def error(self) -> None:
        return None

    def topic(self) -> str:
        return str(self.message.topic)

    def partition(self) -> int:
        return int(self.message.partition)

    def offset(self) -> int:
        return int(self.message.offset)

    def value(self) -> bytes | None:
        value: bytes | None = self.message.value
        return value

    def headers(self) -> list[tuple[str, bytes]] | None:
        headers = self.message.headers
        return None if not headers else list(headers.items() if isinstance(headers, dict) else headers)


def told_by(stream: Stream) -> dict[Kind, str]:
    """The topics of low rate."""
    named: dict[Kind, str | None] = {"labels": stream.labels, "outcomes": stream.outcomes, "control": stream.control}
    return {kind: topic for kind, topic in named.items() if topic is not None}


def absent(stream: Stream) -> frozenset[str]:
    """Those of them that are not there. Raises KafkaException where the broker does not say."""
    there = AdminClient(clients.plain(stream)).list_topics(timeout=_METADATA_S).topics
    return frozenset(told_by(stream).values()) - set(there)


def application(
    server: "engine.Server",
    pop: str,
    stream: Stream,
    member: str,
    intakes: list[Intake],
    over: threading.Event,
    without: frozenset[str] = frozenset(),
) -> "faust.App":
    """One that takes in what `stream` says, without some topics of low rate; it lives once, until `over`."""
    for noisy in ("faust", "aiokafka", "mode", "kafka"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    topics = [stream.lease, *(topic for topic in told_by(stream).values() if topic not in without)]
    app = faust.App(
        f"fraudgate.{pop}.told",
        broker=[f"kafka://{name}" for name in stream.servers.split(",")],
        broker_credentials=SSLCredentials(context=clients.context(stream)),
        broker_session_timeout=_SESSION_S,
        broker_rebalance_timeout=_SESSION_S,
        broker_heartbeat_interval=2.0,
        broker_request_timeout=_SESSION_S + 2.0,
        broker_max_poll_interval=300.0,
        consumer_group_instance_id=_instance(member, topics),
        consumer_auto_offset_reset="earliest",
        key_serializer="raw",
        value_serializer="raw",
        store="memory://",
        datadir=tempfile.mkdtemp(prefix="fraudgate-faust-"),
        stream_wait_empty=False,
        stream_ack_exceptions=False,
        stream_ack_cancelled_tasks=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        autodiscover=False,
        logging_config=None,
    )
    # An application without any topic would wait for ever: this one stays empty.
    app.agent(app.topic(stream.lease, key_type=bytes, value_type=bytes), name="lease")(_nothing)
    for kind, topic in told_by(stream).items():
        if topic not in without:
            app.agent(app.topic(topic, key_type=bytes, value_type=bytes), name=kind)(_agent(server, kind))
    for intake in intakes:
        app.service(_in_bulk(intake, over))
    app.timer(interval=_TELL_S)(_tell(server, intakes))
    return app


def _instance(member: str, topics: list[str]) -> str:
    """Who this is in the group. A static member that comes back is given what it had, whatever it asks for now: with
    other topics it is another one."""
    return f"{member}.{sha256(' '.join(sorted(topics)).encode()).hexdigest()[:16]}"


async def _nothing(records: Any) -> None:
    async for _ in records:
        pass


def _agent(server: "engine.Server", kind: Kind) -> Any:
    async def hand(records: Any) -> None:
        loop = asyncio.get_running_loop()
        async for event in records.noack().events():
            record = Delivered(event.message)
            while True:
                try:
                    if await loop.run_in_executor(None, partial(server.take, kind, [record])):
                        break
                except RuntimeError as error:
                    _log.warning("a record waits", topic=record.topic(), reason=str(error))
                await asyncio.sleep(_AGAIN_S)
            event.ack()

    return hand


def _in_bulk(intake: Intake, over: threading.Event) -> type["faust.Service"]:
    """A service that runs an intake in a thread of its own."""

    class InBulk(faust.Service):
        async def on_start(self) -> None:
            threading.Thread(target=intake.run, args=(over,), name=f"intake {intake.topic}", daemon=True).start()

        async def on_stop(self) -> None:
            over.set()

    return InBulk


def _tell(server: "engine.Server", intakes: list[Intake]) -> Any:
    async def tell() -> None:
        counted = await asyncio.get_running_loop().run_in_executor(None, server.stats)
        lags = {intake.topic: sum(intake.lags.values()) for intake in intakes}
        _log.info("stream", transactions=counted["transactions"], passed=counted["passed"], lag=lags)

    return tell
