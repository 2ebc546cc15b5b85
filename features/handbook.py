"""The features of the Fraud Detection Handbook, and its transactions as tables.

Source: Le Borgne, Siblini, Lebichot, Bontempi, Reproducible Machine Learning for Credit Card Fraud Detection, 2022,
chapter 3 (https://fraud-detection-handbook.github.io). Amounts are taken as euros; times as UTC.
"""

from datetime import UTC, datetime, timedelta
from os import PathLike
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.feature import Amount, Count, Feature, Mean, Night, Risk, Weekend, days
from features.plan import Plan

LABEL_DELAY: Final = days(7)
"""A fraud is known seven days after it happened."""

COMPLETE_SINCE_US: Final = int(datetime(2018, 4, 1, tzinfo=UTC).timestamp()) * 1_000_000 - 1
"""The simulation begins on 2018-04-01; nothing happened before."""

WINDOWS: Final = (1, 7, 30)


class Tables(NamedTuple):
    """Transactions in order of arrival, and labels of the frauds in order of theirs, as `engine.Folder` takes them."""

    transactions: pa.Table
    labels: pa.Table


def _customer(window: int) -> list[Feature]:
    name, over = f"{window}DAY_WINDOW", days(window)
    return [
        Count(f"CUSTOMER_ID_NB_TX_{name}", entity="customer", window=over, inclusive=True),
        Mean(f"CUSTOMER_ID_AVG_AMOUNT_{name}", entity="customer", window=over, inclusive=True),
    ]


def _terminal(window: int) -> list[Feature]:
    name, over = f"{window}DAY_WINDOW", days(window)
    return [
        Count(f"TERMINAL_ID_NB_TX_{name}", entity="terminal", window=over, delay=LABEL_DELAY),
        Risk(f"TERMINAL_ID_RISK_{name}", entity="terminal", window=over, delay=LABEL_DELAY),
    ]


PLAN: Final = Plan(
    name="handbook",
    currency="EUR",
    entities=("customer", "terminal"),
    features=[
        Amount("TX_AMOUNT"),
        Weekend("TX_DURING_WEEKEND"),
        Night("TX_DURING_NIGHT", through_hour=6),
        *(feature for window in WINDOWS for feature in _customer(window)),
        *(feature for window in WINDOWS for feature in _terminal(window)),
    ],
)
"""The 15 inputs of the Handbook's models."""


def read(path: str | PathLike[str]) -> Tables:
    """Read the Handbook's raw transactions (parquet, as published).

    Raises ValueError when an amount is no whole number of cents, or a time is missing.
    """
    columns = ["TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD"]
    raw = pq.read_table(path, columns=columns)
    amounts = raw["TX_AMOUNT"].to_numpy()
    cents = np.rint(amounts * 100)
    if not np.all(np.abs(amounts * 100 - cents) < 1e-6):
        raise ValueError("TX_AMOUNT holds amounts that are not whole cents")
    times = raw["TX_DATETIME"].to_numpy().astype("datetime64[us]").astype(np.int64)
    if raw["TX_DATETIME"].null_count:
        raise ValueError("TX_DATETIME holds nulls")
    transactions = pa.table(
        {
            "transaction_id": raw["TRANSACTION_ID"],
            "event_time_us": times,
            "customer": raw["CUSTOMER_ID"],
            "terminal": raw["TERMINAL_ID"],
            "amount_minor": cents.astype(np.int64),
        }
    )
    frauds = transactions.filter(pa.array(raw["TX_FRAUD"].to_numpy() == 1))
    arrivals = frauds["event_time_us"].to_numpy() + LABEL_DELAY // timedelta(microseconds=1)
    labels = frauds.drop_columns(["amount_minor"]).append_column("arrival_us", pa.array(arrivals))
    labels = labels.append_column("fraud", pa.array(np.ones(len(arrivals), dtype=bool)))
    return Tables(transactions, labels.sort_by("arrival_us"))
