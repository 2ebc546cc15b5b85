"""What a model learns from: feature rows as the engine saw them, with what became of each transaction.

Everything after this file takes rows from a `TrainingSet` and never recomputes a feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float32]
Labels = npt.NDArray[np.bool_]
Times = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

DAY_US = 86_400_000_000


class PlanMismatch(ValueError):
    """Rows or models that were made under different feature plans met each other."""


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Transactions with their features and labels, in arrival order.

    rows: float32 [n, f], columns in plan order, as the engine saw them; NaN is a missing value.
    fraud: bool [n], the label as far as it is known; `Sets.at` drops the column where labels are still on their way.
    event_time_us: int64 [n], Unix microseconds.
    card: [n], any dtype that compares for equality: the entity of card precision.
    feature_names: f distinct names, in plan order.
    plan_digest: the feature plan's SHA-256, 64 lower-case hex digits.
    Raises ValueError when a shape or dtype differs.
    """

    rows: Rows
    fraud: Labels
    event_time_us: Times
    card: npt.NDArray[Any]
    feature_names: tuple[str, ...]
    plan_digest: str

    def __post_init__(self) -> None:
        if self.rows.ndim != 2 or self.rows.dtype != np.float32:
            raise ValueError(f"rows must be float32 [n, f], got {self.rows.dtype} {self.rows.shape}")
        n, f = self.rows.shape
        for name, column, dtype in (("fraud", self.fraud, np.bool_), ("event_time_us", self.event_time_us, np.int64)):
            if column.shape != (n,) or column.dtype != dtype:
                raise ValueError(f"{name} must be {np.dtype(dtype)} [{n}], got {column.dtype} {column.shape}")
        if self.card.shape != (n,):
            raise ValueError(f"card must have shape [{n}], got {self.card.shape}")
        if len(set(self.feature_names)) != f or len(self.feature_names) != f:
            raise ValueError(f"{f} distinct feature names are needed, got {len(self.feature_names)}")
        if len(self.plan_digest) != 64 or not set(self.plan_digest) <= set("0123456789abcdef"):
            raise ValueError("plan_digest must be 64 lower-case hex digits (SHA-256)")

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, chosen: Mask) -> TrainingSet:
        """The transactions where `chosen` (bool [n]) holds, in the same order."""
        return TrainingSet(
            self.rows[chosen],
            self.fraud[chosen],
            self.event_time_us[chosen],
            self.card[chosen],
            self.feature_names,
            self.plan_digest,
        )

    def between(self, from_us: int, to_us: int) -> TrainingSet:
        """The transactions of event time in [from_us, to_us)."""
        return self.where((self.event_time_us >= from_us) & (self.event_time_us < to_us))


def same_plan(sets: Sequence[TrainingSet]) -> None:
    """Raises PlanMismatch unless all sets have one plan digest and one list of feature names."""
    if len({(each.plan_digest, each.feature_names) for each in sets}) > 1:
        digests = ", ".join(sorted({each.plan_digest[:12] for each in sets}))
        raise PlanMismatch(f"the sets come from different feature plans ({digests}): export them again under one plan")
