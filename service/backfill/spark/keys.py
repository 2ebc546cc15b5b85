"""Rows are brought to where their key is, one entity after the other, and folded there by the engine.

A row carries what it has seen to the next entity, so that nothing is joined. A key with many rows is a long partition
that streams through in batches, as all do; rows without a key have no history and go anywhere.
"""

import json
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

import engine
from service.backfill.spark.gate import LABEL, TRANSACTION, Gate
from service.backfill.spark.session import Batches, Walk, dotted, in_spark

CARRIED: Final = {"features": pa.list_(pa.float64()), "incomplete": pa.binary(), "lateness": pa.int32()}


def seen(taken: DataFrame, schema: pa.Schema, gate: Gate, partitions: int) -> tuple[DataFrame, pa.Schema]:
    """Transactions with what they have seen of every entity."""
    schema = pa.schema([*schema, *(pa.field(name, kind) for name, kind in CARRIED.items())])
    rows = taken.where(f.col("what") == TRANSACTION)
    labels = taken.where(f.col("what") == LABEL)
    for name, kind in zip(CARRIED, in_spark(pa.schema(CARRIED)), strict=True):
        rows, labels = (each.withColumn(name, f.lit(None).cast(kind.dataType)) for each in (rows, labels))
    for slot, entity in _entities(gate):
        # Without a key there is no history: such rows go anywhere, not all to one place.
        anywhere = f.col("row").cast("string").cast("binary")
        key = f.lit(None) if entity is None else f.col(f"key:{entity}")
        home = f.coalesce(key, anywhere)
        keyed = labels.where(key.isNotNull())
        at_home = rows.union(keyed).repartition(partitions, home).sortWithinPartitions("order_us", "what", "row")
        rows = at_home.mapInArrow(_folder(gate, slot), in_spark(schema))
    return rows, schema


def _entities(gate: Gate) -> Sequence[tuple[int | None, str | None]]:
    """The entities that features are over, with their places in the plan; none where all are of a row's own fields."""
    plan = json.loads(gate.program.plan.json)
    read = {feature["entity"] for feature in plan["features"] if "entity" in feature}
    named: list[tuple[int | None, str | None]] = [
        (slot, entity) for slot, entity in enumerate(plan["entities"]) if slot in read
    ]
    return named or [(None, None)]


def _folder(gate: Gate, slot: int | None) -> Walk:
    def fold(batches: Batches) -> Batches:
        history = engine.Apart(gate.program.plan.json, slot, gate.complete_since_us)
        for batch in batches:
            is_label = pa.array(batch["what"].to_numpy() == LABEL)
            carried = pa.record_batch(history.take(dotted(batch.append_column("is_label", is_label))))
            columns = {name: batch[name] for name in batch.schema.names}
            columns |= {name: carried[name].cast(kind) for name, kind in CARRIED.items()}
            rows = pa.record_batch(columns)
            yield rows.filter(rows["taken"])

    return fold
