"""The same history on Apache Spark: each entity's part of the plan folds on its own key's events, then rows score.

Features are functions of inputs only, and those over an entity read that entity's own history alone. So rows are
brought to where their key is, one entity after the other, sorted by the order of inputs, and executors fold them by the
same engine; a row carries what it has seen to the next entity, so that nothing is joined. What comes too late to be
folded is found before rows are parted. A key with many rows makes a long partition that streams through in batches, as
all do.

The bits are those of one machine. Left to one machine are refusals (a row that cannot be mapped stops the job, by file,
row and column), ids that come twice, outcomes, and the whole Assessment: here are features, scores and verdicts.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql import types as t

import engine
from features import CompiledPlan
from fraudgate.v1 import feedback_pb2, transaction_pb2
from service.backfill import mapping as mappings
from service.backfill.parts import in_words
from service.backfill.program import Program

_DAY_US: Final = 86_400_000_000
_KINDS: Final = [name.removeprefix("KIND_").lower() for name in transaction_pb2.Kind.DESCRIPTOR.values_by_name]
_OWN: Final = ("transaction_id", "event_time_us", "kind", "amount_minor", "utc_offset_minutes")
Batches = Iterator[pa.RecordBatch]


class Shared(NamedTuple):
    """What executors need, sent with their tasks."""

    compiled: bytes
    plan: bytes
    hash_key: bytes
    complete_since_us: int


class Part(NamedTuple):
    """An entity's part of a plan; the first has the features of a transaction's own fields, too."""

    entity: str
    plan: bytes
    features: tuple[str, ...]


def session(master: str, settings: dict[str, str]) -> SparkSession:
    """A session on a master, whose executors run this Python; it must lie at the same path on every worker."""
    # The driver names the executors' interpreter, and only by its environment.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    return SparkSession.builder.master(master).appName("fraudgate").config(map=settings).getOrCreate()


def parts_of(plan: CompiledPlan) -> list[Part]:
    """The plan by entity, in its order. One whose entities have no features has one part of its own fields."""
    whole = json.loads(plan.json)
    own = [feature for feature in whole["features"] if "entity" not in feature]
    parts: list[Part] = []
    for slot, entity in enumerate(whole["entities"]):
        features = [feature for feature in whole["features"] if feature.get("entity") == slot]
        if not parts:
            features = own + features
        if features:
            document = json.dumps(whole | {"features": features}, sort_keys=True, separators=(",", ":"))
            parts.append(Part(entity, document.encode("ascii"), tuple(feature["name"] for feature in features)))
    return parts


def transactions(spark: SparkSession, files: list[str], shared: Shared) -> DataFrame:
    """The rows of Parquet files, mapped: each task reads row groups and knows the numbers of their rows."""
    groups, row = [], 1
    for path in files:
        file = pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            groups.append((path, group, row))
            row += file.metadata.row_group(group).num_rows
    schema = "path string, row_group int, row long"
    asked = spark.createDataFrame(groups, schema).repartition(len(groups))
    return asked.mapInArrow(_reader(shared), _schema(shared))


def _reader(shared: Shared) -> Callable[[Batches], Batches]:
    def read(groups: Batches) -> Batches:
        mapping = engine.Mapping(shared.compiled)
        columns = mappings.columns(shared.compiled, "transactions")
        for group in (each for batch in groups for each in batch.to_pylist()):
            row = group["row"]
            file = pq.ParquetFile(group["path"])
            for batch in file.iter_batches(65_536, row_groups=[group["row_group"]], columns=columns):
                mapped, refused = (pa.record_batch(each) for each in mapping.map("transactions", batch, row))
                if refused.num_rows:
                    raise ValueError(_refusal(group["path"], refused))
                yield _fields(mapped, shared)
                row += batch.num_rows

    return read


def _refusal(path: str, refused: pa.RecordBatch) -> str:
    first = refused.slice(0, 1).to_pylist()[0]
    return f"{path}, row {first['row']} of the input, column {first['column']}: {first['reason']}"


def _schema(shared: Shared) -> t.StructType:
    """The columns that travel: those of a mapped batch, under names that Spark takes, and the label told beside."""
    document = json.loads(shared.plan)
    types = {
        "row": t.LongType(),
        "order_us": t.LongType(),
        "transaction_id": t.StringType(),
        "event_time_us": t.LongType(),
        "kind": t.StringType(),
        "amount_minor": t.LongType(),
        "utc_offset_minutes": t.IntegerType(),
        "label_order_us": t.LongType(),
        "fraud": t.BooleanType(),
    }
    types |= {name: t.StringType() for name in document["entities"]}
    types |= {name: t.DoubleType() for name in document["numbers"]}
    return t.StructType([t.StructField(name, kind) for name, kind in types.items()])


def _fields(mapped: pa.RecordBatch, shared: Shared) -> pa.RecordBatch:
    document = json.loads(shared.plan)
    n = mapped.num_rows
    columns = {name: mapped[name] for name in ("row", "order_us", "event_time_us")}
    columns["transaction_id"] = mapped["transaction_id"].cast(pa.string())
    columns["kind"] = pa.array(_KINDS).take(mapped["kind"])
    has = mapped.schema.names
    columns["amount_minor"] = _reference(mapped, document["currency"])
    offsets = mapped["utc_offset_minutes"] if "utc_offset_minutes" in has else pa.nulls(n, pa.int32())
    columns["utc_offset_minutes"] = offsets
    columns |= {name: mapped[f"entity.{name}"].cast(pa.string()) for name in document["entities"]}
    columns |= {name: mapped[f"number.{name}"] for name in document["numbers"]}
    if "label.class" in has:
        frauds = [feedback_pb2.LabelClass.Value(f"LABEL_CLASS_{name.upper()}") for name in document["fraud"]]
        fraud = pc.is_in(mapped["label.class"], pa.array(frauds, pa.int32()))
        withdrawn = pc.equal(mapped["label.status"], feedback_pb2.LABEL_STATUS_WITHDRAWN)
        folds = pc.not_equal(mapped["label.source"], feedback_pb2.LABEL_SOURCE_RESCORE)
        told = pc.and_(mapped["label.order_us"].is_valid(), folds)
        columns["label_order_us"] = pc.if_else(told, mapped["label.order_us"], pa.scalar(None, pa.int64()))
        columns["fraud"] = pc.if_else(withdrawn, pa.scalar(None, pa.bool_()), fraud)
    else:
        columns["label_order_us"], columns["fraud"] = pa.nulls(n, pa.int64()), pa.nulls(n, pa.bool_())
    return pa.record_batch({field.name: columns[field.name] for field in _schema(shared).fields})


def _reference(mapped: pa.RecordBatch, currency: str) -> pa.Array:
    """Amounts in the plan's currency; null where an amount is in another one."""
    if "amount_minor" not in mapped.schema.names:
        return pa.nulls(mapped.num_rows, pa.int64())
    amounts = mapped["amount_minor"]
    if "currency" in mapped.schema.names:
        amounts = pc.if_else(pc.equal(mapped["currency"], currency), amounts, pa.scalar(None, pa.int64()))
    if "reference_amount_minor" in mapped.schema.names:
        amounts = pc.coalesce(amounts, mapped["reference_amount_minor"])
    return amounts


