"""`fraudgate cloud`: reads, scores, publishes and keeps until it is told to stop."""

import signal
import threading
import time
from dataclasses import asdict
from typing import Final

import confluent_kafka
import structlog

from service.cloud import teacher
from service.cloud.asked import Asked
from service.cloud.config import CloudConfig
from service.cloud.kafka import Decisions, Partitions
from service.cloud.lake import Lake
from service.cloud.rescorer import Message, Rescorer

_POLL_S: Final = 0.2
_AGAIN_S: Final = 1.0

_log = structlog.get_logger()


def run(config: CloudConfig) -> None:
    """Until SIGTERM or SIGINT; what is scored then is kept. Raises BundleError where a bundle cannot be used."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stop.set())
    rescore(config, stop)


def rescore(config: CloudConfig, stop: threading.Event) -> None:
    """Until `stop`."""
    teachers = {name: teacher.load(program.bundle, program.digest) for name, program in config.program.items()}
    decisions = Decisions(config.broker, config.topics.decisions)
    rescorer = Rescorer(teachers, decisions, Lake(config.lake.folder))
    requests = Partitions(config.broker, config.topics.requests)
    asked = None if config.asked is None else Asked(config.asked, teachers)
    try:
        if asked is not None:
            # From the first moment: it needs neither the broker nor the lake.
            _log.info("answering", port=asked.start())
        while not stop.is_set() and not requests.begin(rescorer.begin):
            stop.wait(_AGAIN_S)
        _log.info("rescoring", programs=sorted(teachers), topic=config.topics.requests)
        _loop(config, stop, requests, rescorer)
    finally:
        requests.close()
        if asked is not None:
            asked.stop()
    _log.info("stopped", **asdict(rescorer.counts))


def _loop(config: CloudConfig, stop: threading.Event, requests: Partitions, rescorer: Rescorer) -> None:
    due = time.monotonic() + config.lake.seconds
    while not stop.is_set():
        messages = [of(record) for record in requests.poll(_POLL_S)]
        if rescorer.held == 0:
            due = time.monotonic() + config.lake.seconds
        rescorer.take(messages)
        while rescorer.held >= config.lake.rows or (rescorer.held and time.monotonic() >= due):
            # Without the broker nothing more is read either, so what is held stays bounded.
            if _kept(rescorer) or stop.wait(_AGAIN_S):
                break
    if rescorer.held:
        _kept(rescorer)
    rescorer.wait()


def of(record: confluent_kafka.Message) -> Message:
    """A record of the topic; one that holds nothing is refused by its content."""
    topic, partition, offset = record.topic(), record.partition(), record.offset()
    if topic is None or partition is None or offset is None:
        raise RuntimeError("the broker's client gave a record without a place")
    return Message(topic, partition, offset, record.value() or b"")


def _kept(rescorer: Rescorer) -> bool:
    try:
        rescorer.keep()
    except OSError as error:
        _log.warning("not kept yet", rows=rescorer.held, reason=str(error))
        return False
    _log.info("kept", **asdict(rescorer.counts))
    return True
