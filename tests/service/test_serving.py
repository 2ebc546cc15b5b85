"""The real scorer through the real client: what it answers, whom it refuses, how it stops."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Unpack

import grpc
import pytest

import fraudgate
from fraudgate.transactions import Payment
from fraudgate.v1 import decision_pb2
from models.manifest import MANIFEST, MODEL
from service import certificates, serving, simulate
from tests.server import sockets
from tests.service.conftest import Place, Scorer, Start

NOW = datetime(2026, 2, 1, 12, 0, tzinfo=UTC)


def payment(number: int = 1, **changes: Unpack[Payment]) -> fraudgate.Transaction:
    facts: Payment = {
        "id": f"t{number}",
        "program": "cards",
        "event_time": NOW + timedelta(seconds=number),
        "amount": "57.16",
        "currency": "EUR",
        "entities": {"customer": "c1", "terminal": "t9"},
    }
    return fraudgate.purchase(**{**facts, **changes})  # type: ignore[typeddict-item]


def stop(scorer: Scorer) -> int:
    scorer.process.send_signal(signal.SIGTERM)
    return scorer.process.wait(timeout=30)


def test_a_decision_is_full_and_names_what_it_was_made_by(start: Start) -> None:
    with start() as scorer, scorer.connect() as client:
        assert client.healthy()
        assessment = client.score(payment()).assessment
        assert assessment.tier == decision_pb2.TIER_FULL
        assert 0 < assessment.fraud_probability < 1
        assert 0 <= assessment.risk_score <= 100
        assert len(assessment.model_digest) == len(assessment.plan_digest) == len(assessment.policy_digest) == 32
        assert stop(scorer) == 0
        (loaded,) = (line for line in map(json.loads, scorer.log.read_text().splitlines()) if "model" in line["event"])
        assert (loaded["program"], loaded["full"], loaded["reduced"]) == ("cards", "walker", "walker")


def test_a_repeated_transaction_gets_its_first_answer_and_a_reused_id_none(start: Start) -> None:
    with start() as scorer, scorer.connect() as client:
        first = client.score(payment())
        again = client.score(payment())
        assert (first.receipt.replayed, again.receipt.replayed) == (False, True)
        assert again.assessment == first.assessment
        with pytest.raises(fraudgate.IdReused):
            client.score(payment(amount="57.17"))


def test_what_is_wrong_is_named_by_its_field(start: Start) -> None:
    wrong_currency, unknown_entity, ahead = payment(2), payment(3, entities={"device": "d"}), payment(4)
    wrong_currency.currency = "EURO"
    ahead.event_time_us = fraudgate.microseconds(datetime.now(UTC) + timedelta(days=1))
    with start() as scorer, scorer.connect() as client:
        for transaction, field, code in (
            (wrong_currency, "currency", grpc.StatusCode.INVALID_ARGUMENT),
            (unknown_entity, "entities[0].name", grpc.StatusCode.INVALID_ARGUMENT),
            (ahead, "event_time_us", grpc.StatusCode.OUT_OF_RANGE),
            (payment(5, program="other"), "program", grpc.StatusCode.INVALID_ARGUMENT),
        ):
            with pytest.raises(fraudgate.InvalidTransaction) as raised:
                client.score(transaction)
            assert raised.value.fields[0].field == field
            assert raised.value.code is code
        good, bad = client.score_batch([payment(1), wrong_currency])
        assert isinstance(good, fraudgate.Decision)
        assert isinstance(bad, fraudgate.InvalidTransaction)
        assert bad.fields[0].field == "transactions[1].currency"


def test_an_event_time_may_be_ahead_where_it_is_configured(start: Start) -> None:
    with start(FRAUDGATE_SERVER_AHEAD_S="unbounded") as scorer, scorer.connect() as client:
        assert client.score(payment(event_time=datetime(2090, 1, 1, tzinfo=UTC))).assessment.tier


def test_an_identity_may_do_what_it_is_allowed_and_no_more(start: Start) -> None:
    label = fraudgate.label(payment(), "third_party_fraud", source="chargeback")
    with start() as scorer:
        with scorer.connect("scoring-only.example") as client:
            assert client.score(payment()).receipt.sequence == 1
            with pytest.raises(fraudgate.NotAllowed):
                client.label([label])
        with scorer.connect("stranger.example") as client, pytest.raises(fraudgate.NotAllowed):
            client.score(payment())
        with scorer.connect() as client:
            (receipt,) = client.label([label])
            assert isinstance(receipt, fraudgate.Receipt)


def test_a_message_that_is_too_large_is_refused_and_not_retried(start: Start) -> None:
    with start(FRAUDGATE_SERVER_MESSAGE_BYTES="4096") as scorer, scorer.connect() as client:
        with pytest.raises(fraudgate.Failed) as raised:
            client.score_batch([payment(n) for n in range(200)])
        assert raised.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_stream_is_answered_in_order(start: Start) -> None:
    with start() as scorer, scorer.connect() as client:
        answers = list(client.score_stream(payment(n) for n in range(2000)))
        sequences = [answer.receipt.sequence for answer in answers if isinstance(answer, fraudgate.Decision)]
        assert sequences == list(range(1, 2001))


def test_stopping_finishes_what_is_in_flight(start: Start) -> None:
    """Each call is answered or told that the scorer is not there; none is lost half way, and the process ends well."""
    answered: list[int] = []
    refused: list[fraudgate.FraudgateError] = []
    with start() as scorer, scorer.connect() as client:

        def ask(worker: int) -> None:
            for n in range(100_000):
                try:
                    client.score(payment(worker * 1_000_000 + n))
                except fraudgate.FraudgateError as error:
                    refused.append(error)
                    return
                answered.append(n)

        workers = [threading.Thread(target=ask, args=(worker,)) for worker in range(4)]
        for worker in workers:
            worker.start()
        while len(answered) < 200:
            time.sleep(0.01)
        assert stop(scorer) == 0
        for worker in workers:
            worker.join()
        assert {type(error) for error in refused} == {fraudgate.Unavailable}
        assert not client.healthy()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_by_either_signal_and_says_what_it_did(start: Start, number: signal.Signals) -> None:
    with start() as scorer:
        with scorer.connect() as client:
            client.score(payment())
        scorer.process.send_signal(number)
        assert scorer.process.wait(timeout=30) == 0
        events = [line for line in scorer.log.read_text().splitlines() if '"stopped"' in line]
        assert len(events) == 1
        assert '"transactions": 1' in events[0]


def test_nothing_of_a_transaction_is_in_the_log(start: Start) -> None:
    secret = "4111111111111111"
    with start() as scorer, scorer.connect() as client:
        client.score(payment(id=f"id-{secret}", entities={"customer": secret}))
        with pytest.raises(fraudgate.InvalidTransaction) as raised:
            client.score(payment(3, entities={secret: secret}))
        assert stop(scorer) == 0
        assert secret not in scorer.log.read_text() + str(raised.value)


def test_nothing_is_written_to_the_home_folder(start: Start, tmp_path: Path) -> None:
    """ONNX Runtime's library would, unless told before it loads."""
    home = tmp_path / "home"
    home.mkdir()
    with start(HOME=str(home), XDG_CACHE_HOME="", XDG_DATA_HOME="") as scorer:
        with scorer.connect() as client:
            client.score(payment())
        assert stop(scorer) == 0
    assert list(home.rglob("*")) == []


