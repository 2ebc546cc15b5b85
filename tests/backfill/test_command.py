"""The commands: a program's history is answered, features are written, and a model is trained on them."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from models.manifest import digest_at
from service import simulate
from service.backfill import mapping
from service.cli import main
from tests.backfill.conftest import PLAN, parts
from tests.service.conftest import Place


def _run(*arguments: object) -> str:
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.slow
def test_a_model_learns_the_same_from_features_that_were_written(tmp_path: Path) -> None:
    scale = simulate.Scale(customers=2000, terminals=3000, days=45, seed=1)
    transactions, labels = simulate.write(tmp_path, *simulate.simulate(scale))
    features = tmp_path / "features"
    told = _run("features", transactions, features, "--mapping", "fraudgate", "--labels", labels)
    assert "order: assumed: event time, then row" in told
    for data in (transactions, features):
        _run("train", data, "--labels", labels, "--out", tmp_path / f"of-{data.stem}")
    assert digest_at(tmp_path / "of-features/model") == digest_at(tmp_path / "of-transactions/model")


def test_a_served_program_answers_its_history(place: Place, tmp_path: Path) -> None:
    transactions, labels = simulate.write(tmp_path, *place.tables)
    output = tmp_path / "out"
    _run(
        "backfill",
        transactions,
        output,
        "--config",
        place.config,
        "--mapping",
        "fraudgate",
        "--labels",
        labels,
        "--raw",
    )
    answered = parts(output)
    assert len(answered) == len(place.tables.transactions)
    assert set(answered["tier"].to_pylist()) == {"full"}
    assert set(answered["verdict"].to_pylist()) <= {"approve", "challenge", "decline"}
    metadata = pq.read_schema(output / "part-00000.parquet").metadata
    assert metadata[b"fraudgate.model_digest"].decode() == digest_at(place.folder / "trained/model")
    assert metadata[b"fraudgate.plan_digest"].decode() == PLAN.digest


@pytest.mark.parametrize("name", mapping.ready())
def test_a_ready_mapping_can_be_read(name: str) -> None:
    assert mapping.read(name).event_time.column


def test_a_mapping_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    for text, told in (
        ("event_time = 'time'\nentity = { card = 'c' }", "entity: Extra inputs are not permitted"),
        ("amount = { column = 'a' }\nevent_time = 'time'", "give either a currency for all rows, or a currency_column"),
        ("event_time = ", "is not TOML"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=told):
            mapping.read(str(path))
    with pytest.raises(
        ValueError, match=r"no mapping .mine.: .*; write a TOML file, or take one of fraudgate, handbook"
    ):
        mapping.read("mine")
    with pytest.raises(ValueError, match="names no column for 'customer', which the plan has among its entities"):
        mapping.read("ulb").compile(PLAN)
