"""`fraudgate journal`: what the command prints of a journal that a server wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from service import files
from service.cli import main
from tests.scorer import FEATURES, running_scorer
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


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("journaled")
    with running_scorer(home, journal=settings(home / "journal"), journal_key=KEY, ahead_us=None) as scorer:
        for number in range(30):
            scorer.score(purchase(number))
    for name, key in (("hash", HASH_KEY), ("kek", KEY), ("new", bytes(32))):
        files.write_private(home / name, key.hex().encode())
    (home / "plan.json").write_bytes(FEATURES.compile().json)
    (home / "fraudgate.toml").write_text(CONFIG)
    return home


def run(home: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["journal", "--config", str(home / "fraudgate.toml"), *words])


def test_info_names_the_segments(home: Path) -> None:
    (segment,) = json.loads(run(home, "info").output)["segments"]
    assert (segment["segment"], segment["epoch"], segment["first"]) == (1, 1, 1)


def test_verify_prints_the_head(home: Path) -> None:
    verified = json.loads(run(home, "verify").output)
    assert verified["inputs"] == 30
    assert len(verified["head"]["digest"]) == 64


def test_tail_prints_a_line_an_input(home: Path) -> None:
    lines = run(home, "tail", "-n", "3").output.splitlines()
    assert [json.loads(line)["sequence"] for line in lines] == [28, 29, 30]


def test_show_prints_what_was_seen_and_says_what_is_not_there(home: Path) -> None:
    assert json.loads(run(home, "show", "shop", "t-7").output)["sequence"] == 8
    absent = run(home, "show", "shop", "nothing")
    assert absent.exit_code == 1
    assert "no transaction of that id" in absent.output


def test_rotation_leaves_the_old_key_without_use(home: Path) -> None:
    assert run(home, "rotate", str(home / "new")).exit_code == 0
    refused = run(home, "verify")
    assert refused.exit_code == 1
    assert "is wrapped under key-encryption key" in refused.output
