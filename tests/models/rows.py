"""Small made-up training sets, for what does not need the Handbook's rows."""

from __future__ import annotations

import numpy as np

from models.train import Sets
from models.training_set import DAY_US, TrainingSet

PLAN = "ab" * 32


def made_up(rows: int, seed: int, plan_digest: str = PLAN) -> TrainingSet:
    """Four columns, one with missing values; fraud follows the first two; spread over seven days."""
    random = np.random.default_rng(seed)
    columns = random.normal(size=(rows, 4)).astype(np.float32)
    columns[random.random(rows) < 0.2, 2] = np.nan
    return TrainingSet(
        rows=columns,
        fraud=columns[:, 0] + columns[:, 1] + random.normal(size=rows) > 2.5,
        event_time_us=np.sort(random.integers(0, 7 * DAY_US, rows)),
        card=random.integers(0, rows // 5 + 1, rows),
        feature_names=("amount", "risk", "age", "count"),
        plan_digest=plan_digest,
    )


def made_up_sets(seed: int = 0) -> Sets:
    return Sets(made_up(3000, seed), made_up(3000, seed + 1), made_up(3000, seed + 2).rows)
