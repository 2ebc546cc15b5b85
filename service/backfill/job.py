"""The walk: files to batches, in the order of inputs, through the engine, into parts.

What is written is a function of the input and of what the job states; how it was cut into batches, how far a reader ran
ahead and how often it was killed do not show.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
import pyarrow as pa

import engine
from service.backfill import mapping as mappings
from service.backfill import state
from service.backfill.ahead import ahead
from service.backfill.mapping import Holds, Mapping
from service.backfill.order import by_order, survey
from service.backfill.parts import Output, PartWriter, in_words
from service.backfill.pieces import Block, Piece, blocks, cut
from service.backfill.program import Program
from service.backfill.refused import MAX_BAD, Refusal, Refused
from service.backfill.source import Source
from service.backfill.told import Told

PART_ROWS: Final = 1_000_000
BLOCK_ROWS: Final = 1 << 21
"""Transactions that are held at a time, to find what they see key by key."""
KEEP_S: Final = 30.0
"""How often the state is kept at most, in seconds: a job that was killed does so much again."""
_BY_INGEST: Final = "ingest time, then row"
_BY_EVENT_TIME: Final = "assumed: event time, then row"


@dataclass(frozen=True)
class Wanted:
    """What is written for each transaction.

    assessments: what they say, in columns. raw: their bytes, as every door encodes them. features: of which type.
    """

    assessments: bool = True
    raw: bool = False
    features: Literal["float32", "float64"] | None = None


@dataclass(frozen=True)
class Job:
    """What is asked.

    score_from_us: what happened before it is folded and not answered. warm: the folder and the key of a journal that
    has not begun, where the state goes that a server starts from. block_rows: transactions that are taken key by key
    at a time; 0: row by row, as the road takes them, to the same bytes. keep_s: how often the state is kept at most.
    """

    source: Source
    output: Path
    program: Program
    mapping: Mapping
    labels: Source | None = None
    outcomes: Source | None = None
    wanted: Wanted = Wanted()
    score_from_us: int = 0
    part_rows: int = PART_ROWS
    max_bad: int = MAX_BAD
    warm: tuple[Path, bytes] | None = None
    block_rows: int = BLOCK_ROWS
    keep_s: float = KEEP_S

    def compiled(self) -> bytes:
        """The mapping as the engine reads it, under the program's plan."""
        return self.mapping.compile(
            self.program.plan, labels_apart=self.labels is not None, outcomes_apart=self.outcomes is not None
        )


class Done(NamedTuple):
    """What became of a job. digest: of the state that it ends with; None where it had been done before or left none."""

    transactions: int
    answered: int
    refused: int
    parts: int
    order: str
    digest: str | None


Progress = Callable[[int, int], None]
"""Told how many transactions were taken, and how many there are."""


def run(job: Job, *, resume: bool = False, progress: Progress = lambda _done, _all: None) -> Done:
    """Take a history through. Raises ValueError for what cannot be read, and TooManyBad."""
    compiled = job.compiled()
    output = Output(job.output, stated(job, compiled), resume=resume)
    order = order_of(job.mapping)
    if output.done:
        refused = sum(len(part.refused) for part in output.parts)
        return Done(output.transactions, sum(p.rows for p in output.parts), refused, len(output.parts), order, None)
    with engine.SmallPages():
        return _Walk(job, compiled, output, order, progress).walk()


