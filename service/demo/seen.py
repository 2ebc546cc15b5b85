"""What is seen while the stream's demo plays: the PoP's counters, once a second; and what came of it at the end."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.dataset as ds
from rich.table import Table

from service.demo.configuration import CURRENCY, PROGRAM

Stats = Mapping[str, int]


class Seen(NamedTuple):
    """A moment of the play."""

    elapsed_s: float
    phase: str
    stats: Stats
    rate: float
    """Transactions answered a second, since the moment before."""


def waiting(stats: Stats) -> int:
    """Inputs behind the cursor of what is shipped: the spool."""
    return stats["journal_written"] - stats["rescore_shipped"]


def promised(stats: Stats) -> int:
    """Transactions of which a receipt said that they will be scored again."""
    return sum(stats[f"rescore_queued_{why}"] for why in ("control", "degraded", "uncertain"))


def degraded(stats: Stats) -> int:
    """Transactions that were not answered in full."""
    return sum(count for name, count in stats.items() if name.startswith(("answered_reduced", "answered_default")))


def money(minor: int) -> str:
    """Minor units as people write them."""
    return f"{minor / 100:,.2f} {CURRENCY}"


def table(moments: list[Seen]) -> Table:
    """The last moments, newest at the end."""
    shown = Table(title="A PoP, its broker and its cloud", title_justify="left")
    for column in ("s", "phase", "per s", "degraded", "promised", "spool", "back", "reversed"):
        shown.add_column(column, justify="left" if column == "phase" else "right")
    for seen in moments[-16:]:
        stats = seen.stats
        shown.add_row(
            f"{seen.elapsed_s:.0f}",
            seen.phase,
            f"{seen.rate:,.0f}",
            f"{degraded(stats):,}",
            f"{promised(stats):,}",
            f"{waiting(stats):,}",
            f"{stats[f'rescored.{PROGRAM}']:,}",
            money(stats[f"rescore_reversed_minor.{PROGRAM}"]),
        )
    return shown


class Kept(NamedTuple):
    """What the lake holds."""

    rows: int
    twice: int


def kept(lake: Path) -> Kept:
    """How many rows there are, and how many stand in it more than once."""
    held = ds.dataset(lake, format="parquet", partitioning="hive").to_table(["epoch", "sequence"])
    alone = held.group_by(["epoch", "sequence"]).aggregate([]).num_rows
    return Kept(held.num_rows, held.num_rows - alone)


def changes(lake: Path) -> Table:
    """What the edge's policy said and what it says with the teacher's score: how many, and of how much money."""
    columns = ["tier", "policy_verdict", "rescored_verdict", "reference_amount_minor"]
    held = ds.dataset(lake, format="parquet", partitioning="hive").to_table(columns)
    held = pa.table({name: held[name].cast(pa.string()) for name in columns[:3]} | {"minor": held[columns[3]]})
    summed = held.group_by(columns[:3]).aggregate([("minor", "count"), ("minor", "sum")])
    shown = Table(title="\nWhat the cloud changed", title_justify="left")
    for column in ("answered", "at the edge", "in the cloud", "transactions", "money"):
        shown.add_column(column, justify="right" if column in ("transactions", "money") else "left")
    changed = [row for row in summed.to_pylist() if row["policy_verdict"] != row["rescored_verdict"]]
    for row in sorted(changed, key=lambda row: -row["minor_sum"]):
        shown.add_row(*(row[name] for name in columns[:3]), f"{row['minor_count']:,}", money(row["minor_sum"]))
    return shown


def result(stats: Stats, lake: Kept, live_rate: float, catch_up_rate: float) -> Table:
    """What was degraded, what was promised and kept, and what the cloud changed, in money."""
    shown = Table(title="\nAfter the outage", show_header=False, title_justify="left")
    shown.add_row("transactions answered", f"{stats['transactions']:,}")
    for name, count in sorted(stats.items()):
        if count and name.startswith(("answered_reduced", "answered_default")):
            tier, _, cause = name.removeprefix("answered_").partition("_")
            shown.add_row(f"  not in full: {tier}, because of {cause}", f"{count:,}")
    shown.add_row("  approved without a model's answer", money(stats[f"blind_approved_minor.{PROGRAM}"]))
    shown.add_row("promised to be scored again", f"{promised(stats):,}")
    for why in ("degraded", "uncertain", "control"):
        shown.add_row(f"  {why}", f"{stats[f'rescore_queued_{why}']:,}")
    shown.add_row("refused at the spool's bound", f"{stats['rescore_spool_full']:,}")
    shown.add_row("scored again and back", f"{stats[f'rescored.{PROGRAM}']:,}")
    shown.add_row("in the lake, of these twice", f"{lake.rows:,}, {lake.twice:,}")
    shown.add_row("inputs a second, live / catching up", f"{live_rate:,.0f} / {catch_up_rate:,.0f}")
    for way, told in (
        ("reversed", "approved here, declined by the cloud"),
        ("released", "declined here, approved there"),
    ):
        count, minor = stats[f"rescore_{way}.{PROGRAM}"], stats[f"rescore_{way}_minor.{PROGRAM}"]
        shown.add_row(f"{told}", f"{count:,}: {money(minor)}")
    return shown
