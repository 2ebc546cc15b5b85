"""The published data that proofs are made on: used where it lies, never copied."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("FRAUDGATE_DATA", Path(__file__).parents[2] / "shared" / "data"))


def published(name: str) -> Path:
    """The file of that name. Without it a test skips, with the reason; under CI it fails."""
    path = DATA / name
    if not path.exists():
        reason = f"{name} is not in {DATA}; set FRAUDGATE_DATA to the folder that holds it"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path
