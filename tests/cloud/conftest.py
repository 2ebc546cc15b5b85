"""A bundle with a small teacher."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.manifest import Bundle
from models.spec import ModelSpec, StudentSpec, TeacherSpec
from models.train import train
from tests.models.rows import made_up_sets

SMALL = ModelSpec("small", TeacherSpec(trees=20), StudentSpec(trees=10, leaves=8), StudentSpec(trees=5, leaves=4))


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    return train(made_up_sets(), SMALL)


@pytest.fixture(scope="session")
def bundle_path(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "model"
    bundle.write(path)
    return path
