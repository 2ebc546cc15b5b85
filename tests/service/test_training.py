"""Training from tables by the command: what is written, and what is told where nothing can be."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from features import handbook
from models.manifest import Bundle, digest_at
from models.spec import ModelSpec, StudentSpec, TeacherSpec
from service import simulate, training
from service.cli import main
from service.tables import Tables


@pytest.fixture(scope="module")
def world() -> Tables:
    return Tables(*simulate.simulate(simulate.Scale(customers=2000, terminals=3000, days=45, seed=1)))


@pytest.fixture(scope="module")
def data(world: Tables, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return simulate.write(tmp_path_factory.mktemp("data"), *world)


@pytest.mark.slow
def test_a_bundle_is_written_once_with_the_plan_that_it_was_made_under(data: tuple[Path, Path], tmp_path: Path) -> None:
    transactions, labels = data
    command = [sys.executable, "-m", "service", "train", str(transactions), "--labels", str(labels)]
    done = subprocess.run([*command, "--out", str(tmp_path / "a")], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    digest = digest_at(tmp_path / "a/model")
    assert f"model {digest}" in done.stdout
    bundle = Bundle.read(tmp_path / "a/model", digest)
    assert (tmp_path / "a/plan.json").read_bytes() == handbook.PLAN.compile().json
    assert bundle.manifest.plan_digest == handbook.PLAN.compile().digest
    again = subprocess.run([*command, "--out", str(tmp_path / "a")], capture_output=True, text=True, timeout=120)
    assert again.returncode == 2
    assert "give another --out" in again.stderr


def test_only_what_is_known_by_then_is_learnt_from(world: Tables) -> None:
    """What happens or becomes known later changes no byte of the model."""
    moment = training.now_us(world, None) - 86_400_000_000
    plan = training.plan("handbook")
    spec = ModelSpec(teacher=TeacherSpec(trees=5), student=StudentSpec(trees=5))
    made = []
    for tables in (world, world.before(moment)):
        rows = training.fold(plan, tables)
        made.append(training.trained(plan, rows, tables, moment, training.Periods(), spec))
    assert made[0].digest == made[1].digest


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--plan", "hand"), "no plan 'hand': write handbook, module:attribute"),
        (("--plan", "features.handbook:NONE"), "no plan 'features.handbook:NONE'"),
        (("--plan", "features.handbook:WINDOWS"), "WINDOWS is tuple, not features.Plan"),
        (("--now", "2020-01-01"), "the 7 training days hold no transaction"),
        (("--now", "2026-01-03"), "the 7 training days hold no transaction"),
    ],
)
def test_a_mistake_is_told(data: tuple[Path, Path], tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    done = CliRunner().invoke(main, ["train", str(data[0]), "--out", str(tmp_path / "out"), *arguments])
    assert done.exit_code == 1
    assert told in done.stderr
    assert not (tmp_path / "out").exists()
