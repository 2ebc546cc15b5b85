"""The edge's side of asking the cloud at once: what has to stand together, and what is a part of the policy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from service import certificates
from service.config_file import ConfigError, read
from service.serving import policy

GOOD = """\
[server]
certificate = "certificates/server.pem"
key = "certificates/server.key"
client_ca = "certificates/ca.pem"

[keys]
hash_key = "certificates/hash.key"

[journal]
folder = "journal"
key = "certificates/journal.key"

[forward]
servers = "localhost:9093"
ca = "certificates/ca.pem"
certificate = "certificates/ams1.example.pem"
key = "certificates/ams1.example.key"
pop = "ams1"

[hybrid]
address = "cloud.example:7444"
ca = "certificates/ca.pem"
certificate = "certificates/ams1.example.pem"
key = "certificates/ams1.example.key"

[[identity]]
name = "dns:payments.example"
allow = ["scoring"]

[program.cards]
plan = "plan.json"

[program.cards.rescore]
from_risk = 30.0
below_risk = 60.0
hybrid = true
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hybrid")
    certificates.make(path / "certificates", clients=["ams1.example"])
    (path / "plan.json").write_text("{}")
    return path


def written(folder: Path, text: str) -> Path:
    path = folder / "fraudgate.toml"
    path.write_text(text)
    return path


def test_what_is_declared_is_a_part_of_the_policy_and_what_is_not_is_none(folder: Path) -> None:
    asks = read(written(folder, GOOD), {})
    assert asks.hybrid is not None
    assert (asks.hybrid.within_ms, asks.hybrid.spare_ms) == (50, 5)
    assert json.loads(policy(asks.program["cards"]))["rescore"]["hybrid"] is True
    never = read(written(folder, GOOD.replace("hybrid = true", "hybrid = false")), {})
    assert "hybrid" not in json.loads(policy(never.program["cards"]))["rescore"]


@pytest.mark.parametrize(
    ("was", "is_", "told"),
    [
        (GOOD[GOOD.index("[hybrid]") : GOOD.index("[[identity]]")], "", "there is no [hybrid]"),
        ("from_risk = 30.0\nbelow_risk = 60.0\n", "", "state from_risk and below_risk"),
        ('address = "cloud.example:7444"', 'address = "cloud.example"', "hybrid.address: is not host:port"),
        ('address = "cloud.example:7444"', 'address = "cloud:1"\nfailures = 0', "hybrid.failures: is below 1"),
        ("hybrid = true", "hybird = true", "did you mean hybrid?"),
    ],
)
def test_what_does_not_stand_together_is_told(folder: Path, was: str, is_: str, told: str) -> None:
    assert was in GOOD
    with pytest.raises(ConfigError) as raised:
        read(written(folder, GOOD.replace(was, is_)), {})
    assert told in str(raised.value)
