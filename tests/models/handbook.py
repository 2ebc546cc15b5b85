"""The Handbook's published rows as a `TrainingSet`: the transactions with the 14 features its authors computed."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pyarrow import parquet

from models.prequential import Fold
from models.training_set import TrainingSet

FEATURES = (
    "TX_AMOUNT",
    "TX_DURING_WEEKEND",
    "TX_DURING_NIGHT",
    *(f"CUSTOMER_ID_{what}_{days}DAY_WINDOW" for days in (1, 7, 30) for what in ("NB_TX", "AVG_AMOUNT")),
    *(f"TERMINAL_ID_{what}_{days}DAY_WINDOW" for days in (1, 7, 30) for what in ("NB_TX", "RISK")),
)
BEGINNING = datetime(2018, 4, 1, tzinfo=UTC)


def midnight_us(month: int, day: int) -> int:
    return int(datetime(2018, month, day, tzinfo=UTC).timestamp()) * 1_000_000


CHAPTER_3 = Fold(midnight_us(7, 25))


def read_history(data: Path) -> TrainingSet:
    """2018-06-20 .. 2018-09-04, in arrival order; customers stand for cards."""
    published = parquet.read_table(data / "handbook_features_golden.parquet")
    raw = parquet.read_table(
        data / "handbook_raw_dev.parquet",
        columns=["TRANSACTION_ID", "TX_TIME_SECONDS", "CUSTOMER_ID", "TX_AMOUNT", "TX_FRAUD"],
    )
    table = published.join(raw, "TRANSACTION_ID", join_type="inner").sort_by("TRANSACTION_ID")
    rows = np.column_stack([table[name].to_numpy().astype(np.float32) for name in FEATURES])
    seconds = int(BEGINNING.timestamp()) + table["TX_TIME_SECONDS"].to_numpy().astype(np.int64)
    return TrainingSet(
        rows=rows,
        fraud=table["TX_FRAUD"].to_numpy() == 1,
        event_time_us=seconds * 1_000_000,
        card=table["CUSTOMER_ID"].to_numpy(),
        feature_names=FEATURES,
        plan_digest=hashlib.sha256("\n".join(FEATURES).encode()).hexdigest(),
    )
