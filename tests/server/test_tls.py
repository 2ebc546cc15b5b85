"""Who is not who they must be gets no connection, and who is slow or silent hurts nobody else."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fraudgate.v1 import transaction_pb2
from service import certificates
from tests.scorer import Scorer, running_scorer
from tests.server import sockets

New = Callable[[], transaction_pb2.Transaction]


@pytest.fixture
def client(scorer: Scorer) -> ssl.SSLContext:
    return sockets.context(scorer.folder, scorer.folder.client("all.example"))


def test_a_client_of_our_authority_is_served_over_tls_1_3(scorer: Scorer, client: ssl.SSLContext) -> None:
    assert sockets.is_served(scorer.port, client)
    with sockets.connected(scorer.port, client) as connection:
        assert (connection.version(), connection.selected_alpn_protocol()) == ("TLSv1.3", "h2")


def test_tls_1_2_gets_no_connection(scorer: Scorer, client: ssl.SSLContext) -> None:
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    assert not sockets.is_served(scorer.port, client)


def test_a_client_that_does_not_agree_on_http_2_gets_no_connection(scorer: Scorer) -> None:
    leaf = scorer.folder.client("all.example")
    silent = ssl.create_default_context(cafile=scorer.folder.ca.certificate)
    silent.load_cert_chain(leaf.certificate, leaf.key)
    assert not sockets.is_served(scorer.port, silent)
    silent.set_alpn_protocols(["http/1.1"])
    assert not sockets.is_served(scorer.port, silent)


def test_plaintext_gets_no_connection(scorer: Scorer) -> None:
    with socket.create_connection(("127.0.0.1", scorer.port), timeout=10) as plain:
        plain.sendall(sockets.PREFACE + sockets.EMPTY_SETTINGS)
        assert sockets.is_closed(plain)


def test_no_certificate_gets_no_connection(scorer: Scorer) -> None:
    assert not sockets.is_served(scorer.port, sockets.context(scorer.folder, None))


def test_a_certificate_of_another_authority_gets_no_connection(scorer: Scorer, tmp_path: Path) -> None:
    other = certificates.make(tmp_path, clients=["all.example"])
    assert not sockets.is_served(scorer.port, sockets.context(scorer.folder, other.client("all.example")))


def test_an_expired_certificate_gets_no_connection(scorer: Scorer) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=1_000)
    certificates.make(scorer.folder.path, clients=["expired.example"], now=long_ago)
    assert not sockets.is_served(scorer.port, sockets.context(scorer.folder, scorer.folder.client("expired.example")))


def test_the_servers_own_certificate_is_no_client_certificate(scorer: Scorer) -> None:
    assert not sockets.is_served(scorer.port, sockets.context(scorer.folder, scorer.folder.server))


def test_sessions_are_not_resumed(scorer: Scorer, client: ssl.SSLContext) -> None:
    with sockets.connected(scorer.port, client) as first:
        first.sendall(sockets.PREFACE + sockets.EMPTY_SETTINGS)
        assert first.recv(1)
        session = first.session
        assert session is None or not session.has_ticket


def test_who_is_silent_in_the_handshake_is_cut_and_hurts_nobody(tmp_path: Path, new_transaction: New) -> None:
    with running_scorer(tmp_path, handshake_ms=300) as scorer, contextlib.ExitStack() as held:
        silent = [
            held.enter_context(socket.create_connection(("127.0.0.1", scorer.port), timeout=10)) for _ in range(20)
        ]
        silent[0].sendall(b"\x16\x03\x01")
        assert scorer.score(new_transaction()).receipt.sequence == 1
        assert all(sockets.is_closed(one) for one in silent)
        assert scorer.server.stats()["handshakes_failed"] == len(silent)


def test_half_a_frame_and_silence_hurts_nobody(scorer: Scorer, client: ssl.SSLContext, new_transaction: New) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(10):
            connection = held.enter_context(sockets.connected(scorer.port, client))
            # The head of a DATA frame of 100 bytes, and three of them.
            connection.sendall(sockets.PREFACE + sockets.EMPTY_SETTINGS + bytes((0, 0, 100, 0, 0, 0, 0, 0, 1)) + b"abc")
        for _ in range(20):
            assert scorer.score(new_transaction()).HasField("assessment")


def test_500_idle_connections_hurt_nobody(tmp_path: Path, new_transaction: New) -> None:
    with running_scorer(tmp_path, connections=600) as scorer, contextlib.ExitStack() as held:
        made = sockets.context(scorer.folder, scorer.folder.client("all.example"))
        for _ in range(500):
            held.enter_context(sockets.connected(scorer.port, made)).sendall(sockets.PREFACE + sockets.EMPTY_SETTINGS)
        for _ in range(20):
            assert scorer.score(new_transaction()).HasField("assessment")
        assert scorer.server.stats()["connections_open"] == 501


def test_a_connection_over_the_cap_is_closed_at_once_and_a_freed_place_is_taken(tmp_path: Path) -> None:
    with running_scorer(tmp_path, connections=2) as scorer:
        made = sockets.context(scorer.folder, scorer.folder.client("all.example"))
        with contextlib.ExitStack() as held:
            for _ in range(2):
                connection = held.enter_context(sockets.connected(scorer.port, made))
                connection.sendall(sockets.PREFACE + sockets.EMPTY_SETTINGS)
                assert connection.recv(1)
            assert not sockets.is_served(scorer.port, made)
            assert scorer.server.stats()["connections_excess"] == 1
        assert any(sockets.is_served(scorer.port, made) for _ in range(100))


def test_an_idle_connection_and_an_old_one_are_told_to_go_away(tmp_path: Path) -> None:
    for limits in ({"idle_s": 1}, {"connection_age_s": 1}):
        with running_scorer(tmp_path, **limits) as scorer:
            made = sockets.context(scorer.folder, scorer.folder.client("all.example"))
            with sockets.connected(scorer.port, made) as connection:
                connection.sendall(sockets.PREFACE + sockets.EMPTY_SETTINGS)
                received = b""
                # GOAWAY is frame type 7; the graceful one names the highest stream.
                while b"\x07\x00\x00\x00\x00\x00\x7f\xff\xff\xff" not in received:
                    piece = connection.recv(4_096)
                    assert piece, "closed without GOAWAY"
                    received += piece
