"""A small world to take through, and jobs over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features import handbook
from service import simulate
from service.backfill import job, mapping
from service.backfill.program import Program, planned
from service.backfill.source import Source
from service.tables import Tables
from tests.service.conftest import place as place  # a fixture of both

KEY = bytes(range(32))
PLAN = handbook.PLAN.compile()


@pytest.fixture(scope="session")
def world() -> Tables:
    """Two months of a small world, and its labels."""
    return Tables(*simulate.simulate(simulate.Scale(customers=150, terminals=200, days=60, seed=7)))


@pytest.fixture(scope="session")
def written(world: Tables, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Its files: transactions, labels."""
    return simulate.write(tmp_path_factory.mktemp("world"), *world)


def program(**changes: Any) -> Program:
    """The Handbook's plan alone, under a key that does not change."""
    return Program(**{**vars(planned(PLAN, None)), "hash_key": KEY, **changes})


def run(source: str | Path, output: Path, named: str | mapping.Mapping = "fraudgate", **asked: Any) -> job.Done:
    """Take a source through; labels and outcomes are paths."""
    chosen = mapping.read(named) if isinstance(named, str) else named
    resume = asked.pop("resume", False)
    for apart in ("labels", "outcomes"):
        if apart in asked:
            asked[apart] = Source(str(asked[apart]))
    asked = {"program": program(), "wanted": job.Wanted(assessments=False, features="float64"), **asked}
    made = job.Job(source=Source(str(source), delimiter=chosen.delimiter), output=output, mapping=chosen, **asked)
    return job.run(made, resume=resume)


def parts(output: Path) -> pa.Table:
    """All that was answered, in order."""
    return pa.concat_tables([pq.read_table(path) for path in sorted(output.glob("part-*.parquet"))])


def refused(output: Path) -> list[dict[str, Any]]:
    """All that was refused."""
    path = output / "refused.parquet"
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist() if path.exists() else []
    return rows
