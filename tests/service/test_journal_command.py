"""`fraudgate journal`: what the command prints of a journal that a server wrote."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from service import files
from service.cli import main
from tests.scorer import FEATURES, running_scorer, small_model, usual_programs
from tests.server.test_journal import HASH_KEY, KEY, purchase, settings

CONFIG = """\
[server]
certificate = "certificates/server.pem"
key = "certificates/server.key"
client_ca = "certificates/ca.pem"

[keys]
hash_key = "hash"

[journal]
folder = "journal"
key = "kek"

[[identity]]
name = "dns:all.example"
allow = ["scoring"]

[program.shop]
plan = "plan.json"
"""


SECOND = {"challenge": 1.0, "decline": 99.0}


def other_model() -> tuple[bytes, bytes]:
    """The same forest under a manifest that calibrates it otherwise, and so of another digest."""
    plan = FEATURES.compile()
    manifest, onnx = small_model(plan.digest, plan.features)
    changed = json.loads(manifest) | {"risk": {"log_odds": [-20.0, 20.0], "value": [10.0, 90.0]}}
    return json.dumps(changed, sort_keys=True).encode(), onnx


def write_bundle(folder: Path, model: tuple[bytes, bytes]) -> None:
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_bytes(model[0])
    (folder / "model.onnx").write_bytes(model[1])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three lives of 30 inputs each: the second has another policy, the third another model."""
    home = tmp_path_factory.mktemp("journaled")
    (usual, *_) = usual_programs()
    lives = [usual, usual._replace(policy=SECOND), usual._replace(model=other_model())]
    for life, program in enumerate(lives):
        configured = {"journal": settings(home / "journal"), "ahead_us": None}
        with running_scorer(home, journal_key=KEY, programs=[program], **configured) as scorer:
            for number in range(30 * life, 30 * life + 30):
                scorer.score(purchase(number))
    for name, key in (("hash", HASH_KEY), ("kek", KEY), ("new", bytes(32))):
        files.write_private(home / name, key.hex().encode())
    (home / "plan.json").write_bytes(FEATURES.compile().json)
    (home / "fraudgate.toml").write_text(CONFIG)
    assert usual.model is not None
    write_bundle(home / "models" / "first", usual.model)
    write_bundle(home / "models" / "second", other_model())
    return home


@pytest.fixture
def home(written: Path, tmp_path: Path) -> Path:
    """A copy, to be broken."""
    return Path(shutil.copytree(written, tmp_path / "home"))


def run(home: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["journal", "--config", str(home / "fraudgate.toml"), *words])


def show(home: Path, id: str, *words: str) -> tuple[int, Any]:
    shown = run(home, "show", "shop", id, "--json", *words)
    return shown.exit_code, json.loads(shown.output)


def test_info_names_the_segments(home: Path) -> None:
    first, second, third = json.loads(run(home, "info").output)["segments"]
    assert (first["epoch"], first["first"]) == (1, 1)
    assert [segment["first"] for segment in (second, third)] == [31, 61]


def test_verify_prints_the_head(home: Path) -> None:
    verified = json.loads(run(home, "verify").output)
    assert verified["inputs"] == 90
    assert len(verified["head"]["digest"]) == 64


def test_tail_prints_a_line_an_input(home: Path) -> None:
    lines = run(home, "tail", "-n", "3").output.splitlines()
    assert [json.loads(line)["sequence"] for line in lines] == [88, 89, 90]


def test_show_computes_what_was_answered_again_to_the_bit_with_the_model_and_the_policy_of_then(home: Path) -> None:
    models = ("--models", str(home / "models"))
    digests = set()
    for id in ("t-7", "t-37", "t-67"):
        code, shown = show(home, id, *models)
        assert shown["again"] == {"features": {"result": "same"}, "assessment": {"result": "same"}}
        assert code == 0
        digests.add((shown["assessment"]["policy_digest"], shown["assessment"]["model_digest"]))
    assert len(digests) == 3
    lines = run(home, "show", "shop", "t-7", *models).output.splitlines()
    assert lines[0].startswith("transaction 8 of program shop")
    assert [line.split("  ")[-1] for line in lines[-2:]] == ["the same to the bit"] * 2
    assert "c-7" not in "".join(lines)


def test_show_says_what_it_has_not_got(home: Path) -> None:
    absent = run(home, "show", "shop", "nothing")
    assert absent.exit_code == 1
    assert "no transaction of that id" in absent.output
    # Of the first life; a model of another digest is no model of it.
    code, shown = show(home, "t-7", "--models", str(home / "models" / "second"))
    assert code == 1
    assert shown["again"]["features"] == {"result": "same"}
    digest = shown["assessment"]["model_digest"]
    assert shown["again"]["assessment"] == {"result": "unknown", "why": f"model {digest} is not to be found"}
    (home / "models" / "first" / "model.onnx").write_bytes(b"another")
    damaged = run(home, "show", "shop", "t-7", "--models", str(home / "models"))
    assert damaged.exit_code == 1
    assert "they do not belong together" in damaged.output


def test_features_that_reach_back_into_segments_that_are_gone_are_said_to_be_unknown(home: Path) -> None:
    first, *_ = sorted((home / "journal").glob("*.segment"))
    first.unlink()
    code, shown = show(home, "t-60", "--models", str(home / "models"))
    assert code == 1
    assert shown["again"]["features"]["result"] == "unknown"
    assert "depends on inputs before 31, whose segments are gone" in shown["again"]["features"]["why"]
    # What it saw is journaled: from there on all comes out the same.
    assert shown["again"]["assessment"] == {"result": "same"}


def test_a_segment_that_is_gone_between_others_is_named(home: Path) -> None:
    _, second, *_ = sorted((home / "journal").glob("*.segment"))
    second.unlink()
    for words in (["show", "shop", "t-80"], ["replay"], ["verify"]):
        broken = run(home, *words)
        assert broken.exit_code == 1
        assert f"segment {int(second.stem)} is gone" in broken.output


def test_replay_compares_every_row_and_every_answer_under_what_was_stated_then(home: Path) -> None:
    replayed = run(home, "replay", "--json", "--models", str(home / "models"))
    assert replayed.exit_code == 0
    told = json.loads(replayed.stdout)
    assert (told["inputs"], told["sequence"]) == (90, 90)
    for kind in ("features", "assessments"):
        tally = told[kind]
        assert (tally["same"], tally["differing"], tally["unknown"]) == (90, 0, {})
    # Of the first and the third life's policy, which is the one that was stated last.
    configured = {"journal": settings(home / "journal"), "ahead_us": None, "known_ids": 262_144}
    with running_scorer(home, journal_key=KEY, programs=usual_programs()[:1], **configured) as scorer:
        assert scorer.server.digest() == told["digest"]
    rows = json.loads(run(home, "replay", "--json").stdout)
    assert rows["features"]["same"] == 90
    assert rows["assessments"]["same"] == 0


def test_rotation_leaves_the_old_key_without_use(home: Path) -> None:
    assert run(home, "rotate", str(home / "new")).exit_code == 0
    refused = run(home, "verify")
    assert refused.exit_code == 1
    assert "is wrapped under key-encryption key" in refused.output
