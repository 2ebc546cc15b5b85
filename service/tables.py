"""Tables of transactions and labels as the engine takes them, read from Parquet.

Transactions: event_time_us, transaction_id, a column for each entity of the plan, amount_minor in the program's
currency, and as they are there kind, utc_offset_minutes and numbers; `fraud` (bool) where it is known what became of
them. Labels: arrival_us, event_time_us, transaction_id, entities, kind, fraud; sorted by arrival. The Handbook's raw
transactions are known by their own column names.
"""

import json
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features import CompiledPlan, handbook
from fraudgate.v1 import feedback_pb2

DAY_US: Final = 86_400_000_000
# What a label repeats of its transaction is all but these.
_NOT_OF_A_SUBJECT: Final = {"amount_minor", "currency", "utc_offset_minutes", "fraud", "scenario"}


class Tables(NamedTuple):
    """What happened, in order of event time, and what became known of it, in order of arrival."""

    transactions: pa.Table
    labels: pa.Table

    def before(self, moment_us: int) -> "Tables":
        """What had happened and was known before a moment."""
        return Tables(
            self.transactions.filter(pc.less(self.transactions["event_time_us"], moment_us)),
            self.labels.filter(pc.less(self.labels["arrival_us"], moment_us)),
        )


def read(transactions: Path, labels: Path | None, delay_days: int) -> Tables:
    """The tables of two files; without labels, each fraud becomes known `delay_days` after it happened.

    Raises ValueError for a file that is no such table, or is not in order.
    """
    happened = _read(transactions, ["event_time_us", "transaction_id", "amount_minor"])
    if labels is not None:
        known = _read(labels, ["arrival_us", "event_time_us", "transaction_id", "fraud"])
    elif "fraud" in happened.column_names:
        known = labels_after(happened, delay_days * DAY_US)
    else:
        raise ValueError(f"{transactions} has no column fraud: give the labels as a table of their own")
    for path, table, column in ((transactions, happened, "event_time_us"), (labels, known, "arrival_us")):
        if (np.diff(table[column].to_numpy()) < 0).any():
            raise ValueError(f"{path} is not in order of {column}: sort it")
    return Tables(happened, known)


def labels_after(transactions: pa.Table, delay_us: int) -> pa.Table:
    """A label for each fraud, `delay_us` after it happened."""
    frauds = transactions.filter(transactions["fraud"])
    arrival_us = pc.add(frauds["event_time_us"], delay_us)
    subject = [name for name in frauds.column_names if name not in _NOT_OF_A_SUBJECT]
    return frauds.select(subject).add_column(0, "arrival_us", arrival_us).append_column("fraud", frauds["fraud"])


class Features(NamedTuple):
    """What `fraudgate features` wrote: what happened and became known, and the rows that transactions saw."""

    tables: Tables
    rows: npt.NDArray[np.float32]

    def before(self, moment_us: int) -> "Features":
        """What had happened and was known before a moment."""
        happened = self.tables.transactions["event_time_us"].to_numpy() < moment_us
        return Features(self.tables.before(moment_us), self.rows[happened])


def holds_features(path: Path) -> bool:
    """Whether a folder is an output of `fraudgate features` or `fraudgate backfill`."""
    return (path / "manifest.json").is_file()


def read_features(folder: Path, plan: CompiledPlan, labels: Path | None) -> Features:
    """The features of a folder; without labels of their own, those that stood beside the transactions.

    Raises ValueError where the folder is not finished, holds no features, or was made under another plan.
    """
    manifest = json.loads((folder / "manifest.json").read_text())
    if not manifest["done"]:
        raise ValueError(f"{folder} is not finished: go on with it by --resume")
    if manifest["job"]["plan_digest"] != plan.digest:
        raise ValueError(f"{folder} was made under another plan, {manifest['job']['plan_digest'][:12]}")
    document = json.loads(plan.json)
    card = f"key.{document['entities'][0]}"
    parts = pa.concat_tables([pq.read_table(folder / part["file"]) for part in manifest["parts"]])
    missing = [name for name in (card, *plan.features) if name not in parts.column_names]
    if missing:
        raise ValueError(f"{folder} has no column {missing[0]}: make it by fraudgate features")
    # A retransmission saw nothing.
    parts = parts.filter(pc.invert(parts["replayed"]))
    happened = pa.table(
        {
            "transaction_id": parts["transaction_id"],
            "event_time_us": parts["event_time"].cast(pa.int64()),
            document["entities"][0]: parts[card].cast(pa.binary()),
        }
    )
    if labels is not None:
        known = _read(labels, ["arrival_us", "event_time_us", "transaction_id", "fraud"])
    elif "label_class" in parts.column_names:
        known = _labels_beside(parts, document["fraud"])
    else:
        raise ValueError(f"{folder} holds no labels: give them as a table of their own")
    rows = np.column_stack([parts[name].to_numpy().astype(np.float32) for name in plan.features])
    return Features(Tables(happened, known), rows)


def _labels_beside(parts: pa.Table, fraud: list[str]) -> pa.Table:
    """What was told beside the transactions, in the order of its arrival."""
    told = parts.filter(pc.is_valid(parts["label_class"]))
    classes = pa.array([feedback_pb2.LabelClass.Value(f"LABEL_CLASS_{name.upper()}") for name in fraud], pa.int8())
    labels = pa.table(
        {
            "arrival_us": told["label_order_us"],
            "event_time_us": told["event_time"].cast(pa.int64()),
            "transaction_id": told["transaction_id"],
            "fraud": pc.is_in(told["label_class"], classes),
        }
    )
    return labels.sort_by("arrival_us")


def known_frauds(tables: Tables, moment_us: int) -> npt.NDArray[np.bool_]:
    """For each transaction whether it is labelled a fraud at that moment: its last label counts."""
    labels = tables.labels.filter(pc.less(tables.labels["arrival_us"], moment_us))
    ids = labels["transaction_id"].to_numpy()
    _, first_from_the_end = np.unique(ids[::-1], return_index=True)
    last = labels.take(pa.array(len(ids) - 1 - first_from_the_end))
    frauds = last.filter(pc.fill_null(last["fraud"], False))["transaction_id"].combine_chunks()
    known: npt.NDArray[np.bool_] = pc.is_in(tables.transactions["transaction_id"], frauds).to_numpy()
    return known


def _read(path: Path, needed: list[str]) -> pa.Table:
    try:
        published = "TX_DATETIME" in pq.read_schema(path).names
        table = _of_handbook(path) if published else pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is not Parquet: {error}") from None
    missing = [name for name in needed if name not in table.column_names]
    if missing:
        raise ValueError(f"{path} has no column {', '.join(missing)}; it has {', '.join(table.column_names)}")
    return table


def _of_handbook(path: Path) -> pa.Table:
    """The raw transactions of the Fraud Detection Handbook, and whether they are frauds."""
    transactions, labels = handbook.read(path)
    fraud = pc.is_in(transactions["transaction_id"], labels["transaction_id"].combine_chunks())
    return transactions.append_column("fraud", fraud)
