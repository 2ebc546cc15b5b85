"""The configuration: what is taken, and for each mistake what the error tells."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from service import certificates
from service.config_file import ConfigError, read
from service.serving import engine_config, policy

GOOD = """\
[server]
certificate = "certificates/server.pem"
key = "certificates/server.key"
client_ca = "certificates/ca.pem"

[keys]
hash_key = "certificates/hash.key"

[[identity]]
name = "dns:payments.example"
allow = ["scoring", "feedback"]

[program.cards]
plan = "plan.json"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("configured")
    certificates.make(path / "certificates", clients=["payments.example"])
    (path / "plan.json").write_text("{}")
    return path


@pytest.fixture
def written(folder: Path) -> Path:
    path = folder / "fraudgate.toml"
    path.write_text(GOOD)
    return path


def test_a_small_file_is_enough(written: Path) -> None:
    config = read(written, {})
    assert config.server.listen == "127.0.0.1:7443"
    assert config.server.ahead_s == 60
    assert config.server.key == written.parent / "certificates/server.key"
    assert config.program["cards"].mode == "observe"
    assert config.program["cards"].decline is None


def test_what_was_read_cannot_be_changed(written: Path) -> None:
    config = read(written, {})
    with pytest.raises(ValidationError):
        config.server.listen = "0.0.0.0:1"


def test_the_environment_stands_over_the_file(written: Path) -> None:
    config = read(
        written,
        {
            "FRAUDGATE_SERVER_LISTEN": "0.0.0.0:9000",
            "FRAUDGATE_SERVER_CONNECTIONS": "7",
            "FRAUDGATE_SERVER_AHEAD_S": "unbounded",
            "FRAUDGATE_PROGRAM_CARDS_DECLINE": "60.5",
            "FRAUDGATE_PROGRAM_CARDS_COMPLETE_SINCE": "2018-04-01T00:00:00Z",
            "FRAUDGATE_DATA": "elsewhere",
            "HOME": "/",
        },
    )
    assert (config.server.listen, config.server.connections, config.server.ahead_s) == ("0.0.0.0:9000", 7, None)
    assert config.program["cards"].decline == 60.5
    assert config.program["cards"].complete_since == datetime(2018, 4, 1, tzinfo=UTC)


MISTAKES = [
    # In the file.
    ('listen = "7443"', "server.listen: is not host:port", 'listen = "127.0.0.1:7443"'),
    ('listen = "localhost:70000"', "server.listen: is not host:port", "at most 65535"),
    ("connections = 0", "server.connections: is below 1, the least", "connections = 1024"),
    ("connections = 1.5", "server.connections: is not a whole number", "connections = 1024"),
    ('connections = "8"', "server.connections: is not a whole number", "connections = 1024"),
    ("connections = true", "server.connections: is not a whole number", "connections = 1024"),
    ("drain_s = inf", "server.drain_s: is not a finite number", "drain_s = 10"),
    ("drain_s = nan", "server.drain_s: is not a finite number", "drain_s = 10"),
    ('ahead_s = "never"', 'server.ahead_s: is neither a number of seconds nor "unbounded"', "ahead_s = 60"),
    ("ahead_s = -1", 'server.ahead_s: is neither a number of seconds nor "unbounded"', "ahead_s = 60"),
    ("lissten = 3", "server.lissten: is not a known key; did you mean listen?", ""),
    ("zzz = 3", "server.zzz: is not a known key; known are listen, certificate", ""),
]


@pytest.mark.parametrize(("line", "told", "mend"), MISTAKES, ids=[line for line, _, _ in MISTAKES])
def test_a_mistake_is_told_with_its_place_and_mend(written: Path, line: str, told: str, mend: str) -> None:
    written.write_text(GOOD.replace("[server]", f"[server]\n{line}"))
    with pytest.raises(ConfigError) as raised:
        read(written, {})
    assert str(raised.value).startswith(f"{written}: {told}")
    assert mend in str(raised.value)


