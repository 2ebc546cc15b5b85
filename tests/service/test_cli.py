"""The command, as a process of its own: what it prints, where, and how it exits."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from fraudgate.v1 import status_pb2, transaction_pb2
from service import certificates
from service.cli import main
from tests.client.scorer import Scripted, serve, status

SECRET = "4111111111111111"


def fraudgate(*arguments: object, given: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from service.cli import main; main()", *map(str, arguments)],
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> certificates.Folder:
    path = tmp_path_factory.mktemp("cli") / "certificates"
    made = fraudgate("certs", path, "--client", "payments.example", "--client", "ops.example")
    assert made.returncode == 0, made.stderr
    assert str(path / "ops.example.key") in made.stdout.split()
    return certificates.Folder(path)


@pytest.fixture
def scorer(folder: certificates.Folder) -> Iterator[tuple[Scripted, int]]:
    scripted = Scripted()
    server, port, _ = serve(scripted, folder)
    yield scripted, port
    server.stop(None).wait()


def line(number: int) -> str:
    return json.dumps({"id": f"t{number}", "program": "cards", "event_time_us": number, "kind": "KIND_PURCHASE"})


def test_one_transaction_is_asked_by_flags(folder: certificates.Folder, scorer: tuple[Scripted, int]) -> None:
    scripted, port = scorer
    asked = fraudgate(
        *("score", "--target", f"localhost:{port}", "--certificates", folder.path, "--id", "a1", "--program", "cards"),
        *("--time", "2018-08-08T02:00:00+02:00", "--amount", "57.16", "--entity", "customer=c1"),
        *("--entity", "terminal=t=9", "--number", "basket_items=3", "--text", "mcc=5411"),
    )
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout) == {"receipt": {"sequence": str(1_533_686_400_000_000)}}
    assert scripted.asked == [
        transaction_pb2.Transaction(
            id="a1",
            program="cards",
            event_time_us=1_533_686_400_000_000,
            utc_offset_minutes=120,
            kind=transaction_pb2.KIND_PURCHASE,
            mode=transaction_pb2.MODE_SCORE,
            amount_minor=5716,
            currency="EUR",
            entities=[{"name": "customer", "value": "c1"}, {"name": "terminal", "value": "t=9"}],
            attributes=[{"name": "basket_items", "number": 3}, {"name": "mcc", "text": "5411"}],
        )
    ]


def test_lines_are_answered_in_order_and_a_refusal_shows_in_the_exit_code(
    folder: certificates.Folder, scorer: tuple[Scripted, int]
) -> None:
    scripted, port = scorer
    refusal = status(
        grpc.StatusCode.INVALID_ARGUMENT,
        "bad",
        status_pb2.BadRequest(field_violations=[{"field": "currency", "description": "is missing"}]),
    )
    scripted.refuse_item = lambda transaction: refusal if transaction.id == "t2" else None
    connect = {"FRAUDGATE_TARGET": f"localhost:{port}", "FRAUDGATE_CERTIFICATES": str(folder.path)}
    asked = fraudgate("score", "--lines", "-", given="\n".join([line(1), "", line(2), line(3)]), **connect)
    assert asked.returncode == 1
    first, second, third = (json.loads(answer) for answer in asked.stdout.splitlines())
    assert (first["receipt"]["sequence"], third["receipt"]["sequence"]) == ("1", "3")
    assert second["error"]["fields"] == [{"field": "currency", "description": "is missing"}]
    assert fraudgate("score", "--lines", "-", given=line(4), **connect).returncode == 0


def test_a_line_that_is_no_transaction_is_told_by_number_without_its_content(
    folder: certificates.Folder, scorer: tuple[Scripted, int]
) -> None:
    connect = {"FRAUDGATE_TARGET": f"localhost:{scorer[1]}", "FRAUDGATE_CERTIFICATES": str(folder.path)}
    for wrong in (f'{{"id": "{SECRET}", "kard": "{SECRET}"}}', f'{{"amount_minor": "{SECRET}x"}}', SECRET, "{"):
        asked = fraudgate("score", "--lines", "-", given=f"{line(1)}\n{wrong}\n", **connect)
        assert asked.returncode == 1
        assert "line 2 is no transaction" in asked.stderr
        assert SECRET not in asked.stdout + asked.stderr


MISTAKES = [
    (("score", "--id", "a"), "give --certificates FOLDER"),
    (("score", "--certificates", ".", "--id", "a"), "missing --program, --amount"),
    (("score", "--entity", "c1"), "write NAME=VALUE"),
    (("score", "--time", "noon"), "write a time such as"),
    (("score", "--certificates", "gone"), "does not exist"),
    (("simulate", "x", "--terminals", "3"), "terminals is 3; it is at least 100"),
    (("certs", "x", "--client", "../up"), "write a host name such as payments.example"),
]


@pytest.mark.parametrize(("arguments", "told"), MISTAKES, ids=[" ".join(arguments) for arguments, _ in MISTAKES])
def test_a_mistake_is_told_without_a_traceback(arguments: tuple[str, ...], told: str) -> None:
    done = CliRunner().invoke(main, arguments)
    assert isinstance(done.exception, SystemExit)
    assert done.exit_code != 0
    assert told in done.stderr


def test_a_scorer_that_is_not_there_is_told(folder: certificates.Folder) -> None:
    done = fraudgate(
        *("score", "--target", "localhost:1", "--certificates", folder.path),
        *("--id", "a", "--program", "p", "--amount", "1", "--deadline", "2"),
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: UNAVAILABLE")


def test_a_world_is_simulated_from_a_seed(tmp_path: Path) -> None:
    flags = ("--customers", 20, "--terminals", 100, "--days", 3, "--start", "2026-03-01", "--seed", 5)
    first, again = fraudgate("simulate", tmp_path / "a", *flags), fraudgate("simulate", tmp_path / "b", *flags)
    assert first.returncode == again.returncode == 0, first.stderr
    for name in ("transactions.parquet", "labels.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    rows = pq.read_table(tmp_path / "a/transactions.parquet").num_rows
    assert f"transactions.parquet: {rows:,} rows" in first.stdout
