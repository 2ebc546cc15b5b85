"""Rows of features for tables of transactions, computed by the engine as it computes them when it serves."""

import secrets
from typing import Any, Literal

import numpy.typing as npt
import pyarrow as pa

from engine import fold as fold_whole
from features.plan import CompiledPlan


def fold(
    plan: CompiledPlan,
    transactions: Any,
    labels: Any = None,
    *,
    complete_since_us: int,
    precision: Literal["float32", "float64"] = "float32",
) -> npt.NDArray[Any]:
    """Fold tables into an empty history and give what each transaction saw.

    transactions, labels: anything that speaks Arrow's PyCapsule protocol; columns as for `engine.Folder.fold`.
    complete_since_us: microseconds since 1970; what happened through this moment is unknown.
    Returns [n, f] in plan order; NaN where a feature has no value.
    Raises ValueError for tables that do not fit the plan.
    """
    rows = fold_whole(
        plan.json,
        secrets.token_bytes(32),
        transactions,
        labels,
        complete_since_us=complete_since_us,
        precision=precision,
    )
    return to_numpy(rows, len(plan.features))


def to_numpy(rows: Any, features: int) -> npt.NDArray[Any]:
    """The engine's rows as [n, f], without a copy."""
    values: npt.NDArray[Any] = pa.array(rows).flatten().to_numpy(zero_copy_only=True)
    return values.reshape(-1, features)
