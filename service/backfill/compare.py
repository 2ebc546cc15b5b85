"""Two answers to the same rows: which verdicts flip, in which segment, and how much money stands behind them."""

from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# Major units are the reader's: bounds are minor units.
_BANDS: Final = (1_000, 10_000, 100_000)


def compare(before: Path, after: Path, by: tuple[str, ...]) -> pa.Table:
    """Rows whose verdict differs, counted and summed.

    before, after: outputs over the same rows. by: columns of `before` that make a segment, or `amount_band`.
    Returns the segment's columns, `before`, `after`, `rows`, `amount_minor`, and of the rows that are known frauds,
    where labels stand beside, `frauds` and `fraud_amount_minor`; sorted.
    Raises ValueError where the outputs are not of the same rows, or a column is not there.
    """
    one, other = _read(before), _read(after)
    if not one["row"].equals(other["row"]):
        raise ValueError(f"{before} and {after} are not answers to the same rows")
    flipped = _flipped(one, other)
    rows = one.append_column("before", one["verdict"]).append_column("after", other["verdict"]).filter(flipped)
    amounts = rows["amount_minor"] if "amount_minor" in rows.column_names else pa.nulls(len(rows), pa.int64())
    # Classes 1 to 3 are frauds of some kind; feedback.proto names them.
    fraud = (
        pc.fill_null(pc.less_equal(rows["label_class"], 3), False)
        if "label_class" in rows.column_names
        else pa.repeat(pa.scalar(False), len(rows))
    )
    measured = pa.table(
        {name: _segment(rows, name, amounts) for name in by}
        | {
            "before": rows["before"],
            "after": rows["after"],
            "amount_minor": amounts,
            "fraud": fraud.cast(pa.int64()),
            "fraud_amount_minor": pc.if_else(fraud, amounts, 0),
        }
    )
    keys = [*by, "before", "after"]
    sums = [("amount_minor", "sum"), ("fraud", "sum"), ("fraud_amount_minor", "sum"), ([], "count_all")]
    grouped = measured.group_by(keys).aggregate(sums).sort_by([(key, "ascending") for key in keys])
    return pa.table(
        {key: grouped[key] for key in keys}
        | {
            "rows": grouped["count_all"],
            "amount_minor": grouped["amount_minor_sum"],
            "frauds": grouped["fraud_sum"],
            "fraud_amount_minor": grouped["fraud_amount_minor_sum"],
        }
    )


def totals(before: Path, after: Path) -> tuple[int, int]:
    """How many rows there are, and how many of them flip."""
    one, other = _read(before), _read(after)
    return len(one), int(pc.sum(_flipped(one, other)).as_py() or 0)


def _flipped(one: pa.Table, other: pa.Table) -> pa.ChunkedArray:
    """Which verdicts differ. No verdict is one as well as any."""
    return pc.not_equal(*(pc.fill_null(each["verdict"], "") for each in (one, other)))


def _read(folder: Path) -> pa.Table:
    files = sorted(folder.glob("part-*.parquet"))
    if not files:
        raise ValueError(f"{folder} holds no answers")
    names = pq.read_schema(files[0]).names
    if "verdict" not in names:
        raise ValueError(f"{folder} holds no verdicts: features are scored by fraudgate rescore")
    table = pa.concat_tables([pq.read_table(file) for file in files])
    # What was seen again was answered before.
    return table.filter(pc.invert(table["replayed"])) if "replayed" in names else table


def _segment(rows: pa.Table, name: str, amounts: pa.ChunkedArray) -> pa.Array:
    if name == "amount_band":
        named = pa.nulls(len(rows), pa.string())
        for bound in reversed(_BANDS):
            named = pc.if_else(pc.less(amounts, bound), f"< {bound:,}", named)
        return pc.if_else(pc.and_(pc.is_null(named), pc.is_valid(amounts)), f">= {_BANDS[-1]:,}", named)
    if name not in rows.column_names:
        raise ValueError(f"there is no column {name}; there are {', '.join(rows.column_names)}, and amount_band")
    return rows[name]
