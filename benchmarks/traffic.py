"""The transactions of the serving benchmarks, as columns: the same draws as `load/src/traffic.rs` makes.

The history that every server starts from is numbered from 0, and the load goes on from there. They resemble the
Fraud Detection Handbook's: 9,600 transactions a day of 4,990 customers at 10,000 terminals, event time advancing.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

CUSTOMERS: Final = 4_990
TERMINALS: Final = 10_000
HIGHEST_AMOUNT_MINOR: Final = 12_000
START_US: Final = 1_522_540_800_000_000  # 2018-04-01
COMPLETE_SINCE_US: Final = START_US - 1
DAY_US: Final = 86_400_000_000
STEP_US: Final = 9_000_000
A_DAY: Final = DAY_US // STEP_US

# Frauds, as two of the Handbook's scenarios: high amounts, and terminals that are compromised for four weeks.
FRAUD_ABOVE_MINOR: Final = 11_900
COMPROMISED_SHARE: Final = 0.01
COMPROMISED_DAYS: Final = 28
LABEL_DELAY_US: Final = 2 * DAY_US


class Span(NamedTuple):
    """How many transactions, and the time from one to the next."""

    transactions: int
    step_us: int = STEP_US

    @classmethod
    def of(cls, days: int, a_day: int = A_DAY) -> Span:
        """So many days of so many each."""
        return cls(days * a_day, DAY_US // a_day)


def history(span: Span) -> tuple[pa.Table, pa.Table]:
    """Its transactions, and their labels, as the engine folds them: see `engine.Folder`."""
    numbers = np.arange(span.transactions, dtype=np.uint64)
    customer = (np.sqrt(_unit(numbers, 1)) * CUSTOMERS).astype(np.int64)
    terminal = (_unit(numbers, 2) * TERMINALS).astype(np.int64)
    amount = (_unit(numbers, 3) * HIGHEST_AMOUNT_MINOR).astype(np.int64)
    event_time = START_US + numbers.astype(np.int64) * span.step_us
    transactions = pa.table(
        {
            "transaction_id": [f"bench-{number:012}" for number in range(len(numbers))],
            "event_time_us": event_time,
            "customer": pa.array(customer).cast(pa.string()),
            "terminal": pa.array(terminal).cast(pa.string()),
            "amount_minor": amount,
        }
    )
    period = (event_time - START_US) // (COMPROMISED_DAYS * DAY_US)
    compromised = _unit((terminal + TERMINALS * period).astype(np.uint64), 0) < COMPROMISED_SHARE
    fraud = compromised | (amount > FRAUD_ABOVE_MINOR)
    frauds = transactions.drop_columns("amount_minor").filter(pa.array(fraud))
    arrival = pa.array(frauds["event_time_us"].to_numpy() + LABEL_DELAY_US)
    labels = frauds.append_column("arrival_us", arrival).append_column("fraud", pa.array(np.ones(len(frauds), bool)))
    return transactions, labels


def _unit(numbers: npt.NDArray[np.uint64], purpose: int) -> npt.NDArray[np.float64]:
    """An even draw from [0, 1) that belongs to a number and a purpose (SplitMix64: Steele, Lea, Flood 2014)."""
    z = (numbers << np.uint64(2) | np.uint64(purpose)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return ((z ^ z >> np.uint64(31)) >> np.uint64(11)).astype(np.float64) / 2.0**53
