"""Rows that were seen, scored again: the same model gives the same answers, and what another one flips is counted."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from models.spec import ModelSpec, StudentSpec, TeacherSpec
from service import config_file, simulate, training
from service.backfill import again, compare, job
from service.backfill.program import served
from service.tables import Tables
from tests.backfill.conftest import parts, run
from tests.service.conftest import Place


def _told(_done: int, _all: int) -> None:
    return None


@pytest.fixture(scope="module")
def answered(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The place's history, answered, with what was seen."""
    folder = tmp_path_factory.mktemp("answered")
    tables = Tables(place.tables.transactions.slice(0, 20_000), place.tables.labels)
    transactions, labels = simulate.write(folder, *tables)
    program = served(config_file.read(place.config, {}), None)
    wanted = job.Wanted(features="float32")
    run(transactions, folder / "out", labels=labels, program=program, wanted=wanted, part_rows=7_000)
    return folder / "out"


def test_the_same_model_gives_the_same_answers(place: Place, answered: Path, tmp_path: Path) -> None:
    program = served(config_file.read(place.config, {}), None)
    done = again.score(answered, tmp_path / "out", program, 2, _told)
    live, scored = parts(answered), parts(tmp_path / "out")
    assert (done.rows, done.parts) == (len(live), 3)
    for name in ("row", "transaction_id", "fraud_probability", "risk_score", "verdict", "policy_verdict"):
        assert scored[name].to_pylist() == live[name].to_pylist(), name
    assert compare.compare(answered, tmp_path / "out", ("kind",)).num_rows == 0
    # Asked again it keeps what is there; for another model it refuses.
    assert again.score(answered, tmp_path / "out", program, 2, _told) == done


def test_what_another_model_flips_is_counted_by_segment_and_in_money(
    place: Place, answered: Path, tmp_path: Path
) -> None:
    plan = training.plan("handbook")
    spec = ModelSpec(teacher=TeacherSpec(trees=20, leaves=6, depth=3), student=StudentSpec(trees=6, leaves=6))
    rows = training.fold(plan, place.tables)
    moment = training.now_us(place.tables, None)
    training.write(training.trained(plan, rows, place.tables, moment, training.Periods(), spec), plan, tmp_path / "new")
    other = served(config_file.read(place.config, {}), None, tmp_path / "new/model")
    again.score(answered, tmp_path / "out", other, 2, _told)
    found = compare.compare(answered, tmp_path / "out", ("kind", "amount_band"))

    wanted: dict[tuple[str, str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for before, after in zip(parts(answered).to_pylist(), parts(tmp_path / "out").to_pylist(), strict=True):
        if before["verdict"] != after["verdict"]:
            amount = before["amount_minor"]
            bounds = ((1_000, "< 1,000"), (10_000, "< 10,000"), (100_000, "< 100,000"))
            band = next((name for bound, name in bounds if amount < bound), ">= 100,000")
            cell = wanted[before["kind"], band, before["verdict"], after["verdict"]]
            cell[0] += 1
            cell[1] += amount
    counted = {
        (row["kind"], row["amount_band"], row["before"], row["after"]): [row["rows"], row["amount_minor"]]
        for row in found.to_pylist()
    }
    assert counted == dict(wanted)
    assert len(counted) > 2
    assert compare.totals(answered, tmp_path / "out") == (20_000, sum(count for count, _ in counted.values()))
    with pytest.raises(ValueError, match="output of another model"):
        again.score(answered, tmp_path / "out", served(config_file.read(place.config, {}), None), 2, _told)
