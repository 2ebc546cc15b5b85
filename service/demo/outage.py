"""`make demo-stream`: a broker, a PoP and its cloud; then broker and cloud are gone for a while, and come back.

Payments go on over gRPC and mutual TLS all the time. At the end everything that was promised was scored again, once, or
the demo fails.
"""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.live import Live

import engine
import fraudgate
from service import certificates, config_file, logs, messages, serving, simulate, training
from service.demo import configuration, seen
from service.demo.configuration import CLIENT, CURRENCY, PROGRAM
from service.demo.kafka.broker import Broker
from service.demo.seen import Seen
from service.demo.story import Story, at_hand, model_of, simulated, week_of
from service.scoring import Connection

# A caller that does not say whose payment it is: a required feature is missing, and the default is answered.
NAMELESS_EVERY: Final = 10
WITHIN_S: Final = 120.0


class Play:
    """The PoP in this process, and what was seen of it."""

    def __init__(self, server: "engine.Server", console: Console) -> None:
        self._server = server
        self._console = console
        self._began = time.monotonic()
        self._told = 0.0
        self.moments: list[Seen] = []

    def watch(self, phase: str, until: Callable[[seen.Stats], bool], show: Callable[[], None]) -> tuple[float, int]:
        """Look until something holds; returns how long that took, and how many inputs were shipped meanwhile."""
        began = before = time.monotonic()
        stats = last = self._server.stats()
        while True:
            now, stats = time.monotonic(), self._server.stats()
            rate = (stats["transactions"] - last["transactions"]) / max(now - before, 1e-9)
            self.moments.append(Seen(now - self._began, phase, stats, rate))
            show()
            if until(stats):
                return now - began, stats["rescore_shipped"]
            if now - began > WITHIN_S:
                raise RuntimeError(f"{phase}: it took longer than {WITHIN_S:.0f} s")
            before, last = now, stats
            time.sleep(0.5)


def payments(story: Story, rate: float, stop: threading.Event) -> Iterator[fraudgate.Transaction]:
    """The story's last week, at a rate; now and then one without its customer."""
    week, _ = week_of(story)
    entities = training.entities(training.plan("handbook"))
    began = time.monotonic()
    for number, payment in enumerate(messages.transactions(week.transactions, PROGRAM, CURRENCY, entities)):
        if stop.is_set():
            return
        if number % NAMELESS_EVERY == 0:
            named = [key for key in payment.entities if key.name != "customer"]
            del payment.entities[:]
            payment.entities.extend(named)
        ahead = number / rate - (time.monotonic() - began)
        if ahead > 0:
            time.sleep(ahead)
        yield payment


@contextmanager
def cloud(config: Path, log: Path) -> Iterator[None]:
    """`fraudgate cloud` in a process of its own, killed at the end: it may die anywhere."""
    with log.open("ab") as told:
        process = subprocess.Popen([sys.executable, "-m", "service", "cloud", "--config", config], stderr=told)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def play(story: Story, folder: Path, console: Console, rate: float, live_s: float, outage_s: float) -> None:
    """Play it. Raises RuntimeError where something promised did not come back, or came twice."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = training.plan("handbook")
    bundle, model = model_of(folder, story, plan, training.fold(plan, story.tables))
    console.print(f"model {bundle.digest[:12]}; a broker starts")
    made = certificates.make(folder / "certificates", clients=[CLIENT], renew=True)
    shutil.rmtree(folder / "kafka", ignore_errors=True)
    (folder / "kafka").mkdir()
    with Broker(folder / "kafka") as broker:
        broker.create(configuration.REQUESTS, configuration.DECISIONS, configuration.REVERSALS)
        history = story.tables.before(story.fold.assessed_from_us)
        pop, behind = configuration.pop_and_cloud(folder, history, model, broker, spool_inputs=1_000_000)
        config = config_file.read(pop, os.environ)
        server = serving.prepared(config)
        link = serving.linked(config, server)
        if link is None:
            raise RuntimeError("the demo's configuration forwards nothing")
        target = f"localhost:{server.start()}"
        link.start()
        connection, stop = Connection.of_folder(target, made, CLIENT), threading.Event()
        caller = threading.Thread(target=_call, args=(connection, payments(story, rate, stop)), daemon=True)
        try:
            _phases(Play(server, console), broker, behind, folder, caller, stop, console, live_s, outage_s)
        finally:
            stop.set()
            link.stop()
            server.drain(5.0)


def _phases(
    playing: Play,
    broker: Broker,
    behind: Path,
    folder: Path,
    caller: threading.Thread,
    stop: threading.Event,
    console: Console,
    live_s: float,
    outage_s: float,
) -> None:
    ends = time.monotonic()

    def passed(stats: seen.Stats) -> bool:
        return time.monotonic() >= ends

    with Live(seen.table([]), console=console, auto_refresh=False) as shown:

        def show() -> None:
            shown.update(seen.table(playing.moments), refresh=True)

        with cloud(behind, folder / "cloud.log"):
            caller.start()
            ends += live_s
            took_s, through = playing.watch("live", passed, show)
            live_rate = playing.moments[-1].stats["transactions"] / took_s
        broker.kill()
        ends = time.monotonic() + outage_s
        playing.watch("outage", passed, show)
        broker.start()
        with cloud(behind, folder / "cloud.log"):
            took_s, now = playing.watch("catching up", lambda stats: seen.waiting(stats) < 2 * live_rate, show)
            catch_up_rate = (now - through) / took_s
            ends = time.monotonic() + live_s / 2
            playing.watch("live", passed, show)
            stop.set()
            caller.join()
            playing.watch("the rest", lambda stats: stats[f"rescored.{PROGRAM}"] >= seen.promised(stats), show)
            time.sleep(2.0)
    stats = playing.moments[-1].stats
    lake = seen.kept(folder / "lake")
    console.print(seen.result(stats, lake, live_rate, catch_up_rate))
    console.print(seen.changes(folder / "lake"))
    if stats[f"rescored.{PROGRAM}"] != seen.promised(stats) or lake != (seen.promised(stats), 0):
        raise RuntimeError("what was promised and what came back are not the same")
    console.print("Everything that was promised came back, once.")


def _call(connection: Connection, sent: Iterator[fraudgate.Transaction]) -> None:
    with connection.open(deadline=5.0) as client:
        for answer in client.score_stream(sent, in_flight=256):
            if isinstance(answer, fraudgate.FraudgateError):
                raise answer


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), default=Path("build/demo-stream"))
@click.option("--data", type=click.Path(path_type=Path), envvar="FRAUDGATE_DATA", default=Path("../shared/data"))
@click.option("--rate", type=float, default=1_000.0, help="Transactions a second.")
@click.option("--live-s", type=float, default=10.0)
@click.option("--outage-s", type=float, default=20.0)
@click.option("--small", is_flag=True, help="A small simulated world instead.")
def main(folder: Path, data: Path, rate: float, live_s: float, outage_s: float, small: bool) -> None:
    """A broker, a PoP and its cloud; an outage; and how it is caught up with."""
    logs.configure(folder / "pop.log")
    story = simulated(simulate.Scale(1_000, 1_500, 75)) if small else at_hand(data)
    play(story, folder, Console(), rate, live_s, outage_s)


if __name__ == "__main__":
    main()
