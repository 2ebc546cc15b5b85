"""Rows that have seen all are answered, and each part of the output is written by whoever has its rows."""

from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from service.backfill.job import Wanted, beside
from service.backfill.parts import PartWriter, part_file
from service.backfill.spark.gate import Gate, beside_name, came_back
from service.backfill.spark.known import Repeats
from service.backfill.spark.session import Batches, Walk, dotted, in_spark

_WRITTEN: Final = {"part": pa.int32(), "file": pa.string(), "rows": pa.int64(), "sha256": pa.string()}
_PART: Final = {"part": pa.int32(), "replayed": pa.bool_()}


class Parts(NamedTuple):
    """What is written where. metadata: of each file."""

    folder: Path
    parts: int
    part_rows: int
    wanted: Wanted
    metadata: dict[str, str]


def written(
    spark: SparkSession, rows: DataFrame, schema: pa.Schema, again: "Again", gate: Gate, parts: Parts
) -> pa.Table:
    """Answer and write; gives part, file, rows and sha256 of each part, in their order."""
    whole = pa.schema([*schema, *(pa.field(name, kind) for name, kind in _PART.items())])
    rows = rows.where("scored").mapInArrow(_placer(again, parts.part_rows, whole), in_spark(whole))
    # A part of which nothing is answered is written, too.
    markers = spark.range(parts.parts).select(f.col("id").cast("int").alias("part"))
    all_rows = rows.unionByName(markers, allowMissingColumns=True)
    by_part = all_rows.repartitionById(parts.parts, f.col("part")).sortWithinPartitions("rank")
    return by_part.mapInArrow(_writer(gate, parts), in_spark(pa.schema(_WRITTEN))).toArrow().sort_by("part")


class Again(NamedTuple):
    """Retransmissions, which are answered as their firsts: whose they are (the first's row), and what is their own."""

    firsts: pa.Array
    own: pa.RecordBatch

    @classmethod
    def of(cls, sharing: pa.Table, found: Repeats) -> "Again":
        """sharing: the rows that share an id; found: which of them are not taken."""
        again = found.firsts >= 0
        rows = sharing["row"].to_numpy()
        places = np.argsort(rows, kind="stable")
        places = places[np.searchsorted(rows[places], found.rows[again])]
        own = sharing.take(pa.array(places)).combine_chunks().drop_columns(["nth", "told", "id", "payload"])
        firsts = pa.array(rows[found.firsts[again]], pa.int64())
        order = pa.array(np.argsort(firsts.to_numpy(), kind="stable"))
        (batch,) = own.to_batches() or [pa.RecordBatch.from_pylist([], schema=own.schema)]
        return cls(firsts.take(order), batch.take(order))

    @classmethod
    def none(cls) -> "Again":
        """Nothing is repeated."""
        return cls(pa.array([], pa.int64()), pa.RecordBatch.from_arrays([], schema=pa.schema([])))


def _placer(again: Again, part_rows: int, schema: pa.Schema) -> Walk:
    """Says of which part each row is, and has each retransmission follow from its first."""
    firsts = again.firsts.to_numpy()

    def place(batches: Batches) -> Batches:
        for batch in batches:
            yield _of_part(batch, part_rows, schema, replayed=False)
            rows = batch["row"].to_numpy()
            begins, ends = np.searchsorted(firsts, rows), np.searchsorted(firsts, rows, side="right")
            counts = ends - begins
            if counts.any():
                theirs = np.repeat(np.arange(len(rows)), counts)
                within = np.arange(len(theirs)) - np.repeat(np.cumsum(counts) - counts, counts)
                own = again.own.take(pa.array(np.repeat(begins, counts) + within))
                copies = batch.take(pa.array(theirs))
                for name in own.schema.names:
                    copies = copies.set_column(
                        copies.schema.get_field_index(name), copies.schema.field(name), own[name]
                    )
                yield _of_part(copies, part_rows, schema, replayed=True)

    return place


def _of_part(batch: pa.RecordBatch, part_rows: int, schema: pa.Schema, *, replayed: bool) -> pa.RecordBatch:
    parts = pa.array(batch["rank"].to_numpy() // part_rows, pa.int32())
    return pa.record_batch([*batch.columns, parts, pa.repeat(replayed, batch.num_rows)], schema=schema)


def _writer(gate: Gate, parts: Parts) -> Walk:
    wanted = parts.wanted

    def answered(door: Any, batch: pa.RecordBatch) -> pa.RecordBatch:
        answers = door.answer(dotted(batch), assessments=wanted.assessments, bytes=wanted.raw, features=wanted.features)
        columns = {name: batch[name] for name in ("row", "event_time_us", "kind")}
        columns |= {field.name: came_back(batch[beside_name(field.name)], field.type) for field in gate.beside}
        return beside(pa.record_batch(columns), pa.record_batch(answers), wanted)

    def write(batches: Batches) -> Batches:
        door = gate.door(answers=wanted.assessments or wanted.raw)
        writer: PartWriter | None = None
        part = -1
        for batch in batches:
            if writer is None:
                part = batch["part"][0].as_py()
                context = TaskContext.get()
                attempt = "" if context is None else str(context.taskAttemptId())
                writer = PartWriter(parts.folder, part_file(part), parts.metadata, attempt)
            rows = batch.filter(batch["row"].is_valid())
            writer.add(answered(door, rows), 0, [])
        if writer is not None:
            made = writer.close()
            yield pa.record_batch([[part], [made.file], [made.rows], [made.sha256]], schema=pa.schema(_WRITTEN))

    return write