class _Walk:
    """One run of a job."""

    def __init__(self, job: Job, compiled: bytes, output: Output, order: str, progress: Progress) -> None:
        self._job, self._compiled, self._output = job, compiled, output
        self._order, self._progress = order, progress
        sources = {"transaction": job.source, "label": job.labels, "outcome": job.outcomes}
        self._refused = Refused({name: source or job.source for name, source in sources.items()}, job.max_bad)
        self._mapping = engine.Mapping(compiled)
        self._found = survey(
            pa.record_batch(self._mapping.map("order", batch, row)[0])
            for row, batch in job.source.batches(mappings.columns(compiled, "order"))
        )
        key = job.program.hash_key or state.drawn_key(output.work, "hash.key")
        self._door = job.program.door(self._mapping, self._found.begins_us, job.score_from_us, key)
        self._labels = Told("label", self._apart("labels", job.labels))
        self._outcomes = Told("outcome", self._apart("outcomes", job.outcomes))
        self._taken = 0
        self._kept = time.monotonic()

    def walk(self) -> Done:
        job, output = self._job, self._output
        if job.warm is not None and not state.free(job.warm[0]) and not (output.work / "warmed").exists():
            raise ValueError(f"{job.warm[0]} holds a journal: a server starts from it as it is")
        skipped = state.take_in(self._door, output.work, output.transactions)
        self._refused.keep(output.refused_through(skipped))
        mapped = self._mapped("transactions", job.source)
        transactions = ahead(mapped if self._found.in_order else by_order(mapped, output.room("transactions")))
        part: PartWriter | None = None
        try:
            for block in blocks(self._left(transactions, skipped), job.block_rows, job.part_rows):
                self._foresee(block)
                while block.pieces:
                    part = self._piece(block.pieces.pop(0), part)
                    self._progress(self._taken, self._found.rows)
                if not block.is_last:
                    self._keep()
            if part is not None:
                output.add(part.close())
        except BaseException:
            if part is not None:
                part.abandon()
            raise
        finally:
            transactions.close()  # type: ignore[attr-defined]
        if job.warm is not None:
            state.warm(self._door, output.work, *job.warm)
        output.finish(self._refused.table())
        rows = sum(each.rows for each in output.parts)
        digest = None if job.warm is None else self._door.digest()
        return Done(self._taken, rows, len(self._refused), len(output.parts), self._order, digest)

    def _pieces(self, transactions: Iterator[pa.RecordBatch]) -> Iterator[Piece]:
        """Transactions in pieces that end where parts do, and what is told of any by then; last, what is told after."""
        taken = 0
        for batch in transactions:
            self._labels.hear(batch)
            self._outcomes.hear(batch)
            batch = batch.drop_columns(self._heard(batch))
            for piece in cut(batch, taken, self._job.part_rows):
                taken += piece.num_rows
                last = int(piece["order_us"][-1].as_py())
                yield piece, self._labels.due(last), self._outcomes.due(last)
        if taken:
            yield batch.slice(0, 0), self._labels.due(None), self._outcomes.due(None)

    def _heard(self, batch: pa.RecordBatch) -> list[str]:
        """The columns of a batch that are told of and are not written beside the answers."""
        written = _BESIDE_FEATURES if self._job.wanted.features is not None else ()
        return [name for name in batch.schema.names if name.startswith(_TOLD) and name not in written]

    def _left(self, transactions: Iterator[pa.RecordBatch], skipped: int) -> Iterator[Piece]:
        """The pieces behind so many transactions: the state that was taken in knows those, and what was told."""
        self._taken = skipped
        for piece in self._pieces(transactions):
            if skipped > 0 and piece[0].num_rows:
                skipped -= piece[0].num_rows
            else:
                yield piece

    def _foresee(self, block: Block) -> None:
        """Have the engine see all of a block before any of it is answered, where it can."""
        if self._job.block_rows:
            leaves = not block.is_last or self._job.warm is not None
            self._door.foresee(block.pieces, features=self._job.wanted.features, leaves_ids=leaves)

    def _keep(self) -> None:
        """Keep the state between two blocks, where no part is under way and it is time for it."""
        output = self._output
        if self._taken == output.transactions and time.monotonic() - self._kept >= self._job.keep_s:
            state.keep(self._door, output.work, self._taken)
            self._kept = time.monotonic()

    def _piece(self, piece: Piece, part: PartWriter | None) -> PartWriter | None:
        """Take a piece of a part in, and write its answers where they are not written yet. Returns the open part."""
        written, rows = self._output.transactions, piece[0].num_rows
        self._taken += rows
        answers, refused = self._take(piece)
        if self._taken <= written or not rows:
            # What becomes known after the last transaction is in the state that is left.
            return part
        part = part or self._output.open(self._metadata())
        part.add(beside(piece[0], answers, self._job.wanted), rows, refused)
        if self._taken % self._job.part_rows:
            return part
        self._output.add(part.close())
        return None

    def _take(self, piece: Piece) -> tuple[pa.RecordBatch, list[Refusal]]:
        wanted = self._job.wanted
        answers, refused = self._door.take(
            *piece,
            assessments=wanted.assessments,
            bytes=wanted.raw,
            features=wanted.features,
        )
        return pa.record_batch(answers), self._refused.add(pa.record_batch(refused))

    def _mapped(self, holds: Holds, source: Source) -> Iterator[pa.RecordBatch]:
        for row, batch in source.batches(mappings.columns(self._compiled, holds)):
            mapped, refused = (pa.record_batch(each) for each in self._mapping.map(holds, batch, row))
            if self._refused.add(refused):
                mapped = mapped.filter(mapped["taken"])
            if mapped.num_rows:
                yield mapped

    def _apart(self, holds: Literal["labels", "outcomes"], source: Source | None) -> Iterator[pa.RecordBatch] | None:
        """What is told in a table of its own, in the order of its arrival."""
        if source is None:
            return None
        place = f"{holds.removesuffix('s')}.order_us"
        said = (mapped.filter(mapped[place].is_valid()) for mapped in self._mapped(holds, source))
        by_arrival = (
            batch.set_column(batch.schema.get_field_index("order_us"), "order_us", batch[place])
            for batch in said
            if batch.num_rows
        )
        return by_order(by_arrival, self._output.room(holds))

    def _metadata(self) -> dict[str, str]:
        return metadata(stated(self._job, self._compiled), self._order)


