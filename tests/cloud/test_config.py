"""The cloud's configuration: what is taken, and what the error says of a mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from service import certificates
from service.cloud.config import read
from service.config_file import ConfigError

GOOD = """\
[broker]
servers = "localhost:9093"
ca = "certificates/ca.pem"
certificate = "certificates/cloud.example.pem"
key = "certificates/cloud.example.key"

[lake]
folder = "lake"

[program.cards]
bundle = "model"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cloud")
    certificates.make(path / "certificates", clients=["cloud.example"])
    (path / "model").mkdir()
    return path


def test_a_small_file_is_enough_and_its_paths_start_at_its_folder(folder: Path) -> None:
    (folder / "cloud.toml").write_text(GOOD)
    config = read(folder / "cloud.toml")
    assert config.broker.key == folder / "certificates/cloud.example.key"
    assert config.lake.folder == folder / "lake"
    assert (config.topics.requests, config.topics.decisions) == ("fraudgate.rescore", "fraudgate.rescored")
    assert config.program["cards"].digest is None


@pytest.mark.parametrize(
    ("was", "is_", "told"),
    [
        ('servers = "localhost:9093"', "", "broker.servers"),
        ("certificates/ca.pem", "certificates/nobody.pem", "broker.ca"),
        ('folder = "lake"', 'folder = "lake"\nrow = 5', "lake.row"),
        ('bundle = "model"', 'bundle = "models"', "program.cards.bundle"),
        ('bundle = "model"', 'bundle = "model"\ndigest = "abc"', "program.cards.digest"),
        ("[program.cards]", "[programs.cards]", "program"),
        ("[lake]", "[lake", "is not TOML"),
    ],
)
def test_a_mistake_is_told_with_its_place(folder: Path, was: str, is_: str, told: str) -> None:
    (folder / "cloud.toml").write_text(GOOD.replace(was, is_))
    with pytest.raises(ConfigError, match=told):
        read(folder / "cloud.toml")


def test_a_key_that_others_may_read_is_refused(folder: Path) -> None:
    (folder / "cloud.toml").write_text(GOOD)
    key = folder / "certificates/cloud.example.key"
    key.chmod(0o644)
    try:
        with pytest.raises(ConfigError, match=r"broker\.key: .*chmod 600"):
            read(folder / "cloud.toml")
    finally:
        key.chmod(0o600)