REPLACED = [
    ('"dns:payments.example"', '"payments.example"', "identity[1].name: is not the alternative name"),
    ('["scoring", "feedback"]', '["score"]', "identity[1].allow: is not 'scoring', 'feedback' or 'operation'"),
    ('["scoring", "feedback"]', "[]", "identity[1].allow: is empty"),
    ("[[identity]]", "[[identities]]", "identities: is not a known key; did you mean identity?"),
    ("[keys]", "[key]", "key: is not a known key; did you mean keys?"),
    ('"plan.json"', '"gone.json"', "program.cards.plan: there is no file "),
    ('"plan.json"', "3", "program.cards.plan: is not a path"),
    ('"plan.json"', '"plan.json"\nmodel = "gone"', "program.cards.model: there is no folder "),
    ('"plan.json"', '"plan.json"\nmode = "off"', "program.cards.mode: is not 'decide' or 'observe'"),
    ('"plan.json"', '"plan.json"\ndecline = 101', "program.cards.decline: is above 100.0, the most"),
    ('"plan.json"', '"plan.json"\nhold = 60\ndecline = 50', "program.cards: hold is above decline"),
    ('"plan.json"', '"plan.json"\nlabels = "plan.json"', "program.cards: labels are given without the history"),
    ('"plan.json"', '"plan.json"\ncomplete_since = 2018-04-01T00:00:00', "complete_since: has no offset from UTC"),
    ('"plan.json"', '"plan.json"\nlables = "m"', "program.cards.lables: is not a known key; did you mean labels?"),
    ('[program.cards]\nplan = "plan.json"\n', "", "program: is missing; write for example: [program.cards]"),
    ("[program.cards]", "[[program]]", "program: is not a table"),
    ("[server]", "server = 3\n[other]", "other: is not a known key"),
    ("[server]", "[server", "is not TOML"),
    ("[[identity]]", '[[identity]]\nname = "dns:payments.example"\nallow = ["scoring"]\n[[identity]]', "stands twice"),
]


@pytest.mark.parametrize(("good", "bad", "told"), REPLACED, ids=[bad.replace("\n", " ") for _, bad, _ in REPLACED])
def test_a_mistake_elsewhere_is_told_too(written: Path, good: str, bad: str, told: str) -> None:
    written.write_text(GOOD.replace(good, bad))
    with pytest.raises(ConfigError) as raised:
        read(written, {})
    assert told in str(raised.value)
    assert str(raised.value).startswith(str(written))


DEFAULTS = [
    ('verdict = "hold"', "program.cards.default.verdict: is not 'approve', 'challenge' or 'decline'", "verdict ="),
    ('verdict = "approve"', "program.cards.default: approves without a cap", 'default = { verdict = "challenge" }'),
    ("cap_minor = -1", "program.cards.default.cap_minor: is below 0", "cap_minor = 1000000"),
    ("window_s = 0", "program.cards.default.window_s: is not above nothing", "window_s = 3600"),
    ('beyond_cap = "approve"', "program.cards.default.beyond_cap: is not 'challenge' or 'decline'", "beyond_cap ="),
    ("kap_minor = 1", "program.cards.default.kap_minor: is not a known key; did you mean cap_minor?", ""),
    ('segment = [{verdict="decline",mmc=["1"]}]', "default.segment[1].mmc: is not a known key; did you mean mcc?", ""),
    ('segment = [{verdict="decline",mcc=["541"]}]', "default.segment[1].mcc: is not a merchant category", "mcc ="),
    ('segment = [{verdict="decline",kinds=["gift"]}]', "default.segment[1].kinds: is not 'purchase'", "kinds ="),
    ('segment = [{verdict="decline",kinds=[]}]', "default.segment[1].kinds: is empty", "kinds ="),
    ("segment = [{below_minor=5}]", "default.segment[1].verdict: is missing", 'verdict = "approve"'),
    ('segment = [{verdict="decline",from_minor=5,below_minor=5}]', "default: no amount lies", ""),
    ('segment = [{verdict="approve"}]', "default: approves without a cap", ""),
]


