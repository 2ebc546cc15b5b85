"""The edge's side of asking the cloud at once: what has to stand together, and what is a part of the policy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from service import certificates, serving
from service.cloud import config as cloud_config
from service.cloud.asked import Asked
from service.config_file import ConfigError, read
from service.serving import policy
from tests.cloud.edge import payment, teacher_of_shop
from tests.scorer import FEATURES, Scorer, small_model

GOOD = """\
[server]
pop = "ams1"
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


def test_a_pop_and_a_cloud_that_are_configured_speak_to_each_other(folder: Path) -> None:
    path = folder / "both"
    made = certificates.make(path / "certificates", clients=["ams1.example", "payments.example", "all.example"])
    plan = FEATURES.compile()
    (path / "plan.json").write_bytes(plan.json)
    (path / "model").mkdir()
    for name, content in zip((serving.MANIFEST, serving.MODEL), small_model(plan.digest, plan.features), strict=True):
        (path / "model" / name).write_bytes(content)
    (path / "cloud.toml").write_text("""
[broker]
servers = "localhost:9"
ca = "certificates/ca.pem"
certificate = "certificates/ams1.example.pem"
key = "certificates/ams1.example.key"

[lake]
folder = "lake"

[asked]
listen = "localhost:0"
certificate = "certificates/server.pem"
key = "certificates/server.key"
client_ca = "certificates/ca.pem"
allow = ["dns:ams1.example"]

[program.shop]
bundle = "model"
""")
    asked = cloud_config.read(path / "cloud.toml").asked
    assert asked is not None
    cloud = Asked(asked, {"shop": teacher_of_shop()})
    port = cloud.start()
    pop = GOOD.replace("cloud.example:7444", f"localhost:{port}").replace("dns:payments", "dns:all")
    pop = pop.replace("[server]", '[server]\nlisten = "127.0.0.1:0"\nahead_s = "unbounded"').replace("cards", "shop")
    pop = pop.replace('plan = "plan.json"', 'plan = "plan.json"\nmodel = "model"\nmode = "decide"')
    # Whatever the edge says is uncertain, and the cloud has time.
    pop = pop.replace("from_risk = 30.0\nbelow_risk = 60.0", "from_risk = 0.0\nbelow_risk = 100.0")
    pop = pop.replace("[hybrid]", "[hybrid]\nwithin_ms = 5_000")
    server = serving.prepared(read(written(path, pop), {}))
    scorer = Scorer(server, server.start(), made)
    try:
        assert scorer.score(payment(1)).HasField("rescored")
    finally:
        server.drain(5.0)
        cloud.stop()
