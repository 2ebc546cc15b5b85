"""The Handbook's rows, and the model of the chapter-3 week, once for all tests here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from handbook import CHAPTER_3, read_history

from models.manifest import Bundle
from models.spec import ModelSpec
from models.train import Sets, train
from models.training_set import TrainingSet

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def history() -> TrainingSet:
    data = Path(os.environ.get("FRAUDGATE_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (data / "handbook_features_golden.parquet").exists():
        reason = f"the Handbook's rows are not in {data}: set FRAUDGATE_DATA"
        if "CI" in os.environ:
            pytest.fail(reason)
        pytest.skip(reason)
    return read_history(data)


@pytest.fixture(scope="session")
def sets(history: TrainingSet) -> Sets:
    return Sets.at(history, now_us=CHAPTER_3.assessed_from_us)


@pytest.fixture(scope="session")
def bundle(sets: Sets) -> Bundle:
    return train(sets, ModelSpec())
