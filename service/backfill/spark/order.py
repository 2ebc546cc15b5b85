"""What follows from the order of all rows: places, what is taken, sequences, and the newest event time before each row.

Rows are brought into buckets of the order and sorted there. What lies in the buckets before is a few sums a bucket, so
each bucket is walked by itself.
"""

from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from service.backfill.spark.gate import LABEL, TRANSACTION, Gate
from service.backfill.spark.known import NONE, Repeats, repeats
from service.backfill.spark.session import Batches, Walk, in_spark

LONG_AGO: Final = -(2**63)
_BEFORE: Final = {"rank": pa.int64(), "nth": pa.int64(), "told": pa.int64()}
_TAKEN: Final = {"taken": pa.bool_(), "sequence": pa.int64(), "watermark_us": pa.int64()}
_SUMS: Final = {"bucket": pa.int32()} | _BEFORE
_NEWEST: Final = {"bucket": pa.int32(), "newest_us": pa.int64()}


class Ranked(NamedTuple):
    """Inputs in their order, each with what lies before it.

    rank: transactions, of whatever fate. nth: those that the gate admitted. told: labels and outcomes, likewise.
    transactions: how many there are in all.
    """

    rows: DataFrame
    schema: pa.Schema
    transactions: int


def placed(inputs: DataFrame, gate: Gate) -> DataFrame:
    """Inputs in buckets of the order, sorted."""
    by_bucket = inputs.repartitionById(len(gate.cuts) + 1, f.col("bucket"))
    return by_bucket.sortWithinPartitions("order_us", "what", "row")


def ranked(rows: DataFrame, gate: Gate) -> Ranked:
    """With what lies before each; rows that have no place in the order are left out."""
    rows = rows.where(f.col("order_us").isNotNull())
    sums = rows.mapInArrow(_summed, in_spark(pa.schema(_SUMS))).groupBy("bucket").sum(*_BEFORE).toArrow()
    buckets = sums["bucket"].to_numpy()
    all_of = np.zeros((len(gate.cuts) + 2, len(_BEFORE)), np.int64)
    all_of[buckets + 1] = np.column_stack([sums[f"sum({name})"].to_numpy() for name in _BEFORE])
    before = np.cumsum(all_of, axis=0)
    schema = pa.schema([*gate.schema(), *(pa.field(name, kind) for name, kind in _BEFORE.items())])
    walked = rows.mapInArrow(_ranker(before, schema), in_spark(schema))
    return Ranked(walked, schema, int(before[-1, 0]))


def sharing(ranked: Ranked) -> pa.Table:
    """The transactions that share their id with another, in their order."""
    admitted = ranked.rows.where((f.col("what") == TRANSACTION) & f.col("reason").isNull())
    ids = admitted.groupBy("id").count().where("count > 1").select("id")
    beside = [name for name in ranked.schema.names if name.startswith("beside:label")]
    columns = ["nth", "rank", "told", "row", "id", "payload", *beside]
    return admitted.join(ids, "id", "left_semi").select(*columns).toArrow().sort_by("nth")


def taken(ranked: Ranked, found: Repeats, gate: Gate) -> tuple[DataFrame, pa.Schema]:
    """The transactions that were taken, with sequence and newest event time before each, and the labels that fold."""
    newest = ranked.rows.mapInArrow(_newest(found), in_spark(pa.schema(_NEWEST)))
    table = newest.groupBy("bucket").agg(f.max("newest_us").alias("newest_us")).toArrow()
    high = np.full(len(gate.cuts) + 2, LONG_AGO, np.int64)
    high[table["bucket"].to_numpy() + 1] = table["newest_us"].to_numpy()
    high = np.maximum.accumulate(high)
    schema = pa.schema([*ranked.schema, *(pa.field(name, kind) for name, kind in _TAKEN.items())])
    return ranked.rows.mapInArrow(_taker(found, high, schema), in_spark(schema)), schema


def sequences(nths: npt.NDArray[np.int64], told: npt.NDArray[np.int64], found: Repeats) -> npt.NDArray[np.int64]:
    """The sequences of transactions that were taken: all that was taken before, and one."""
    return nths - found.before(nths) + told + 1