@pytest.mark.parametrize(("line", "told", "mend"), DEFAULTS, ids=[line for line, _, _ in DEFAULTS])
def test_a_mistake_in_a_default_is_told_with_its_place_and_mend(written: Path, line: str, told: str, mend: str) -> None:
    written.write_text(f"{GOOD}\n[program.cards.default]\n{line}\n")
    with pytest.raises(ConfigError) as raised:
        read(written, {})
    assert told in str(raised.value)
    assert mend in str(raised.value)


def test_what_is_declared_is_part_of_the_policy_and_what_is_not_has_none(written: Path) -> None:
    plain = policy(read(written, {}).program["cards"])
    assert b"default" not in plain
    written.write_text(f"""{GOOD}
required_features = ["amount"]

[program.cards.default]
cap_minor = 500
window_s = 60

[[program.cards.default.segment]]
verdict = "approve"
kinds = ["purchase"]
below_minor = 100
mcc = ["5411"]
""")
    declared = json.loads(policy(read(written, {}).program["cards"]))
    assert declared.pop("required_features") == ["amount"]
    assert declared.pop("default") == {
        "verdict": "challenge",
        "cap_minor": 500,
        "window_us": 60_000_000,
        "beyond_cap": "decline",
        "segments": [{"verdict": "approve", "kinds": ["purchase"], "below_minor": 100, "mcc": ["5411"], "channel": []}],
    }
    assert declared == json.loads(plain)


VARIABLES = [
    ("FRAUDGATE_SERVER_CONNECTIONS", "0", "is below 1, the least; write for example: connections = 1024"),
    ("FRAUDGATE_SERVER_LISTEN", "nowhere", "is not host:port"),
    ("FRAUDGATE_SERVER_LISSTEN", "0.0.0.0:1", "is not a known key; did you mean listen?"),
    ("FRAUDGATE_KEYS_HASH_KEY", "gone", "there is no file"),
    ("FRAUDGATE_PROGRAM_CARDS_MODE", "off", "is not 'decide' or 'observe'"),
    ("FRAUDGATE_PROGRAM_CARD_MODE", "observe", "variables may begin with: FRAUDGATE_PROGRAM_CARDS_"),
]


