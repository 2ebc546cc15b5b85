"""A session on a master, and what Spark says of a function that failed."""

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import types as t

Batches = Iterator[pa.RecordBatch]
Walk = Callable[[Batches], Batches]

_SETTINGS: Final = {
    # Partitions are chosen here, and a key's rows stay together.
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "16384",
    "spark.sql.session.timeZone": "UTC",
    "spark.executorEnv.ORT_DISABLE_TELEMETRY": "1",
}
_TYPES: Final = {
    pa.bool_(): t.BooleanType(),
    pa.int32(): t.IntegerType(),
    pa.int64(): t.LongType(),
    pa.float64(): t.DoubleType(),
    pa.string(): t.StringType(),
    pa.binary(): t.BinaryType(),
    pa.list_(pa.int64()): t.ArrayType(t.LongType()),
    pa.list_(pa.float64()): t.ArrayType(t.DoubleType()),
}
_SAID: Final = re.compile(r"^ValueError: (.+)$", re.MULTILINE)


def session(master: str, settings: dict[str, str]) -> SparkSession:
    """A session on a master, whose executors run this Python; it must lie at the same path on every worker.

    settings: Spark's own, by name; spark-defaults.conf says the rest.
    """
    # The driver names the executors' interpreter, and only by its environment.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    return SparkSession.builder.master(master).appName("fraudgate").config(map=_SETTINGS | settings).getOrCreate()


def in_spark(schema: pa.Schema) -> t.StructType:
    """The same columns as Spark names their types."""
    return t.StructType([t.StructField(field.name, _TYPES[field.type]) for field in schema])


def dotted(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch with its columns as the engine names them: Spark takes no dots, so they travel as colons."""
    return batch.rename_columns([name.replace(":", ".") for name in batch.schema.names])


def of_schema(columns: Mapping[str, pa.Array], rows: int, schema: pa.Schema) -> pa.RecordBatch:
    """A batch of exactly these columns; one that is not given is null."""
    given = [
        columns[field.name].cast(field.type) if field.name in columns else pa.nulls(rows, field.type)
        for field in schema
    ]
    return pa.record_batch(given, schema=schema)


@contextmanager
def told_by_name() -> Iterator[None]:
    """What a function says is wrong with the input is raised as it said it, without the way it came."""
    try:
        yield
    except PySparkException as error:
        said = _SAID.findall(str(error))
        if not said:
            raise
        raise ValueError(said[-1]) from error
