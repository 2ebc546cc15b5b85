"""Runs the engine's server from a configuration until it is told to stop.

Python makes the server, warms it and waits; on a transaction's way there is none.
"""

import json
import signal
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import structlog

import engine
from fraudgate import microseconds
from service.config import Config, Journal
from service.config_program import Default, Program
from service.pems import Pems

if TYPE_CHECKING:
    from service.cloud.link import Link
    from service.history import History
    from service.stream.worker import Worker

# Of a bundle; models.manifest knows them too, but brings what only training needs.
MANIFEST: Final = "manifest.json"
MODEL: Final = "model.onnx"
REDUCED_MODEL: Final = "reduced.onnx"

# How often a long recovery is told of, in seconds.
_TELL_S: Final = 2.0

_log = structlog.get_logger()


def serve(config: Config) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in flight. Raises what the engine refuses at the start."""
    stop = threading.Event()

    def told(number: int, _: FrameType | None) -> None:
        _log.info("stopping", signal=signal.Signals(number).name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    # Before the engine reads them: what is renewed meanwhile is then seen.
    pems = Pems(config.server.certificate, config.server.key, config.server.client_ca)
    server = prepared(config, stand_in=True)
    if stop.is_set():
        return
    link = linked(config, server)
    port = server.start()
    if link is not None:
        link.start()
    _log.info("listening", host=config.server.listen.rpartition(":")[0], port=port, programs=sorted(config.program))
    streaming = streamed(config, server)
    try:
        while not stop.wait(timeout=0.5):
            if server.wait(0.0):
                raise RuntimeError("the engine stopped by itself")
            if pems.have_changed():
                _renew(server, pems)
        counted = server.stats()
    finally:
        if streaming is not None:
            streaming.take_no_more()
        if link is not None:
            link.stop()
        server.drain(config.server.drain_s)
        if streaming is not None:
            streaming.finish(config.server.drain_s)
    _log.info("stopped", **counted)


def _renew(server: "engine.Server", pems: Pems) -> None:
    try:
        server.renew(*pems.content)
    except ValueError as error:
        _log.warning("certificates cannot be used", reason=str(error))


def streamed(config: Config, server: "engine.Server") -> "Worker | None":
    """The stream door of a server that runs, begun; nothing where none is configured."""
    if config.stream is None or config.journal is None or config.server.pop is None:
        return None
    from service.stream.worker import Worker

    worker = Worker(server, config.server.pop, config.stream, config.journal.folder)
    worker.start()
    return worker


def linked(config: Config, server: "engine.Server") -> "Link | None":
    """The link to the cloud of a server that took its journal in, to be begun; nothing where none is configured."""
    if config.forward is None or config.server.pop is None:
        return None
    from service.cloud.link import Link

    return Link(server, config.server.pop, config.forward)


def _history(path: Path) -> "History":
    from service.history import History

    return History(path)


def prepared(config: Config, stand_in: bool = False) -> "engine.Server":
    """The server with its programs, warmed. Not yet listening, or answering by declared defaults meanwhile."""
    server = engine.Server(
        engine_config(config),
        bytes.fromhex(config.keys.hash_key.read_text().strip()),
        config.server.certificate.read_bytes(),
        config.server.key.read_bytes(),
        config.server.client_ca.read_bytes(),
    )
    if config.hybrid is not None:
        hybrid = config.hybrid
        server.ask_cloud(
            _canonical(
                hybrid.model_dump(exclude={"ca", "certificate", "key"}) | {"pop": config.server.pop},
            ),
            hybrid.certificate,
            hybrid.key,
            hybrid.ca,
        )
    for name, program in config.program.items():
        model, reduced = None, None
        if program.model is not None:
            model = (program.model / MANIFEST).read_bytes(), (program.model / MODEL).read_bytes()
            if (program.model / REDUCED_MODEL).exists():
                reduced = (program.model / REDUCED_MODEL).read_bytes()
        runners = server.add_program(
            name, program.plan.read_bytes(), policy(program), model, complete_since_us(program), reduced
        )
        if runners:
            _log.info("model loaded", program=name, **runners)
    if stand_in and (config.journal is not None or any(program.history for program in config.program.values())):
        _log.info("standing in", port=server.stand_in())
    fresh = set(config.program) if config.journal is None else recovered(server, config.journal)
    for name, program in config.program.items():
        if name in fresh and program.history is not None:
            _log.info("warmed", program=name, **_history(program.history).warm(server, name, program.labels))
    return server


def warmed_by(config: Config, history: Path, labels: Path | None) -> Config:
    """The configuration with a history for its program. Raises ValueError where it has more than one."""
    if len(config.program) != 1:
        raise ValueError("a history is given, and more than one program: write history under each [program.<name>]")
    ((name, program),) = config.program.items()
    warmed = program.model_copy(update={"history": history, "labels": labels})
    return config.model_copy(update={"program": {name: warmed}})


def recovered(server: "engine.Server", journal: Journal) -> set[str]:
    """Take in what the journal holds; returns the programs of which it holds nothing yet."""
    told = 0.0

    def tell(done: int, whole: int) -> None:
        nonlocal told
        if done == whole or time.monotonic() - told >= _TELL_S:
            told = time.monotonic()
            _log.info("recovering", bytes=done, of=whole)

    found = server.recover(bytes.fromhex(journal.key.read_text().strip()), tell)
    _log.info("recovered", **found)
    for number, why in found["passed_over"]:
        _log.warning("a snapshot is not good", snapshot=number, why=why)
    return set(found["fresh"])


def engine_config(config: Config) -> bytes:
    """The configuration in the engine's own form."""
    server = config.server.model_dump(exclude={"certificate", "key", "client_ca", "pop", "ahead_s", "drain_s"})
    ahead_s, journal = config.server.ahead_s, config.journal
    return _canonical(
        server
        | {
            "memory": config.memory.model_dump()
            | {"history_bytes": config.memory.history_bytes // len(config.program)},
            "ahead_us": None if ahead_s is None else round(ahead_s * 1_000_000),
            "onnxruntime": str(engine.onnxruntime_library()),
            "journal": None
            if journal is None
            else journal.model_dump(exclude={"key"})
            | {"folder": str(journal.folder)}
            | {"spool_inputs": None if config.forward is None else config.forward.spool_inputs},
            "identities": [identity.model_dump() for identity in config.identity],
        }
    )


def policy(program: Program) -> bytes:
    """The program's policy in the engine's own form: canonical, for its digest names it."""
    thresholds = program.model_dump(include={"mode", "challenge", "hold", "decline", "card_number_in_key"})
    document = {"format": 1, **thresholds}
    # What is not declared is left out, so that it has no part in the digest.
    if program.required_features:
        document["required_features"] = list(program.required_features)
    if program.default is not None:
        document["default"] = _default(program.default)
    if program.rescore is not None:
        document["rescore"] = program.rescore.model_dump(
            exclude_none=True, exclude=set() if program.rescore.hybrid else {"hybrid"}
        )
    return _canonical(document)


def _default(declared: Default) -> dict[str, Any]:
    document = declared.model_dump(exclude={"window_s", "segment"}, exclude_none=True)
    if declared.cap_minor is None:
        del document["beyond_cap"]
    else:
        document["window_us"] = round(declared.window_s * 1_000_000)
    document["segments"] = [segment.model_dump(exclude_none=True) for segment in declared.segment]
    return document


def complete_since_us(program: Program) -> int:
    """The last moment of which the state does not know everything: before the one stated, the history, or the start."""
    if program.complete_since is not None:
        return microseconds(program.complete_since) - 1
    if program.history is not None:
        return _history(program.history).begins_us() - 1
    return microseconds(datetime.now(UTC))


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
