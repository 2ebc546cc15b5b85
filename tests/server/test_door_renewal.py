"""Certificates that are renewed while a server serves: the next handshake is done with them, no answer is lost."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fraudgate.v1 import transaction_pb2
from service import certificates
from tests.scorer import Scorer, running_scorer
from tests.server import sockets

New = Callable[[], transaction_pb2.Transaction]
# The graceful GOAWAY (frame type 7) of a server that finishes what is under way: it names the highest stream.
GOAWAY = b"\x07\x00\x00\x00\x00\x00\x7f\xff\xff\xff"


@pytest.fixture
def scorer(tmp_path: Path) -> Iterator[Scorer]:
    """One whose certificates no other test sees change."""
    with running_scorer(tmp_path) as scorer:
        yield scorer


def shown(port: int, made: ssl.SSLContext) -> bytes | None:
    """The certificate that a server shows a client, DER."""
    with sockets.connected(port, made) as connection:
        return connection.getpeercert(binary_form=True)


def der(leaf: certificates.Leaf) -> bytes:
    first, end, _ = leaf.certificate.read_text().partition(ssl.PEM_FOOTER)
    return ssl.PEM_cert_to_DER_cert(first + end)


@contextlib.contextmanager
def standing(scorer: Scorer) -> Iterator[ssl.SSLSocket]:
    """A connection that is served and then stands idle."""
    made = sockets.context(scorer.folder, scorer.folder.client("all.example"))
    with sockets.connected(scorer.port, made) as connection:
        connection.sendall(sockets.PREFACE + sockets.EMPTY_SETTINGS)
        assert connection.recv(1)
        yield connection


def is_told_to_go_away(connection: ssl.SSLSocket, within_s: float) -> bool:
    connection.settimeout(within_s)
    received = b""
    with contextlib.suppress(TimeoutError):
        while GOAWAY not in received and (piece := connection.recv(4_096)):
            received += piece
    return GOAWAY in received


def renew(scorer: Scorer, folder: certificates.Folder) -> None:
    scorer.server.renew(
        folder.server.certificate.read_bytes(), folder.server.key.read_bytes(), folder.ca.certificate.read_bytes()
    )


def test_a_renewed_certificate_is_shown_from_the_next_handshake_on_and_what_stands_stays(
    scorer: Scorer, new_transaction: New
) -> None:
    made = sockets.context(scorer.folder, scorer.folder.client("all.example"))
    before = der(scorer.folder.server)
    assert shown(scorer.port, made) == before
    assert scorer.score(new_transaction()).receipt.sequence == 1
    with standing(scorer) as connection:
        certificates.make(scorer.folder.path, clients=[], renew=True)
        assert shown(scorer.port, made) == before
        renew(scorer, scorer.folder)
        assert shown(scorer.port, made) == der(scorer.folder.server) != before
        assert not is_told_to_go_away(connection, within_s=0.3)
    # Over the channel of before.
    assert scorer.score(new_transaction()).receipt.sequence == 2
    assert scorer.server.stats()["certificates_renewed"] == 1


def test_whom_an_authority_let_in_that_is_no_longer_believed_is_told_to_go_away(
    scorer: Scorer, new_transaction: New, tmp_path: Path
) -> None:
    other = certificates.make(tmp_path / "other", clients=["all.example"])
    assert scorer.score(new_transaction()).receipt.sequence == 1
    with standing(scorer) as connection:
        renew(scorer, other)
        assert is_told_to_go_away(connection, within_s=10)
    # Each side believes the other authority alone.
    assert sockets.is_served(scorer.port, sockets.context(other, other.client("all.example")))
    assert not sockets.is_served(scorer.port, sockets.context(other, scorer.folder.client("all.example")))


def test_what_does_not_belong_together_is_refused_and_changes_nothing(scorer: Scorer, tmp_path: Path) -> None:
    mine, other = scorer.folder, certificates.make(tmp_path / "other", clients=[])
    certificate, key, ca = (
        path.read_bytes() for path in (mine.server.certificate, mine.server.key, mine.ca.certificate)
    )
    for files in (
        (certificate, other.server.key.read_bytes(), ca),
        (b"", key, ca),
        (certificate, b"no key", ca),
        (certificate, key, b"no certificate"),
    ):
        with pytest.raises(ValueError, match=r"certificate|key|client_ca") as raised:
            scorer.server.renew(*files)
        assert key.decode() not in str(raised.value)
    assert sockets.is_served(scorer.port, sockets.context(mine, mine.client("all.example")))
    assert scorer.server.stats()["certificates_renewed"] == 0