def refused(place: Place, **environment: str) -> str:

    done = subprocess.run(
        [sys.executable, "-m", "service", "serve", "--config", str(place.config)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_what_cannot_be_served_is_told_before_it_listens(place: Place, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_bytes((place.folder / "trained/plan.json").read_bytes().replace(b'"handbook"', b'"other"'))
    assert "plan" in refused(place, FRAUDGATE_PROGRAM_CARDS_PLAN=str(other))
    other.write_text("{}")
    assert "Error: " in refused(place, FRAUDGATE_PROGRAM_CARDS_PLAN=str(other))
    assert "did you mean listen?" in refused(place, FRAUDGATE_SERVER_LISTN="x")


def test_a_configuration_can_be_checked_without_listening(place: Place) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service", "serve", "--check", "--config", str(place.config)],
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_serving_imports_nothing_that_only_training_and_tables_need(place: Place) -> None:
    """A start waits for what it imports: LightGBM and the converter alone would cost more than all else of it."""
    command = ["serve", "--check", "--config", str(place.config)]
    told = "import sys; from service.cli import main; main(sys.argv[1:], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", told, *command], capture_output=True, text=True, timeout=60)
    imported = {module.partition(".")[0] for module in done.stdout.split()}
    assert {"service", "engine"} <= imported, done.stderr
    heavy = {"lightgbm", "models", "onnx", "onnxmltools", "onnxruntime", "pandas", "pyarrow", "scipy", "sklearn"}
    assert not imported & heavy


def test_history_warms_the_state_before_it_listens(place: Place, tmp_path: Path) -> None:
    history, labels = simulate.write(tmp_path, *place.tables)
    command = [sys.executable, "-m", "service", "serve", "--check", "--config", str(place.config)]
    done = subprocess.run(
        [*command, "--history", str(history), "--labels", str(labels)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    loaded, warmed = (json.loads(line) for line in done.stderr.splitlines())
    assert (loaded["event"], loaded["program"]) == ("model loaded", "cards")
    assert (warmed["event"], warmed["program"]) == ("warmed", "cards")
    assert warmed["transactions"] == place.tables.transactions.num_rows
    assert warmed["labels"] == place.tables.labels.num_rows


def test_an_address_that_is_taken_is_told(start: Start, place: Place) -> None:
    with start() as scorer:
        assert str(scorer.port) in refused(place, FRAUDGATE_SERVER_LISTEN=f"127.0.0.1:{scorer.port}")


def test_the_bundle_s_files_are_called_as_training_calls_them() -> None:
    assert (serving.MANIFEST, serving.MODEL) == (MANIFEST, MODEL)


def test_a_certificate_that_is_renewed_is_shown_without_a_restart(start: Start, place: Place) -> None:
    def shown() -> bytes | None:
        with sockets.connected(scorer.port, made) as connection:
            return connection.getpeercert(binary_form=True)

    made = sockets.context(place.certificates, place.certificates.client("payments.example"))
    with start() as scorer, scorer.connect() as client:
        assert client.score(payment()).receipt.sequence == 1
        before = shown()
        certificates.make(place.certificates.path, clients=[], renew=True)
        deadline = time.monotonic() + 90
        while shown() == before:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert client.score(payment(2)).receipt.sequence == 2
        assert stop(scorer) == 0
        assert '"certificates were renewed"' in scorer.log.read_text()
