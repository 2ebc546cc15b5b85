"""`fraudgate journal erase` and `rewrite`: who is erased, what that reaches, and what it says it does not."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner, Result

from fraudgate.errors import FraudgateError
from service import erasure
from service.cli import main
from service.scoring import Connection
from tests.scorer import Scorer, running_scorer
from tests.server.test_journal import KEY, purchase, settings
from tests.service.test_journal_command import show
from tests.service.test_journal_command import written as written

WHOM = "c-7"


@pytest.fixture
def home(written: Path, tmp_path: Path) -> Path:
    """A copy of three lives of a journal, in which customer c-7 bought twice, to be changed."""
    return Path(shutil.copytree(written, tmp_path / "home"))


def run(home: Path, *words: str, given: str = "") -> Result:
    """Runs a command, when the threads of the one before have let go of the journal: here all are one process."""
    for _ in range(50):
        result = CliRunner().invoke(main, ["journal", "--config", str(home / "fraudgate.toml"), *words], input=given)
        if "another process has it open" not in result.output:
            break
        time.sleep(0.02)
    return result


def connection(scorer: Scorer, identity: str) -> Connection:
    return Connection.of_folder(f"localhost:{scorer.port}", scorer.folder, f"{identity}.example")


def test_a_running_scorer_erases_for_whom_that_is_allowed(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with running_scorer(tmp_path, journal=settings(journal), journal_key=KEY, ahead_us=None) as scorer:
        for number in range(10):
            scorer.score(purchase(number))
        with pytest.raises(FraudgateError, match="not allowed") as refused:
            erasure.while_serving(connection(scorer, "all"), "shop", "customer", WHOM)
        assert refused.value.code is grpc.StatusCode.PERMISSION_DENIED
        with pytest.raises(FraudgateError, match="is not an entity of the plan"):
            erasure.while_serving(connection(scorer, "operator"), "shop", "card", WHOM)
        told = erasure.while_serving(connection(scorer, "operator"), "shop", "customer", WHOM)
        assert (told["sequence"], told["held"]) == (11, True)
        again = erasure.while_serving(connection(scorer, "operator"), "shop", "customer", WHOM)
        assert (again["sequence"], again["held"]) == (12, False)
        # What it did reads as unknown now, and not as nothing.
        seen = scorer.score(purchase(57)).assessment
        assert "customer_count_1d" in seen.incomplete_features
        assert "customer_count_1d" not in scorer.score(purchase(8)).assessment.incomplete_features
        digest = scorer.server.digest()
    with running_scorer(tmp_path, journal=settings(journal), journal_key=KEY, ahead_us=None) as scorer:
        assert scorer.server.digest() == digest


def test_a_key_is_erased_at_rest_and_then_from_the_segments(home: Path) -> None:
    erased = run(home, "erase", "shop", "customer", given=f"{WHOM}\n")
    assert erased.exit_code == 0, erased.output
    told = json.loads(erased.stdout)
    assert (told["sequence"], told["held"]) == (91, True)
    assert "records before 91" in told["not_reached"][0]
    assert WHOM not in erased.output
    before = json.loads(run(home, "replay", "--json").stdout)

    rewrote = json.loads(run(home, "rewrite").stdout)
    assert (rewrote["erasures"], rewrote["keys_taken_from_records"]) == (1, 2)
    assert len(rewrote["segments_rewritten"]) == 2
    # Nothing of before the erasure stands in the segment that holds it.
    assert not [left for left in rewrote["not_reached"] if left.startswith("segments")]
    assert json.loads(run(home, "rewrite").stdout)["segments_rewritten"] == []

    # A replay makes the same state; what the erased customer's two purchases saw of it is unknown, all else the same.
    after = json.loads(run(home, "replay", "--json", "--models", str(home / "models")).stdout)
    assert after["digest"] == before["digest"]
    assert after["features"]["same"] == 88
    assert after["features"]["differing"] == 0
    assert after["features"]["unknown"] == {"its customer was erased; the other features are the same": 2}
    assert after["assessments"]["same"] == 90
    code, shown = show(home, "t-57", "--models", str(home / "models"))
    assert code == 1
    assert "its customer was erased" in shown["again"]["features"]["why"]
    assert shown["again"]["assessment"] == {"result": "same"}


def test_whom_nothing_is_held_of_is_said_and_not_repeated(home: Path) -> None:
    erased = run(home, "erase", "shop", "customer", given="4111111111111111\n")
    assert erased.exit_code == 0, erased.output
    assert json.loads(erased.stdout)["held"] is False
    assert "is the key given as transactions give it?" in erased.stderr
    assert "4111" not in erased.output
    for words, why in (
        (("shop", "card"), "is not an entity of the plan"),
        (("shops", "customer"), "is not served here"),
    ):
        refused = run(home, "erase", *words, given=f"{WHOM}\n")
        assert refused.exit_code == 1
        assert why in refused.output


def test_neither_is_done_at_rest_while_a_scorer_runs(home: Path) -> None:
    with running_scorer(home, journal=settings(home / "journal"), journal_key=KEY, ahead_us=None):
        for words in (["erase", "shop", "customer"], ["rewrite"]):
            refused = run(home, *words, given=f"{WHOM}\n")
            assert refused.exit_code == 1
            assert "another process has it open" in refused.output