@pytest.mark.parametrize(("variable", "value", "told"), VARIABLES, ids=[f"{v}={x}" for v, x, _ in VARIABLES])
def test_a_mistake_in_the_environment_names_the_variable(written: Path, variable: str, value: str, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read(written, {variable: value})
    assert str(raised.value).startswith(f"{variable}: ")
    assert told in str(raised.value)


def test_a_hash_key_is_64_hexadecimal_digits(written: Path) -> None:
    secret = written.parent / "certificates/short.key"
    secret.touch(0o600)
    secret.write_text("abc")
    written.write_text(GOOD.replace("hash.key", "short.key"))
    with pytest.raises(ConfigError, match=r"keys\.hash_key: .*short\.key does not hold 64 hexadecimal digits"):
        read(written, {})


def test_all_mistakes_are_told_at_once(written: Path) -> None:
    written.write_text(GOOD.replace("[server]", '[server]\nlisten = "x"\nbatch = 0'))
    with pytest.raises(ConfigError) as raised:
        read(written, {})
    assert len(str(raised.value).splitlines()) == 2


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read(tmp_path / "none.toml", {})


@pytest.mark.parametrize("name", ["server.key", "hash.key"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_secret_that_others_may_touch_is_refused(written: Path, name: str, mode: int) -> None:
    secret = written.parent / "certificates" / name
    secret.chmod(mode)
    try:
        with pytest.raises(ConfigError, match=r"others than its owner may read or change .*; run: chmod 600"):
            read(written, {})
    finally:
        secret.chmod(0o600)


MOVED = "is not a known key; the whole PoP has one name: write it as pop in [server]"
NAMED = GOOD.replace("[server]", '[server]\npop = "ams1"')
FORWARDED = f"""\
{NAMED}
[program.cards.rescore]
from_risk = 30.0
below_risk = 60.0

[journal]
folder = "journal"
key = "certificates/journal.key"

[forward]
servers = "localhost:9093"
ca = "certificates/ca.pem"
certificate = "certificates/payments.example.pem"
key = "certificates/payments.example.key"
"""


def test_what_is_scored_again_is_part_of_the_policy_and_the_spools_bound_of_the_journal(written: Path) -> None:
    written.write_text(FORWARDED)
    config = read(written, {"FRAUDGATE_FORWARD_SPOOL_INPUTS": "5000"})
    declared = json.loads(policy(config.program["cards"]))["rescore"]
    assert declared == {"from_risk": 30.0, "below_risk": 60.0, "control_share": 0.01, "labels": False}
    assert json.loads(engine_config(config))["journal"]["spool_inputs"] == 5_000


@pytest.mark.parametrize(
    ("was", "is_", "told"),
    [
        ("below_risk = 60.0", "", "program.cards.rescore: from_risk and below_risk stand together"),
        ("below_risk = 60.0", "below_risk = 30.0", "program.cards.rescore: no risk score lies from"),
        (
            "below_risk = 60.0",
            "below_risk = 60.0\ncontrol_share = 2.0",
            "program.cards.rescore.control_share: is above",
        ),
        ("below_risk = 60.0", "below_risk = 60.0\nshare = 2.0", "program.cards.rescore.share: is not a known key"),
        (
            FORWARDED[FORWARDED.index("[forward]") :],
            "",
            "program: cards declares what is scored again, and there is no [forward]",
        ),
        ('pop = "ams1"', "", "forward: others know this PoP by its name, and it has none: write pop"),
        (
            "[forward]",
            '[forward]\npop = "ams1"',
            f"forward.pop: {MOVED}",
        ),
        ('[journal]\nfolder = "journal"\nkey = "certificates/journal.key"', "", "forward: ships what is journaled"),
    ],
)
def test_a_mistake_in_what_is_scored_again_is_told_with_its_place(written: Path, was: str, is_: str, told: str) -> None:
    written.write_text(FORWARDED.replace(was, is_))
    with pytest.raises(ConfigError) as raised:
        read(written, {})
    assert f"{written}: {told}" in str(raised.value)


STREAMED = f"""\
{NAMED}
[journal]
folder = "journal"
key = "certificates/journal.key"

[stream]
servers = "localhost:9093"
ca = "certificates/ca.pem"
certificate = "certificates/payments.example.pem"
key = "certificates/payments.example.key"
transactions = "ams1.transactions"
mirrors = ["fra1.transactions"]
"""


def test_topics_are_taken_in_where_a_journal_says_how_far(written: Path) -> None:
    written.write_text(STREAMED)
    stream = read(written, {"FRAUDGATE_STREAM_POLL": "100"}).stream
    assert stream is not None
    assert (stream.transactions, stream.mirrors, stream.poll) == ("ams1.transactions", ["fra1.transactions"], 100)
    assert (stream.decisions, stream.partitions) == ("fraudgate.decisions", None)


@pytest.mark.parametrize(
    ("was", "is_", "told"),
    [
        ('["fra1.transactions"]', '["ams1.transactions"]', "stream: ams1.transactions is taken twice"),
        ('pop = "ams1"', 'pop = "AMS 1"', "server.pop: "),
        ('pop = "ams1"', "", "stream: others know this PoP by its name, and it has none: write pop"),
        ("[stream]", '[stream]\npop = "ams1"', f"stream.pop: {MOVED}"),
        ('[journal]\nfolder = "journal"\nkey = "certificates/journal.key"', "", "stream: how far it came is journaled"),
        ('key = "certificates/payments.example.key"', "", "stream.key: is missing"),
    ],
)
def test_a_mistake_in_the_stream_is_told_with_its_place(written: Path, was: str, is_: str, told: str) -> None:
    written.write_text(STREAMED.replace(was, is_))
    with pytest.raises(ConfigError) as raised:
        read(written, {})
    assert f"{written}: {told}" in str(raised.value)
