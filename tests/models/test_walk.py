"""What LightGBM grows and the project exports is walked by the engine, to the bits that ONNX Runtime gives."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
import pyarrow as pa
import pytest
from boosters import grown, rows_with_telling_values
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from features import Number, Plan
from models.export import INPUT, OUTPUT, export
from models.forest import forest, splits
from models.leaf_grid import on_leaf_grid
from models.manifest import Bundle
from models.scorer import Scorer
from models.train import Sets
from tests.scorer import made_server

POLICY = b'{"card_number_in_key":"hash","challenge":40.0,"decline":60.0,"format":1,"mode":"decide"}'
Walked = Callable[[bytes, Any], str]


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Walked:
    """Scores rows by a model in runs of 1, 7, 64 and 129, each to ONNX Runtime's bits, and says what ran it."""
    server = made_server(tmp_path_factory.mktemp("certificates"))
    numbers = itertools.count()

    def walk(onnx: bytes, rows: Any) -> str:
        names = tuple(f"f{number}" for number in range(rows.shape[1]))
        features = tuple(Number(name, number=name) for name in names)
        plan = Plan(name="walk", currency="EUR", entities=("card",), numbers=names, features=features).compile()
        log_odds = Scorer(onnx).log_odds(rows).astype(np.float64)
        # A power of two, so that what the table gives has lost no bit of the log-odds.
        most = 2.0 ** math.ceil(math.log2(max(np.abs(log_odds).max(), 1.0)) + 1)
        manifest = {
            "format": 1,
            "plan_digest": plan.digest,
            "onnx_sha256": hashlib.sha256(onnx).hexdigest(),
            "input": INPUT,
            "output": OUTPUT,
            "features": names,
            "probability": {"log_odds": [-most, most], "value": [0.0, 1.0]},
            "risk": {"log_odds": [-most, most], "value": [0.0, 100.0]},
        }
        model = json.dumps(manifest).encode(), onnx
        scorer = engine.Scorer(plan.json, POLICY, model, onnxruntime=str(engine.onnxruntime_library()))
        expected = (log_odds + most) / (2.0 * most)
        for n in (1, 7, 64, 129):
            for first in range(0, len(rows), max(n, len(rows) // 4)):
                part = rows[first : first + n]
                columns = {name: part[:, column] for column, name in enumerate(names)}
                scored = pa.record_batch(scorer.score(pa.record_batch(columns)))
                assert scored["fraud_probability"].to_numpy().tobytes() == expected[first : first + n].tobytes()
        return server.add_program(f"walk{next(numbers)}", plan.json, POLICY, model, 0)["full"]

    return walk


def on_thresholds(booster: lightgbm.Booster, rows: Any, random: np.random.Generator) -> Any:
    """Copies of rows in which each value stands, by a half, on one of its feature's thresholds or beside it."""
    rows = rows.copy()
    for column in range(rows.shape[1]):
        of_feature = [
            split["threshold"] for tree in forest(booster) for split in splits(tree) if split["split_feature"] == column
        ]
        if of_feature:
            with np.errstate(over="ignore"):
                near = np.array(random.choice(of_feature, len(rows))).astype(np.float32)
            towards = random.choice(np.array([-np.inf, np.inf], dtype=np.float32), len(rows))
            beside = np.where(random.random(len(rows)) < 0.5, near, np.nextafter(near, towards))
            rows[:, column] = np.where(random.random(len(rows)) < 0.5, beside, rows[:, column])
    return rows


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    columns=st.integers(1, 6),
    share=st.sampled_from([0.0, 0.1, 0.5]),
    trees=st.integers(1, 60),
    leaves=st.integers(2, 31),
    use_missing=st.booleans(),
    settled=st.booleans(),
)
def test_a_booster_is_walked_to_the_bits_of_onnx_runtime(
    walked: Walked, seed: int, columns: int, share: float, trees: int, leaves: int, use_missing: bool, settled: bool
) -> None:
    random = np.random.default_rng(seed)
    rows = rows_with_telling_values(random, 300, columns, share)
    booster = grown(rows, seed, trees, num_leaves=leaves, use_missing=use_missing, min_data_in_bin=1)
    # Off the leaf grid the order of a sum shows.
    booster = on_leaf_grid(booster) if settled else booster
    others = rows_with_telling_values(random, 300, columns, 0.5)
    told = walked(export(booster), np.concatenate([rows, on_thresholds(booster, others, random)]))
    assert told == "walker"


def test_the_handbooks_students_are_walked(walked: Walked, bundle: Bundle, sets: Sets) -> None:
    assert walked(bundle.model, sets.recent[:2000]) == "walker"
    assert walked(bundle.reduced_model, sets.recent[:2000]) == "walker"


def test_a_tree_too_large_to_walk_is_served_by_onnx_runtime(walked: Walked) -> None:
    rows = np.random.default_rng(2).normal(size=(2000, 3)).astype(np.float32)
    booster = on_leaf_grid(grown(rows, trees=20, num_leaves=48))
    assert walked(export(booster), rows) == "ONNX Runtime: tree 0 has 48 leaves, more than 32"
