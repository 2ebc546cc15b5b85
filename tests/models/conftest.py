"""The Handbook's rows, and the model of the chapter-3 week, once for all tests here."""

from __future__ import annotations

import pytest
from handbook import CHAPTER_3, read_history

from models.manifest import Bundle
from models.spec import ModelSpec
from models.train import Sets, train
from models.training_set import TrainingSet
from tests.published import published


@pytest.fixture(scope="session")
def history() -> TrainingSet:
    published("handbook_features_golden.parquet")
    return read_history(published("handbook_raw_dev.parquet").parent)


@pytest.fixture(scope="session")
def sets(history: TrainingSet) -> Sets:
    return Sets.at(history, now_us=CHAPTER_3.assessed_from_us)


@pytest.fixture(scope="session")
def bundle(sets: Sets) -> Bundle:
    return train(sets, ModelSpec())
