"""The walk of the cloud: messages in, in their order; scores out to the PoPs; rows into the lake.

What a PoP ships twice is dropped by its epoch and sequence, which rise in each partition. Decisions are published
before their rows are kept, and only what is kept moves the place: after a death some are published again, and none is
lost; the PoP knows what it was told.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

import numpy as np
import structlog

from service.cloud import columns
from service.cloud.columns import Erased, Malformed, Requests
from service.cloud.lake import Kept, Lake, Part, Rescored, Through
from service.cloud.teacher import Teacher, Teachers, answers

# Rows of one run of the model: beyond it a run gains nothing, and its rows leave the caches.
BATCH: Final = 4096

_log = structlog.get_logger()


class Message(NamedTuple):
    """A record of the topic."""

    topic: str
    partition: int
    offset: int
    value: bytes


class LakeError(RuntimeError):
    """A part could not be written."""


class Sink(Protocol):
    """Where decisions go."""

    def publish(self, pop: str, decisions: bytes) -> None:
        """Send what a PoP is to know; in order for each PoP."""

    def flush(self) -> None:
        """Wait until all is delivered. Raises OSError when something was not."""


@dataclass
class Counts:
    """What was done since the start."""

    messages: int = 0
    rows: int = 0
    repeated: int = 0
    """Rows that had come before."""
    refused: int = 0
    """Messages that could not be scored."""
    reversed: int = 0
    """Rows that the PoP approved and the teacher would decline."""
    reversed_minor: int = 0
    """Their amounts, minor units of the programs' currencies."""
    kept: int = 0
    """Rows in the lake."""
    erased: int = 0
    """Keys that PoPs said were erased."""


@dataclass
class _Partition:
    """What of a partition is not kept yet, and how far it is."""

    through: Through
    first: int | None = None
    last: int = -1
    rescored: list[Rescored] = field(default_factory=list)


class Rescorer:
    """Scores with `teachers`, by program; publishes to `sink`; keeps in `lake`."""

    def __init__(self, teachers: Mapping[str, Teacher], sink: Sink, lake: Lake) -> None:
        self._teachers = Teachers(teachers)
        self._sink = sink
        self._lake = lake
        self._partitions: dict[tuple[str, int], _Partition] = {}
        # Writing a part takes about as long as scoring a tenth of it, and needs no interpreter most of that time.
        self._writer = ThreadPoolExecutor(1, "lake")
        self._writing: Future[int] | None = None
        self._erased: list[Erased] = []
        self.counts = Counts()
        self.held = 0
        """Rows that are scored and not kept, and keys that are erased and not taken from the lake."""

    def begin(self, topic: str, partition: int) -> int:
        """Go on where the lake ends; returns the offset to read from."""
        kept: Kept = self._lake.kept(topic, partition)
        self._partitions[topic, partition] = _Partition(kept.through)
        return kept.next_offset

    def take(self, messages: Sequence[Message]) -> None:
        """Score messages of partitions that were begun, and publish what came of it."""
        by_program: dict[str, list[tuple[_Partition, Requests]]] = defaultdict(list)
        erased: list[Erased] = []
        for message in messages:
            partition = self._partitions[message.topic, message.partition]
            partition.first = message.offset if partition.first is None else partition.first
            partition.last = message.offset
            self.counts.messages += 1
            try:
                sent = columns.read(message.value)
                # Also of a program that nothing is scored of here any more: what is kept of it is of before.
                erased += columns.erased(sent.head)
                requests = self._fresh(partition, sent) if len(sent) else None
            except Malformed as refused:
                self.counts.refused += 1
                _log.warning("refused", topic=message.topic, offset=message.offset, reason=str(refused))
                continue
            if requests is not None:
                by_program[requests.head.program].append((partition, requests))
        for taken in by_program.values():
            self._score(self._teachers.of(taken[0][1].head), taken)
        if erased:
            self._erase(erased)

    def _erase(self, erased: Sequence[Erased]) -> None:
        """Takes keys from what is held at once, and from the lake before more is kept: so a place behind an erasure is
        never kept before it is done."""
        for partition in self._partitions.values():
            partition.rescored = [
                one._replace(requests=columns.without(one.requests, erased)) for one in partition.rescored
            ]
        self._erased += erased
        self.held += len(erased)
        self.counts.erased += len(erased)

    def keep(self) -> None:
        """Have what is held written to the lake, once all of it is published, and the part before it is written.

        Raises OSError where it is not published; then it is held still. Raises LakeError where the part before could
        not be written: then only a fresh start knows what is to be read again.
        """
        self._sink.flush()
        self.wait()
        parts = []
        for (topic, number), partition in self._partitions.items():
            if partition.first is None or not partition.rescored:
                # Nothing new: the place stays, and what was dropped is dropped again after a restart.
                continue
            part = Part(topic, number, partition.first, partition.last)
            parts.append((part, partition.rescored, dict(partition.through)))
            partition.first, partition.rescored = None, []
        erased, self._erased, self.held = self._erased, [], 0

        def write() -> int:
            if erased:
                self._lake.erase(erased)
            return sum(self._lake.keep(*part) for part in parts)

        self._writing = self._writer.submit(write)

    def wait(self) -> None:
        """Wait until what was to be written is. Raises LakeError."""
        if self._writing is None:
            return
        try:
            self.counts.kept += self._writing.result()
        except OSError as error:
            raise LakeError(f"the lake cannot be written: {error}") from error
        finally:
            self._writing = None

    def _fresh(self, partition: _Partition, requests: Requests) -> Requests | None:
        """The rows that did not come before; none where all did. Raises Malformed where no teacher here can score."""
        head, of = requests.head, requests.columns
        self._teachers.of(head)
        who = (head.pop, head.program)
        epoch, sequence = partition.through.get(who, (0, 0))
        new = (of["epoch"] > epoch) | ((of["epoch"] == epoch) & (of["sequence"] > sequence))
        repeated = int(len(new) - np.count_nonzero(new))
        self.counts.repeated += repeated
        if repeated == len(new):
            return None
        partition.through[who] = int(of["epoch"][-1]), int(of["sequence"][-1])
        return requests.where(new)

    def _score(self, teacher: Teacher, taken: Sequence[tuple[_Partition, Requests]]) -> None:
        rows = columns.joined([requests.rows for _, requests in taken])
        scored = [teacher.score(rows[at : at + BATCH]) for at in range(0, len(rows), BATCH)]
        probability, risk = (np.concatenate(parts) for parts in zip(*scored, strict=True))
        at = 0
        for partition, requests in taken:
            upto = at + len(requests)
            said = answers(probability[at:upto], risk[at:upto], requests.head.thresholds)
            self._sink.publish(requests.head.pop, columns.write(requests, said, teacher.digest))
            partition.rescored.append(Rescored(requests, said, teacher.features, teacher.digest))
            self._count(requests, said.rescored_verdict)
            at = upto

    def _count(self, requests: Requests, verdict: columns.Column) -> None:
        reverses = (requests.columns["policy_verdict"] == columns.APPROVE) & (verdict == columns.DECLINE)
        self.counts.rows += len(requests)
        self.held += len(requests)
        self.counts.reversed += int(np.count_nonzero(reverses))
        self.counts.reversed_minor += int(requests.columns["amount_minor"][reverses].clip(min=0).sum())
