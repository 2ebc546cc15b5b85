"""The walk: files to batches, in the order of inputs, through the engine, into parts.

What is written is a function of the input and of what the job states; how it was cut into batches, how far a reader ran
ahead and how often it was killed do not show.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
import pyarrow as pa

import engine
from service.backfill import mapping as mappings
from service.backfill.ahead import ahead
from service.backfill.mapping import Holds, Mapping
from service.backfill.order import by_order, survey
from service.backfill.parts import Output, PartWriter, Refusal, in_words
from service.backfill.program import Program, drawn_key
from service.backfill.source import Source
from service.backfill.told import Told

PART_ROWS: Final = 1_000_000
MAX_BAD: Final = 1_000
_BY_INGEST: Final = "ingest time, then row"
_BY_EVENT_TIME: Final = "assumed: event time, then row"


class TooManyBad(ValueError):
    """More rows were refused than the job puts up with."""


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
    """What is asked. score_from_us: what happened before it is folded and not answered."""

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


class Done(NamedTuple):
    """What became of a job. digest: of the state that it ends with; None where it had been done before."""

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
    compiled = job.mapping.compile(
        job.program.plan, labels_apart=job.labels is not None, outcomes_apart=job.outcomes is not None
    )
    output = Output(job.output, _stated(job, compiled), resume=resume)
    order = _BY_EVENT_TIME if job.mapping.ingest_time is None else _BY_INGEST
    if output.done:
        refused = sum(len(part.refused) for part in output.parts)
        return Done(output.transactions, sum(p.rows for p in output.parts), refused, len(output.parts), order, None)
    return _Walk(job, compiled, output, order, progress).walk()


class _Walk:
    """One run of a job."""

    def __init__(self, job: Job, compiled: bytes, output: Output, order: str, progress: Progress) -> None:
        self._job, self._compiled, self._output = job, compiled, output
        self._order, self._progress = order, progress
        self._bad: list[Refusal] = []
        self._mapping = engine.Mapping(compiled)
        self._found = survey(
            pa.record_batch(self._mapping.map("order", batch, row)[0])
            for row, batch in job.source.batches(mappings.columns(compiled, "order"))
        )
        key = drawn_key(output.work) if job.program.hash_key is None else job.program.hash_key
        self._door = job.program.door(self._mapping, self._found.begins_us, job.score_from_us, key)

    def walk(self) -> Done:
        job, output, found = self._job, self._output, self._found
        skipped, taken, answered = output.transactions, 0, 0
        labels = Told("label", self._apart("labels", job.labels))
        outcomes = Told("outcome", self._apart("outcomes", job.outcomes))
        metadata = self._metadata()
        part: PartWriter | None = None
        transactions = ahead(self._ordered(self._mapped("transactions", job.source), in_order=found.in_order))
        try:
            for batch in transactions:
                labels.hear(batch)
                outcomes.hear(batch)
                for piece in _cut(batch, taken, job.part_rows):
                    last = int(piece["order_us"][-1].as_py())
                    answers, refused = self._door.take(
                        piece,
                        labels.due(last),
                        outcomes.due(last),
                        assessments=job.wanted.assessments,
                        bytes=job.wanted.raw,
                        features=job.wanted.features,
                    )
                    told = self._refused(pa.record_batch(refused))
                    taken += piece.num_rows
                    if taken > skipped:
                        rows = _beside(piece, pa.record_batch(answers), job.wanted)
                        part = part or output.open(metadata)
                        part.write(rows)
                        part.transactions += piece.num_rows
                        part.refused += told
                        answered += rows.num_rows
                        if taken % job.part_rows == 0:
                            output.add(part.close())
                            part = None
                    self._progress(taken, found.rows)
            # What becomes known after the last transaction is in the state that is left.
            if taken:
                self._refused(pa.record_batch(self._tell(labels, outcomes, batch.slice(0, 0))))
            if part is not None:
                output.add(part.close())
        except BaseException:
            if part is not None:
                part.abandon()
            raise
        finally:
            transactions.close()  # type: ignore[attr-defined]
        output.finish(self._bad_table())
        rows = sum(each.rows for each in output.parts)
        return Done(taken, rows, len(self._bad), len(output.parts), self._order, self._door.digest())

    def _tell(self, labels: Told, outcomes: Told, nothing: pa.RecordBatch) -> object:
        return self._door.take(nothing, labels.due(None), outcomes.due(None), assessments=False)[1]

    def _mapped(self, holds: Holds, source: Source) -> Iterator[pa.RecordBatch]:
        for row, batch in source.batches(mappings.columns(self._compiled, holds)):
            mapped, refused = (pa.record_batch(each) for each in self._mapping.map(holds, batch, row))
            if self._refused(refused):
                mapped = mapped.filter(mapped["taken"])
            if mapped.num_rows:
                yield mapped

    def _ordered(self, batches: Iterator[pa.RecordBatch], *, in_order: bool) -> Iterator[pa.RecordBatch]:
        return batches if in_order else by_order(batches, self._room("transactions"))

    def _apart(self, holds: Literal["labels", "outcomes"], source: Source | None) -> Iterator[pa.RecordBatch] | None:
        if source is None:
            return None
        told = holds.removesuffix("s")
        # A table of labels is sorted by their arrival.
        by_arrival = (
            mapped.set_column(mapped.schema.get_field_index("order_us"), "order_us", mapped[f"{told}.order_us"])
            for mapped in self._told(holds, source, told)
        )
        return by_order(by_arrival, self._room(holds))

    def _told(self, holds: Holds, source: Source, told: str) -> Iterator[pa.RecordBatch]:
        for mapped in self._mapped(holds, source):
            said = mapped.filter(mapped[f"{told}.order_us"].is_valid())
            if said.num_rows:
                yield said

    def _room(self, name: str) -> Path:
        room = self._output.work / name
        room.mkdir()
        return room

    def _refused(self, refused: pa.RecordBatch) -> list[Refusal]:
        """Keep what was refused; raises TooManyBad where it is too much."""
        told = [Refusal(**row) for row in refused.to_pylist()] if refused.num_rows else []
        self._bad += told
        if len(self._bad) > self._job.max_bad:
            raise TooManyBad(self._too_many())
        return told

    def _too_many(self) -> str:
        first = self._bad[0]
        column = f", column {first.column}" if first.column else ""
        place = self._source_of(first).place(first.row)
        rest = f"{self._job.max_bad:,} may be (--max-bad)"
        return (
            f"{place.file}, row {place.row}{column}: {first.reason}; {len(self._bad):,} rows are refused by now, {rest}"
        )

    def _source_of(self, refusal: Refusal) -> Source:
        apart = {"label": self._job.labels, "outcome": self._job.outcomes}.get(refusal.input)
        return apart or self._job.source

    def _bad_table(self) -> pa.Table:
        bad = sorted(self._bad)
        places = [self._source_of(each).place(each.row) for each in bad]
        return pa.table(
            {
                "input": pa.array([each.input for each in bad], pa.string()),
                "file": pa.array([place.file for place in places], pa.string()),
                "row_of_file": pa.array([place.row for place in places], pa.int64()),
                "row": pa.array([each.row for each in bad], pa.int64()),
                "column": pa.array([each.column for each in bad], pa.string()),
                "reason": pa.array([each.reason for each in bad], pa.string()),
            }
        )

    def _metadata(self) -> dict[str, str]:
        stated = _stated(self._job, self._compiled)
        return {f"fraudgate.{name}": value for name, value in stated.items()} | {"fraudgate.order": self._order}


def _stated(job: Job, compiled: bytes) -> dict[str, str]:
    """What an output is a function of."""
    program = job.program
    model = b"" if program.model is None else program.model[0]
    stated = {
        "format": "1",
        "program": program.name,
        "plan_digest": program.plan.digest,
        "policy_digest": hashlib.sha256(program.policy).hexdigest(),
        "model_digest": hashlib.sha256(model).hexdigest() if model else "",
        "mapping_digest": mappings.digest(compiled),
        "complete_since_us": str(program.complete_since_us),
        "score_from_us": str(job.score_from_us),
        "known_ids": str(program.known_ids),
        "part_rows": str(job.part_rows),
        "wanted": json.dumps([job.wanted.assessments, job.wanted.raw, job.wanted.features]),
        "input_digest": job.source.digest(),
    }
    if job.labels is not None:
        stated["labels_digest"] = job.labels.digest()
    if job.outcomes is not None:
        stated["outcomes_digest"] = job.outcomes.digest()
    return stated


def _cut(batch: pa.RecordBatch, taken: int, part_rows: int) -> Iterator[pa.RecordBatch]:
    """The batch in pieces that end where parts do."""
    begin = 0
    while begin < batch.num_rows:
        left = part_rows - (taken + begin) % part_rows
        yield batch.slice(begin, left)
        begin += min(left, batch.num_rows - begin)


def _beside(mapped: pa.RecordBatch, answers: pa.RecordBatch, wanted: Wanted) -> pa.RecordBatch:
    """Answers with the ids and times of their transactions, and, beside features, what they turned out to be."""
    if answers.num_rows < mapped.num_rows:
        # Answers stand in the order of their transactions.
        mapped = mapped.filter(pa.array(np.isin(mapped["row"].to_numpy(), answers["row"].to_numpy())))
    columns = {
        "row": answers["row"],
        "transaction_id": mapped["transaction_id"],
        "event_time": mapped["event_time_us"].cast(pa.timestamp("us", "UTC")),
    }
    if wanted.features is not None and "label.class" in mapped.schema.names:
        columns["label_class"] = mapped["label.class"].cast(pa.int8())
        columns["label_order_us"] = mapped["label.order_us"]
    in_named = in_words(answers)
    columns |= {name: in_named[name] for name in in_named.schema.names if name != "row"}
    return pa.record_batch(columns)