def lateness(rows: DataFrame, lateness_us: int) -> DataFrame:
    """With `beyond`: whether a row lies further behind the newest event time before it than the plan allows.

    The newest of each day of the order is small enough to be known to all; within a day rows are walked in order.
    """
    day = f.floor(f.col("order_us") / _DAY_US).alias("day")
    newest = rows.groupBy(day).agg(f.max("event_time_us").alias("newest")).collect()
    before: dict[int, int] = {}
    highest = -(2**63)
    for each in sorted(newest, key=lambda one: one["day"]):
        before[each["day"]] = highest
        highest = max(highest, each["newest"])

    def walk(batches: Batches) -> Batches:
        now, high = None, -(2**63)
        for batch in batches:
            times = batch["event_time_us"].to_numpy()
            days = batch["order_us"].to_numpy() // _DAY_US
            beyond = np.zeros(len(times), bool)
            for begin, end in _runs(days):
                if days[begin] != now:
                    now, high = days[begin], before[int(days[begin])]
                highs = np.maximum.accumulate(np.concatenate(([high], times[begin:end])))
                beyond[begin:end] = (highs[:-1] > -(2**63)) & (times[begin:end] < highs[:-1] - lateness_us)
                high = int(highs[-1])
            yield batch.append_column("beyond", pa.array(beyond))

    schema = t.StructType([*rows.schema.fields, t.StructField("beyond", t.BooleanType())])
    return rows.repartition(day).sortWithinPartitions("order_us", "row").mapInArrow(walk, schema)


def _runs(values: Any) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(values)) + 1
    yield from zip([0, *edges], [*edges, len(values)], strict=True) if len(values) else ()


def features(rows: DataFrame, plan: CompiledPlan, shared: Shared) -> DataFrame:
    """With the plan's features, float64, as each transaction saw them."""
    ordered = json.loads(plan.json)
    seen = lateness(rows, ordered["lateness_us"])
    told = rows.where(f.col("label_order_us").isNotNull())
    for part in parts_of(plan):
        seen = _folded(seen, told, part, shared)
    return seen