def order_of(mapping: Mapping) -> str:
    """In which order transactions are taken, in words."""
    return _BY_EVENT_TIME if mapping.ingest_time is None else _BY_INGEST


def metadata(stated: dict[str, str], order: str) -> dict[str, str]:
    """What stands in each part of an output."""
    return {f"fraudgate.{name}": value for name, value in stated.items()} | {"fraudgate.order": order}


def stated(job: Job, compiled: bytes) -> dict[str, str]:
    """What an output is a function of."""
    program = job.program
    found = program.stated() | {
        "format": "1",
        "mapping_digest": mappings.digest(compiled),
        "complete_since_us": str(program.complete_since_us),
        "score_from_us": str(job.score_from_us),
        "known_ids": str(program.known_ids),
        "part_rows": str(job.part_rows),
        "wanted": json.dumps([job.wanted.assessments, job.wanted.raw, job.wanted.features]),
        "input_digest": job.source.digest(),
    }
    if job.labels is not None:
        found["labels_digest"] = job.labels.digest()
    if job.outcomes is not None:
        found["outcomes_digest"] = job.outcomes.digest()
    return found


# What is told of transactions in columns beside them, and of that what stands beside features.
_TOLD: Final = ("label.", "outcome.")
_BESIDE_FEATURES: Final = ("label.class", "label.order_us")
# What reports go by, beside ids and times.
_OWN: Final = ("kind", "amount_minor", "currency")


def beside(mapped: pa.RecordBatch, answers: pa.RecordBatch, wanted: Wanted) -> pa.RecordBatch:
    """Answers with what their transactions say, and, beside features, what they turned out to be."""
    if answers.num_rows < mapped.num_rows:
        # Answers stand in the order of their transactions.
        mapped = mapped.filter(pa.array(np.isin(mapped["row"].to_numpy(), answers["row"].to_numpy())))
    columns = {
        "row": answers["row"],
        "transaction_id": mapped["transaction_id"],
        "event_time": mapped["event_time_us"].cast(pa.timestamp("us", "UTC")),
    }
    columns |= {name: mapped[name] for name in _OWN if name in mapped.schema.names}
    if wanted.features is not None and "label.class" in mapped.schema.names:
        columns["label_class"] = mapped["label.class"].cast(pa.int8())
        columns["label_order_us"] = mapped["label.order_us"]
    columns |= {name: answers[name] for name in answers.schema.names if name != "row"}
    return in_words(pa.record_batch(columns))
