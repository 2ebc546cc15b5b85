from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import lightgbm
import numpy as np
import pytest
from rows import made_up_sets

from models.manifest import Bundle, BundleError, digest_at
from models.spec import ModelSpec, StudentSpec, TeacherSpec
from models.train import train

SMALL = ModelSpec("small", TeacherSpec(trees=20), StudentSpec(trees=10, leaves=8))


@pytest.fixture(scope="module")
def small() -> Bundle:
    return train(made_up_sets(), SMALL)


def test_a_bundle_comes_back_as_it_was_written(small: Bundle, tmp_path: Path) -> None:
    digest = small.write(tmp_path / "models" / "one")
    assert digest == small.digest == digest_at(tmp_path / "models" / "one")
    assert Bundle.read(tmp_path / "models" / "one", digest) == small
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["one"]


def test_equal_sets_and_spec_give_equal_bytes(small: Bundle, tmp_path: Path) -> None:
    again = train(made_up_sets(), SMALL)
    assert again == small
    assert again.digest == small.digest


def test_another_seed_or_another_row_gives_another_digest(small: Bundle) -> None:
    seeded = replace(SMALL, teacher=replace(SMALL.teacher, seed=2))
    assert train(made_up_sets(), seeded).digest != small.digest
    assert train(made_up_sets(seed=7), SMALL).digest != small.digest


@pytest.mark.parametrize(
    "name",
    ["manifest.json", "model.onnx", "student.txt", "teacher.onnx", "teacher.txt", "reduced.onnx", "reduced.txt"],
)
def test_one_changed_bit_is_found_before_anything_is_parsed(small: Bundle, tmp_path: Path, name: str) -> None:
    digest = small.write(tmp_path / "one")
    content = bytearray((tmp_path / "one" / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "one" / name).write_bytes(content)
    with pytest.raises(BundleError, match=name):
        Bundle.read(tmp_path / "one", digest)


def test_another_bundle_than_the_expected_one_is_refused(small: Bundle, tmp_path: Path) -> None:
    small.write(tmp_path / "one")
    with pytest.raises(BundleError, match="expected"):
        Bundle.read(tmp_path / "one", "0" * 64)


def test_a_bundle_is_never_overwritten(small: Bundle, tmp_path: Path) -> None:
    small.write(tmp_path / "one")
    with pytest.raises(FileExistsError, match="choose another directory"):
        small.write(tmp_path / "one")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda fields: fields.update(format=2), "this version reads 1"),
        (lambda fields: fields.pop("risk"), "risk"),
        (lambda fields: fields["reduced"].pop("risk"), "risk"),
        (lambda fields: fields.pop("teacher"), "teacher"),
        (lambda fields: fields.update(mood="good"), "mood"),
    ],
)
def test_a_manifest_of_another_format_is_refused(small: Bundle, change: object, said: str) -> None:
    fields = json.loads(small.manifest.to_json())
    assert callable(change)
    change(fields)
    with pytest.raises(BundleError, match=said):
        small.manifest.from_json(json.dumps(fields).encode())


def test_the_manifest_is_canonical_json(small: Bundle) -> None:
    content = small.manifest.to_json()
    fields = json.loads(content)
    assert content == json.dumps(fields, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    assert fields["input"] == "features"
    assert fields["output"] == "log_odds"
    assert fields["certificate"]["max_difference"] == 0.0
    assert fields["reduced"]["certificate"]["max_difference"] == 0.0
    assert fields["teacher"]["certificate"]["max_difference"] == 0.0


def test_every_score_the_model_can_give_lies_in_its_tables(small: Bundle) -> None:
    rows = np.random.default_rng(9).normal(scale=100.0, size=(20_000, 4)).astype(np.float32)
    for scorer, told in (
        (small.scorer(), small.manifest),
        (small.reduced_scorer(), small.manifest.reduced),
        (small.teacher_scorer(), small.manifest.teacher),
    ):
        scores = scorer.log_odds(rows)
        for table in (told.probability, told.risk):
            assert table.log_odds[0] <= scores.min() <= scores.max() <= table.log_odds[-1]


def test_the_teacher_scores_as_lightgbm_does_and_its_risk_is_the_rarity_of_its_own_scores(small: Bundle) -> None:
    sets = made_up_sets()
    booster = lightgbm.Booster(model_str=small.teacher.decode())
    scores = small.teacher_scorer().log_odds(sets.recent)
    assert np.array_equal(scores, booster.predict(sets.recent, raw_score=True).astype(np.float32))
    risk = small.manifest.teacher.risk.at(scores.astype(np.float64))
    # Forty is the rarest hundredth, up to the few rows that share its score.
    assert 0.005 <= (risk >= 40.0).mean() <= 0.015


def test_scoring_leaves_no_file_in_the_home_folder(small: Bundle, tmp_path: Path) -> None:
    small.write(tmp_path / "one")
    home = tmp_path / "home"
    home.mkdir()
    program = (
        "import numpy, pathlib, sys; from models.scorer import Scorer; "
        "Scorer(pathlib.Path(sys.argv[1]).read_bytes()).log_odds(numpy.zeros((1, 4), numpy.float32))"
    )
    repository = Path(__file__).resolve().parents[2]
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "one" / "model.onnx")],
        check=True,
        cwd=repository,
        env=environment | {"HOME": str(home), "XDG_CACHE_HOME": str(home), "PYTHONPATH": str(repository)},
    )
    assert list(home.rglob("*")) == []


@pytest.mark.parametrize("size", [{"trees": 101}, {"trees": 0}, {"leaves": 32}, {"leaves": 1}])
def test_a_student_too_large_for_the_edge_cannot_be_specified(size: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(size))):
        StudentSpec(**size)