def _folded(seen: DataFrame, told: DataFrame, part: Part, shared: Shared) -> DataFrame:
    """Rows where their key is, labels before transactions of the same place, folded there."""
    absent = [field for field in seen.schema.fields if field.name not in told.columns]
    labels = told.select(
        *(f.col(name) for name in told.columns if name != "order_us"),
        f.col("label_order_us").alias("order_us"),
        *(f.lit(None).cast(field.dataType).alias(field.name) for field in absent),
        f.lit(0).alias("is_transaction"),
    )
    both = seen.withColumn("is_transaction", f.lit(1)).unionByName(labels)
    # Without a key there is no history: such rows go anywhere, not all to one place.
    home: Column = f.coalesce(f.col(part.entity), f.concat(f.lit("\0"), f.col("row").cast("string")))
    schema = t.StructType([*seen.schema.fields, *(t.StructField(name, t.DoubleType()) for name in part.features)])
    names = [field.name for field in seen.schema.fields]
    at_home = both.repartition(home).sortWithinPartitions("order_us", "is_transaction", "row")
    return at_home.mapInArrow(_folder(part, names, shared), schema)


def _folder(part: Part, names: list[str], shared: Shared) -> Callable[[Batches], Batches]:
    document = json.loads(part.plan)

    def fold(batches: Batches) -> Batches:
        folder = engine.Folder(part.plan, shared.hash_key, shared.complete_since_us)
        own = [*_OWN, *document["entities"], *document["numbers"]]

        def take(rows: pa.RecordBatch) -> Any:
            given = pa.array(folder.fold(rows.select(own), precision="float64"))
            return given.flatten().to_numpy(zero_copy_only=True).reshape(-1, len(part.features))

        for batch in batches:
            is_transaction = batch["is_transaction"].to_numpy()
            wide = np.full((int(is_transaction.sum()), len(part.features)), np.nan)
            place = 0
            for begin, end in _runs(is_transaction):
                piece = batch.slice(begin, end - begin)
                if not is_transaction[begin]:
                    _label(folder, piece, document)
                    continue
                beyond = piece["beyond"].to_numpy(zero_copy_only=False)
                into = wide[place : place + len(beyond)]
                into[~beyond] = take(piece.filter(pa.array(~beyond)))
                if beyond.any():
                    # A history of its own that holds nothing: what comes too late sees its own fields alone.
                    into[beyond] = _own_fields(part, piece.filter(pa.array(beyond)).select(own), document, shared)
                place += len(beyond)
            rows = batch.filter(pa.array(is_transaction == 1)).select(names)
            columns = {name: rows[name] for name in names}
            columns |= {name: pa.array(wide[:, at]) for at, name in enumerate(part.features)}
            yield pa.record_batch(columns)

    return fold


def _label(folder: "engine.Folder", piece: pa.RecordBatch, document: dict[str, Any]) -> None:
    subject = [name for name in (*_OWN, *document["entities"]) if name not in ("amount_minor", "utc_offset_minutes")]
    labels = piece.select([*subject, "fraud"]).append_column("arrival_us", piece["order_us"])
    nothing = piece.select([*_OWN, *document["entities"], *document["numbers"]]).slice(0, 0)
    folder.fold(pa.Table.from_batches([nothing]), labels)


def _own_fields(part: Part, rows: pa.RecordBatch, document: dict[str, Any], shared: Shared) -> Any:
    keyless = rows
    for name in document["entities"]:
        at = keyless.schema.get_field_index(name)
        keyless = keyless.set_column(at, name, pa.nulls(rows.num_rows, pa.string()))
    folder = engine.Folder(part.plan, shared.hash_key, shared.complete_since_us)
    given = pa.array(folder.fold(keyless, precision="float64"))
    return given.flatten().to_numpy(zero_copy_only=True).reshape(-1, len(part.features))


def scored(rows: DataFrame, program: Program) -> DataFrame:
    """With what the program's model and policy answer to each row in full."""
    if program.model is None:
        raise ValueError(f"program {program.name} has no model to score with")
    plan, policy, model, names = program.plan.json, program.policy, program.model, list(program.plan.features)

    def score(batches: Batches) -> Batches:
        scorer = engine.Scorer(plan, policy, model, onnxruntime=str(engine.onnxruntime_library()))
        for batch in batches:
            answered = in_words(pa.record_batch(scorer.score(batch.select(names))))
            yield pa.record_batch(
                {name: batch[name] for name in batch.schema.names}
                | {name: answered[name] for name in answered.schema.names}
            )

    words = [t.StructField(name, t.StringType()) for name in ("verdict", "policy_verdict")]
    numbers = [t.StructField(name, t.DoubleType()) for name in ("fraud_probability", "risk_score")]
    return rows.mapInArrow(score, t.StructType([*rows.schema.fields, *numbers, *words]))