def repeated(ranked: Ranked, gate: Gate) -> tuple[pa.Table, Repeats]:
    """The rows that share an id, and which of them are not taken."""
    rows = sharing(ranked)
    return rows, repeats(rows, gate.program.known_ids) if len(rows) else NONE


def _counted(batch: pa.RecordBatch) -> npt.NDArray[np.int64]:
    """Of each row whether it counts as each of `_BEFORE`."""
    what = batch["what"].to_numpy()
    admitted = pc.is_null(batch["reason"]).to_numpy(zero_copy_only=False)
    transaction = what == TRANSACTION
    return np.column_stack([transaction, transaction & admitted, ~transaction & admitted]).astype(np.int64)


def _summed(batches: Batches) -> Batches:
    for batch in batches:
        counted, buckets = _counted(batch), batch["bucket"].to_numpy()
        for begin, end in _runs(buckets):
            sums = counted[begin:end].sum(axis=0)
            yield pa.record_batch([[buckets[begin]], *([each] for each in sums)], schema=pa.schema(_SUMS))


def _ranker(before: npt.NDArray[np.int64], schema: pa.Schema) -> Walk:
    def walk(batches: Batches) -> Batches:
        now, at = None, before[0]
        for batch in batches:
            counted, buckets = _counted(batch), batch["bucket"].to_numpy()
            places = np.empty_like(counted)
            for begin, end in _runs(buckets):
                if buckets[begin] != now:
                    now, at = buckets[begin], before[buckets[begin]]
                sums = at + np.cumsum(counted[begin:end], axis=0)
                places[begin:end] = sums - counted[begin:end]
                at = sums[-1]
            yield pa.record_batch([*batch.columns, *(pa.array(column) for column in places.T)], schema=schema)

    return walk


def _is_taken(batch: pa.RecordBatch, found: Repeats) -> npt.NDArray[np.bool_]:
    """Which rows are transactions that were taken."""
    admitted = pc.is_null(batch["reason"]).to_numpy(zero_copy_only=False)
    transactions = (batch["what"].to_numpy() == TRANSACTION) & admitted
    is_taken: npt.NDArray[np.bool_] = transactions & ~np.isin(batch["row"].to_numpy(), found.rows)
    return is_taken


def _newest(found: Repeats) -> Walk:
    def walk(batches: Batches) -> Batches:
        for batch in batches:
            is_taken, buckets = _is_taken(batch, found), batch["bucket"].to_numpy()
            times = batch["event_time_us"].fill_null(0).to_numpy()
            for begin, end in _runs(buckets):
                some = times[begin:end][is_taken[begin:end]]
                if len(some):
                    yield pa.record_batch([[buckets[begin]], [some.max()]], schema=pa.schema(_NEWEST))

    return walk


def _taker(found: Repeats, high: npt.NDArray[np.int64], schema: pa.Schema) -> Walk:
    def walk(batches: Batches) -> Batches:
        now, newest = None, LONG_AGO
        for batch in batches:
            is_taken, buckets = _is_taken(batch, found), batch["bucket"].to_numpy()
            times = np.where(is_taken, batch["event_time_us"].fill_null(0).to_numpy(), LONG_AGO)
            before = np.empty(len(times), np.int64)
            for begin, end in _runs(buckets):
                if buckets[begin] != now:
                    now, newest = buckets[begin], int(high[buckets[begin]])
                highs = np.maximum.accumulate(np.concatenate(([newest], times[begin:end])))
                before[begin:end], newest = highs[:-1], int(highs[-1])
            columns = [
                pa.array(is_taken),
                pa.array(sequences(batch["nth"].to_numpy(), batch["told"].to_numpy(), found)),
                pa.array(before, mask=before == LONG_AGO),
            ]
            folds = (batch["what"].to_numpy() == LABEL) & batch["folds"].fill_null(False).to_numpy(zero_copy_only=False)
            walked = pa.record_batch([*batch.columns, *columns], schema=schema)
            yield walked.filter(pa.array(is_taken | folds))

    return walk


def _runs(values: npt.NDArray[np.int32]) -> list[tuple[int, int]]:
    """Where equal values that stand together begin and end."""
    if len(values) == 0:
        return []
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    return list(pairwise(edges))
