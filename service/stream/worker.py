"""Runs the stream door beside the gRPC door, on one engine: supervised, so that a broker that is away, at the start or
later, costs nothing but the wait for it.
"""

import asyncio
import threading
import time
from pathlib import Path
from typing import Final

import structlog
from confluent_kafka import KafkaException

import engine
from service import clients
from service.config import Stream
from service.stream.intake import Intake
from service.stream.lease import Lease
from service.stream.outlet import Outlet

_LOOK_S: Final = 0.1
_AGAIN_S: Final = 1.0
_TELL_S: Final = 0.5
# How often is looked whether an absent topic is there.
_TOPICS_S: Final = 5.0
_GOODBYE_S: Final = 5.0

_log = structlog.get_logger()


class Worker:
    """The stream door of one PoP."""

    def __init__(self, server: "engine.Server", pop: str, stream: Stream, journal: Path) -> None:
        self._server = server
        self._pop = pop
        self._stream = stream
        self._pems = clients.pems(stream)
        self._no_more = threading.Event()
        self._over = threading.Event()
        self.lease = Lease(pop, stream, journal)
        self.outlet = Outlet(server, stream)
        self.intakes = [Intake(server, "mirrored", stream, topic, None, stream.poll) for topic in stream.mirrors]
        if stream.transactions is not None:
            self.intakes.append(
                Intake(server, "transactions", stream, stream.transactions, stream.partitions, stream.poll)
            )
        self._member = self.lease.member
        self._without: frozenset[str] = frozenset()
        self._taking = [
            threading.Thread(target=self.lease.run, args=(self._no_more,), name="lease"),
            threading.Thread(target=lambda: asyncio.run(self._run()), name="faust"),
        ]
        self._leaving = threading.Thread(target=self.outlet.run, args=(self._over,), name="outlet")

    def start(self) -> None:
        """Begins; returns at once, whether or not there is a broker."""
        for thread in [*self._taking, self._leaving]:
            thread.start()

    def take_no_more(self) -> None:
        """Ends taking in: what was handed over is journaled."""
        self.host_no_more()
        for thread in self._taking:
            thread.join()
        for intake in self.intakes:
            intake.join()

    def host_no_more(self) -> None:
        """Has the lease and the application end."""
        self._no_more.set()

    def finish(self, seconds: float) -> None:
        """Ends, after what is journaled has left, where the broker takes it within about `seconds`."""
        until = time.monotonic() + seconds
        while self.outlet.is_behind() and time.monotonic() < until:
            time.sleep(_LOOK_S)
        self._over.set()
        self._leaving.join()

    def stats(self) -> dict[str, int]:
        """Counters and gauges, by name; of each partition what was not handed over yet."""
        lags = {
            f"stream_lag.{intake.topic}.{partition}": lag
            for intake in self.intakes
            for partition, lag in intake.lags.items()
        }
        mirrors = {
            f"mirror_lag_ms.{each.topic}": round(each.lag_s() * 1_000) for each in self.intakes if each.is_mirror
        }
        return (
            lags
            | mirrors
            | {
                "stream_lease": int(self.lease.held.is_set()),
                "stream_decisions": self.outlet.delivered["decision"],
                "stream_dead_letters": self.outlet.delivered["dead letter"],
                "stream_waiting": self.outlet.waiting,
            }
        )

    async def host(self) -> None:
        """Hosts the application as long as this worker has the lease; again and again, until it takes no more."""
        from service.stream.application import application

        while not self._no_more.is_set():
            if not self.lease.held.is_set():
                await asyncio.sleep(_LOOK_S)
                continue
            without = await self._absent()
            over, app = threading.Event(), None
            # It is made with what is there now.
            self._pems.have_changed()
            try:
                app = application(self._server, self._pop, self._stream, self._member, self.intakes, over, without)
                await app.start()
                look = time.monotonic() + _TOPICS_S
                while self.lease.held.is_set() and not (self._no_more.is_set() or app.should_stop):
                    await asyncio.sleep(_LOOK_S)
                    # All of its clients are made anew then, those that take in bulk too.
                    if self._pems.have_changed():
                        break
                    if without and time.monotonic() >= look:
                        look = time.monotonic() + _TOPICS_S
                        if await self._absent() != without:
                            break
            except Exception as error:  # noqa: BLE001 - whatever Faust raises, it is begun anew
                _log.warning("the stream's application begins anew", reason=str(error))
            finally:
                over.set()
                # Without a broker it would say goodbye for a minute; it holds nothing that has to be saved.
                if app is not None:
                    await asyncio.wait({asyncio.ensure_future(app.stop())}, timeout=_GOODBYE_S)
            if not self._no_more.is_set():
                await asyncio.sleep(_AGAIN_S)

    async def _absent(self) -> frozenset[str]:
        """Topics of low rate that are not there yet: Faust would ask for them at every turn, and say so."""
        from service.stream.application import absent

        try:
            found = await asyncio.to_thread(absent, self._stream)
        except KafkaException as error:
            _log.warning("waiting for the broker", reason=str(error))
            return self._without
        if found - self._without:
            _log.warning("waiting for topics", topics=sorted(found))
        self._without = found
        return found

    async def _watch(self) -> None:
        """Says to the engine whether what other places answer comes too far behind, whatever becomes of Faust."""
        mirrors = [intake for intake in self.intakes if intake.is_mirror]
        while mirrors and not self._no_more.is_set():
            behind = max(intake.lag_s() for intake in mirrors) > self._stream.mirror_lag_s
            await asyncio.to_thread(self._server.mirror_behind, behind)
            await asyncio.sleep(_LOOK_S)

    async def _tell(self) -> None:
        """Says to the engine what is counted here, so that its statistics hold all."""
        while not self._no_more.is_set():
            await asyncio.to_thread(self._server.tell, self.stats())
            await asyncio.sleep(_TELL_S)

    async def _run(self) -> None:
        await asyncio.gather(self.host(), self._watch(), self._tell())
