"""A simulated world's transactions and the labels that come after them: from a seed, at any scale, as tables.

Nothing here is fitted to real people. The frauds, and how often they happen, are those of `simulated_fraud`.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from service import simulated_fraud, simulated_world
from service.simulated_world import DAY_US, Ints, Rows, World

CURRENCY: Final = "EUR"
# Some frauds are never told, and some genuine payments are disputed by mistake and cleared up later.
REPORTED_SHARE: Final = 0.95
MISTAKEN_SHARE: Final = 2e-4


def _described(name: str, kind: pa.DataType, meaning: str, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"description": meaning})


_SUBJECT: Final = [
    _described("event_time_us", pa.int64(), "when it happened; microseconds since 1970-01-01T00:00:00Z"),
    _described("transaction_id", pa.int64(), "its own id, from 1 in order of event time"),
    _described("customer", pa.int64(), "who pays, from 0"),
    _described("terminal", pa.int64(), "where, from 0: shops, then ATMs, then web shops"),
    _described("kind", pa.string(), "purchase, or withdrawal at an ATM"),
]
TRANSACTIONS: Final = pa.schema(
    [
        *_SUBJECT,
        _described("amount_minor", pa.int64(), "amount in minor units of its currency"),
        _described("currency", pa.string(), "ISO 4217 alphabetic code"),
        _described("utc_offset_minutes", pa.int32(), "the customer's local time minus UTC"),
        _described("fraud", pa.bool_(), "what it is in truth, whether or not it is ever reported"),
        _described("scenario", pa.string(), "which rule of the simulator made it: never an input, it tells the label"),
    ]
)
"""Transactions, in order of event time."""
LABELS: Final = pa.schema(
    [
        _described("arrival_us", pa.int64(), "when it becomes known; microseconds since 1970-01-01T00:00:00Z"),
        *_SUBJECT,
        _described("fraud", pa.bool_(), "what it is said to be; null takes an earlier label back", nullable=True),
    ]
)
"""Labels, in order of arrival: each is an event of its own, about the transaction that its other columns repeat."""


@dataclass(frozen=True)
class Scale:
    """How large a world, and from when. A customer has about 1.9 transactions a day."""

    customers: int = 5_000
    terminals: int = 10_000
    days: int = 120
    start: date = date(2026, 1, 1)
    seed: int = 1

    def __post_init__(self) -> None:
        # With fewer terminals customers would have no choice of where to pay.
        for name, least in (("customers", 1), ("terminals", 100), ("days", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it is at least {least}")


def simulate(scale: Scale) -> tuple[pa.Table, pa.Table]:
    """The world's TRANSACTIONS and LABELS. The same scale gives the same rows.

    Each part draws from a stream of its own, so that a change of one does not move the others.
    """
    world_draw, *draws = (np.random.default_rng(seed) for seed in np.random.SeedSequence(scale.seed).spawn(7))
    world = simulated_world.settle(scale.customers, scale.terminals, world_draw)
    genuine = simulated_world.join(
        [
            simulated_world.everyday(world, scale.days, scale.start.weekday(), draws[0]),
            simulated_world.sprees(world, scale.days, draws[1]),
        ]
    )
    rows = simulated_world.join(
        [
            simulated_fraud.compromised_terminals(world, genuine, scale.days, draws[2]),
            simulated_fraud.stolen_cards(world, scale.days, draws[3]),
            simulated_fraud.account_takeovers(world, scale.days, draws[4]),
        ]
    )
    transactions = _transactions(scale, world, rows)
    return transactions, _labels(transactions, draws[5])


def write(folder: Path, transactions: pa.Table, labels: pa.Table) -> tuple[Path, Path]:
    """Both as Parquet in `folder`: transactions.parquet and labels.parquet."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "transactions.parquet", folder / "labels.parquet"
    for path, table in zip(paths, (transactions, labels), strict=True):
        pq.write_table(table, path, compression="zstd")
    return paths


def _transactions(scale: Scale, world: World, rows: Rows) -> pa.Table:
    began_us = int(datetime.combine(scale.start, datetime.min.time(), UTC).timestamp()) * 1_000_000
    offset = world.utc_offset_minutes[rows.customer]
    event_time_us = began_us + rows.local_us - offset * 60_000_000
    # A fraud may run past the last day; the world does not.
    kept = np.flatnonzero(rows.local_us < scale.days * DAY_US)
    order = kept[np.argsort(event_time_us[kept], kind="stable")]

    terminal = rows.terminal[order]
    atm = (terminal >= world.atms_from) & (terminal < world.online_from)
    amount = np.rint(rows.amount[order]).astype(np.int64)
    notes = np.maximum(1, np.rint(rows.amount[order] / 1_000)).astype(np.int64) * 1_000
    scenario = rows.scenario[order]
    columns: dict[str, Any] = {
        "event_time_us": event_time_us[order],
        "transaction_id": np.arange(1, len(order) + 1),
        "customer": rows.customer[order],
        "terminal": terminal,
        "kind": _named(atm, ("purchase", "withdrawal")),
        "amount_minor": np.where(atm, notes, amount),
        "currency": _named(np.zeros(len(order), np.int8), (CURRENCY,)),
        "utc_offset_minutes": offset[order].astype(np.int32),
        "fraud": scenario > 0,
        "scenario": _named(scenario, simulated_fraud.SCENARIOS),
    }
    return pa.table(columns, schema=TRANSACTIONS)


def _labels(transactions: pa.Table, draw: np.random.Generator) -> pa.Table:
    fraud = transactions["fraud"].to_numpy()
    n = len(fraud)
    told = np.flatnonzero(fraud & (draw.random(n) < REPORTED_SHARE))
    mistaken = np.flatnonzero(~fraud & (draw.random(n) < MISTAKEN_SHARE))
    arrival_us = transactions["event_time_us"].to_numpy() + _delay(n, 5.0, draw)
    cleared_us = arrival_us[mistaken] + _delay(len(mistaken), 4.0, draw)

    row = np.concatenate([told, mistaken, mistaken])
    arrival_us = np.concatenate([arrival_us[told], arrival_us[mistaken], cleared_us])
    withdrawn = np.arange(len(row)) >= len(told) + len(mistaken)
    order = np.argsort(arrival_us, kind="stable")
    subjects = transactions.select([column.name for column in _SUBJECT]).take(pa.array(row[order]))
    columns = {name: subjects[name] for name in subjects.column_names}
    columns |= {"arrival_us": arrival_us[order], "fraud": pa.array(np.ones(len(row), bool), mask=withdrawn[order])}
    return pa.table({name: columns[name] for name in LABELS.names}, schema=LABELS)


def _delay(n: int, median_days: float, draw: np.random.Generator) -> Ints:
    """How long people take to notice: log-normal, most within two weeks, some after two months."""
    delay: Ints = (draw.lognormal(np.log(median_days), 0.8, n) * DAY_US).astype(np.int64)
    return delay


def _named(index: Any, names: tuple[str, ...]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(index.astype(np.int8)), pa.array(names)).cast(pa.string())
