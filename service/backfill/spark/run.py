"""The job, from files to an output. What cannot be here as it is on one machine is refused by name."""

from collections.abc import Callable
from typing import Final

import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from service.backfill import state
from service.backfill.job import Done, Job, metadata, order_of, stated
from service.backfill.mapping import Holds
from service.backfill.parts import Output, Part
from service.backfill.refused import Refusal, Refused
from service.backfill.source import Source
from service.backfill.spark import gate as gates
from service.backfill.spark import keys, order, pieces, write
from service.backfill.spark.gate import NAMES, Gate
from service.backfill.spark.known import NONE, Repeats
from service.backfill.spark.session import in_spark, told_by_name

_PARTITION_ROWS: Final = 500_000
Step = Callable[[str], None]


def run(job: Job, spark: SparkSession, step: Step = lambda _: None) -> Done:
    """Take a history through, on Spark, to the bytes that one machine writes. step: told what is under way.

    Raises ValueError for what cannot be read, what cannot be the same here, and TooManyBad.
    """
    _check(job)
    compiled = job.compiled()
    output = Output(job.output, stated(job, compiled), resume=False)
    with told_by_name():
        return _Run(job, spark, compiled, output, step).run()


def _check(job: Job) -> None:
    if job.warm is not None:
        raise ValueError("--warm: on Spark no machine holds the whole state; end with it on one machine")
    if job.program.caps():
        raise ValueError(
            f"program.{job.program.name}: its default approves within a cap, which is counted in the order of all "
            "answers: leave --spark out"
        )


class _Run:
    """One run of a job."""

    def __init__(self, job: Job, spark: SparkSession, compiled: bytes, output: Output, step: Step) -> None:
        self._job, self._spark, self._compiled, self._output, self._step = job, spark, compiled, output, step
        sources = {"transaction": job.source, "label": job.labels, "outcome": job.outcomes}
        self._sources = {name: source or job.source for name, source in sources.items()}
        self._refused = Refused(self._sources, job.max_bad)

    def run(self) -> Done:
        job, output = self._job, self._output
        self._step("looking at the order of rows")
        transactions, found = self._survey("transactions", job.source)
        program = job.program
        partitions = max(self._spark.sparkContext.defaultParallelism, -(-found.rows // _PARTITION_ROWS))
        # What is grouped and joined is as large; the default would be two hundred tasks for a hundred rows.
        self._spark.conf.set("spark.sql.shuffle.partitions", partitions)
        gate = Gate(
            program=program,
            compiled=self._compiled,
            hash_key=program.hash_key or state.drawn_key(output.work, "hash.key"),
            complete_since_us=program.since_us(found.begins_us),
            score_from_us=job.score_from_us,
            cuts=found.cuts(partitions),
            beside=gates.beside(self._compiled, job.source.schema),
        )
        inputs = self._read(transactions, gate)
        apart: tuple[tuple[Holds, Source | None], ...] = (("labels", job.labels), ("outcomes", job.outcomes))
        for holds, source in apart:
            if source is not None:
                inputs = inputs.union(self._read(self._survey(holds, source)[0], gate))
        self._step("checking rows, and bringing them into order")
        placed = order.placed(inputs, gate).persist(StorageLevel.DISK_ONLY)
        try:
            return self._answer(placed, gate, partitions)
        finally:
            placed.unpersist()

    def _answer(self, placed: DataFrame, gate: Gate, partitions: int) -> Done:
        job, output = self._job, self._output
        ranked = order.ranked(placed, gate)
        nowhere = placed.where(f.col("order_us").isNull()).withColumn("rank", f.lit(None).cast("long"))
        bad = self._refusals(nowhere) + self._refusals(ranked.rows)
        sharing, found = pa.table({}), NONE
        if job.mapping.transaction_id is not None:
            self._step("looking for repeated ids")
            sharing, found = order.repeated(ranked, gate)
            bad += self._reused(sharing, found, gate)
        self._refused.keep([refusal for _, refusal in bad])
        self._step("folding each entity's keys, and writing")
        taken, schema = order.taken(ranked, found, gate)
        seen, schema = keys.seen(taken, schema, gate, partitions)
        again = write.Again.of(sharing, found) if len(found.rows) else write.Again.none()
        count = -(-ranked.transactions // job.part_rows)
        kept = metadata(stated(job, self._compiled), order_of(job.mapping))
        parts = write.Parts(output.folder, count, job.part_rows, job.wanted, kept)
        made = write.written(self._spark, seen, schema, again, gate, parts).to_pylist() if count else []
        for place, part in enumerate(made):
            transactions = min(job.part_rows, ranked.transactions - place * job.part_rows)
            refused = sorted(refusal for of, refusal in bad if of == place)
            output.add(Part(part["file"], transactions, part["rows"], part["sha256"], refused))
        output.finish(self._refused.table())
        rows = sum(part.rows for part in output.parts)
        return Done(ranked.transactions, rows, len(self._refused), count, order_of(job.mapping), None)

    def _survey(self, holds: Holds, source: Source) -> tuple[pieces.Pieces, pieces.Survey]:
        return pieces.survey(self._spark, source, pieces.cut(source, holds, self._compiled))

    def _read(self, of: pieces.Pieces, gate: Gate) -> DataFrame:
        return of.each(self._spark).mapInArrow(gates.inputs(of, gate), in_spark(gate.schema()))

    def _refusals(self, rows: DataFrame) -> list[tuple[int | None, Refusal]]:
        """What was refused, each with the part in which it is told; none where it has no place, or comes after all."""
        most = self._job.max_bad + 1
        asked = rows.where(f.col("reason").isNotNull()).select("what", "row", "column", "reason", "rank").limit(most)
        return [
            (self._part(row["rank"]), Refusal(NAMES[row["what"]], row["row"], row["column"], row["reason"]))
            for row in asked.toArrow().to_pylist()
        ]

    def _reused(self, sharing: pa.Table, found: Repeats, gate: Gate) -> list[tuple[int | None, Refusal]]:
        """What is refused because its id stood in an earlier row with other values."""
        rows = found.refused().tolist()
        if not rows:
            return []
        ranks = dict(zip(sharing["row"].to_pylist(), sharing["rank"].to_pylist(), strict=True))
        told = pa.record_batch(gate.door().refuse_reused(rows)).to_pylist()
        return [(self._part(ranks[each["row"]]), Refusal(**each)) for each in told]

    def _part(self, rank: int | None) -> int | None:
        """The part of what so many transactions come before."""
        return None if rank is None else rank // self._job.part_rows
