"""What an input is read in by many: its pieces, how many rows each has, since when, and where the order may be cut."""

import pickle
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as ds
from pyspark.sql import DataFrame, SparkSession

import engine
from service.backfill import mapping as mappings
from service.backfill.mapping import Holds
from service.backfill.source import Source, scan
from service.backfill.spark.session import Batches, Walk, in_spark

# Of so many rows one is looked at to cut the order.
_SAMPLED: Final = 256
_SURVEYED: Final = pa.schema(
    {"piece": pa.int64(), "rows": pa.int64(), "begins_us": pa.int64(), "orders": pa.list_(pa.int64())}
)


class Pieces(NamedTuple):
    """What a table is read in, sent with tasks. first_rows: the number of each piece's first row, from 1."""

    holds: Holds
    fragments: list[bytes]
    schema: pa.Schema
    compiled: bytes
    first_rows: tuple[int, ...] = ()

    def fragment(self, piece: int) -> ds.Fragment:
        """A piece."""
        return pickle.loads(self.fragments[piece])

    def read(self, piece: int, holds: Holds) -> Batches:
        """The rows of a piece, with the columns that are read of it."""
        return scan(self.fragment(piece), self.schema, mappings.columns(self.compiled, holds))

    def each(self, spark: SparkSession) -> DataFrame:
        """A row a piece, in a task of its own."""
        return spark.range(0, len(self.fragments), 1, len(self.fragments))


class Survey(NamedTuple):
    """What is known of the transactions before they are read: how many, since when, and a sample of their order."""

    rows: int
    begins_us: int
    orders: npt.NDArray[np.int64]

    def cuts(self, buckets: int) -> npt.NDArray[np.int64]:
        """Places in the order between which about as many rows lie; they make at most so many buckets."""
        if len(self.orders) == 0:
            return self.orders
        return np.unique(self.orders[np.arange(1, buckets) * len(self.orders) // buckets])


def cut(source: Source, holds: Holds, compiled: bytes) -> Pieces:
    """A source in pieces. Raises ValueError for a column that is not there."""
    source.require(mappings.columns(compiled, holds))
    return Pieces(holds, [pickle.dumps(piece) for piece in source.pieces()], source.schema, compiled)


def survey(spark: SparkSession, source: Source, pieces: Pieces) -> tuple[Pieces, Survey]:
    """Look at the times of all rows; of what is told apart, count them only. The source learns where files begin."""
    found = pieces.each(spark).mapInArrow(_look(pieces), in_spark(_SURVEYED)).toArrow().sort_by("piece")
    rows = found["rows"].to_numpy()
    source.counted([int(each) for each in rows])
    begins = [each for each in found["begins_us"].to_pylist() if each is not None]
    orders = np.sort(np.concatenate([np.array(each, np.int64) for each in found["orders"].to_pylist()]))
    first_rows = np.cumsum(rows, dtype=np.int64) - rows + 1
    return (
        pieces._replace(first_rows=tuple(int(row) for row in first_rows)),
        Survey(int(rows.sum()), min(begins, default=1), orders),
    )


def _look(pieces: Pieces) -> Walk:
    def look(asked: Batches) -> Batches:
        mapping = engine.Mapping(pieces.compiled)
        for piece in (each for batch in asked for each in batch["id"].to_pylist()):
            rows, begins_us, sample = 0, None, [np.empty(0, np.int64)]
            if pieces.holds != "transactions":
                rows = pieces.fragment(piece).count_rows()
            else:
                for batch in pieces.read(piece, "order"):
                    rows += batch.num_rows
                    mapped = pa.record_batch(mapping.map("order", batch, 1)[0])
                    taken = mapped.filter(mapped["taken"])
                    if taken.num_rows:
                        least = int(taken["event_time_us"].to_numpy().min())
                        begins_us = least if begins_us is None else min(begins_us, least)
                        sample.append(taken["order_us"].to_numpy()[::_SAMPLED])
            yield pa.record_batch([[piece], [rows], [begins_us], [np.concatenate(sample)]], schema=_SURVEYED)

    return look
