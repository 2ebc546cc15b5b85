"""From tables to a bundle that can be served: fold through the engine, train, certify, calibrate, write.

The rows that a model learns from are those that the engine makes, so that what is served is what was learnt.
"""

import importlib
import json
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from features import CompiledPlan, Plan
from features.fold import fold as features_of
from fraudgate import microseconds
from models.manifest import Bundle
from models.spec import ModelSpec
from models.train import Sets, train
from models.training_set import Rows, TrainingSet
from service.tables import DAY_US, Tables, known_frauds


class Periods(NamedTuple):
    """What is learnt from: days before now whose labels are known, and how long a label takes to be known."""

    training_days: int = 7
    held_out_days: int = 7
    delay_days: int = 7


def plan(name: str) -> CompiledPlan:
    """The plan of that name: `handbook`, a `module:attribute`, or the path of a compiled plan (.json).

    Raises ValueError when there is none.
    """
    if name.endswith(".json"):
        compiled = Path(name).read_bytes()
        return CompiledPlan(compiled, tuple(feature["name"] for feature in json.loads(compiled)["features"]))
    module, colon, attribute = ("features.handbook", ":", "PLAN") if name == "handbook" else name.partition(":")
    if not colon:
        raise ValueError(f"no plan {name!r}: write handbook, module:attribute, or the path of a compiled plan (.json)")
    try:
        declared = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"no plan {name!r}: {error}") from None
    if not isinstance(declared, Plan):
        raise ValueError(f"no plan {name!r}: {attribute} is {type(declared).__name__}, not features.Plan")
    return declared.compile()


def entities(plan: CompiledPlan) -> tuple[str, ...]:
    """Names of the entities whose history the plan reads; the first one is the card of card precision."""
    return tuple(json.loads(plan.json)["entities"])


def fold(plan: CompiledPlan, tables: Tables) -> Rows:
    """The features that each transaction saw: float32 [n, f]. Nothing happened before the first transaction."""
    times = tables.transactions["event_time_us"]
    begins_us = times[0].as_py() if len(times) else 0
    rows: Rows = features_of(plan, tables.transactions, tables.labels, complete_since_us=begins_us - 1)
    return rows


def training_set(plan: CompiledPlan, rows: Rows, tables: Tables, fraud: npt.NDArray[np.bool_]) -> TrainingSet:
    """The transactions with their features and what is taken as known of them."""
    return TrainingSet(
        rows=rows,
        fraud=fraud,
        event_time_us=tables.transactions["event_time_us"].to_numpy(),
        card=tables.transactions[entities(plan)[0]].to_numpy(),
        feature_names=plan.features,
        plan_digest=plan.digest,
    )


def trained(plan: CompiledPlan, rows: Rows, tables: Tables, now_us: int, periods: Periods, spec: ModelSpec) -> Bundle:
    """The model of what is known at `now_us`. Raises ValueError where there is too little, and what models/ raises."""
    history = training_set(plan, rows, tables, known_frauds(tables, now_us))
    sets = Sets.at(history, now_us, periods.delay_days, periods.training_days, periods.held_out_days)
    for name, days, size in (
        ("training", periods.training_days, len(sets.training)),
        ("held-out", periods.held_out_days, len(sets.held_out)),
        ("newest", periods.delay_days, len(sets.recent)),
    ):
        if size == 0:
            raise ValueError(f"the {days} {name} days hold no transaction: give more history, or another --now")
    return train(sets, spec)


def now_us(tables: Tables, now: datetime | None) -> int:
    """The moment that a training stands at: as stated, or the midnight (UTC) after the last transaction."""
    if now is not None:
        return microseconds(now)
    if tables.transactions.num_rows == 0:
        raise ValueError("the table holds no transaction")
    last: int = pc.max(tables.transactions["event_time_us"]).as_py()
    return (last // DAY_US + 1) * DAY_US


def write(bundle: Bundle, plan: CompiledPlan, folder: Path) -> str:
    """Put the compiled plan and the bundle at `folder`, as plan.json and model/; returns the model's digest.

    Raises FileExistsError when a bundle is there: one never changes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # A bundle is there whole or not at all: where it is, all is.
    (folder / "plan.json").write_bytes(plan.json)
    return bundle.write(folder / "model")
