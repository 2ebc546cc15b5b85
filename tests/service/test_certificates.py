"""The development certificates, judged by openssl, and the modes of their files."""

import os
import re
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service import certificates


def openssl(*arguments: object) -> str:
    done = subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> certificates.Folder:
    before = os.umask(0)
    try:
        return certificates.make(
            tmp_path_factory.mktemp("c") / "made", clients=["payments.example", "ops.payments.example"]
        )
    finally:
        os.umask(before)


def test_openssl_verifies_each_for_its_purpose_alone(folder: certificates.Folder) -> None:
    for leaf, purpose, other in (
        (folder.server, "sslserver", "sslclient"),
        (folder.client("payments.example"), "sslclient", "sslserver"),
    ):
        trusted = ("verify", "-x509_strict", "-CAfile", folder.ca.certificate, "-purpose")
        assert openssl(*trusted, purpose, leaf.certificate).strip().endswith("OK")
        with pytest.raises(subprocess.CalledProcessError):
            openssl(*trusted, other, leaf.certificate)


def test_names_are_alternative_names(folder: certificates.Folder) -> None:
    def names(leaf: certificates.Leaf) -> str:
        return openssl("x509", "-in", leaf.certificate, "-noout", "-ext", "subjectAltName").splitlines()[1].strip()

    assert names(folder.server) == "DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1"
    assert names(folder.client("ops.payments.example")) == "DNS:ops.payments.example"


def test_keys_are_p256_and_belong_to_their_certificates(folder: certificates.Folder) -> None:
    for leaf in (folder.ca, folder.server, folder.client("payments.example")):
        assert "prime256v1" in openssl("pkey", "-in", leaf.key, "-noout", "-text")
        public = openssl("pkey", "-in", leaf.key, "-pubout")
        assert openssl("x509", "-in", leaf.certificate, "-noout", "-pubkey") == public


def test_the_authority_signs_leaves_only(folder: certificates.Folder) -> None:
    told = openssl("x509", "-in", folder.ca.certificate, "-noout", "-text")
    assert "CA:TRUE, pathlen:0" in told
    assert re.search(r"Key Usage: critical\n\s+Certificate Sign, CRL Sign\n", told)


def test_lifetimes(tmp_path: Path) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    made = certificates.make(tmp_path / "made", clients=[], now=now)

    def end(leaf: certificates.Leaf) -> datetime:
        told = openssl("x509", "-in", leaf.certificate, "-noout", "-enddate").strip().removeprefix("notAfter=")
        return datetime.strptime(told, "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)

    assert end(made.ca) == now + timedelta(days=3653)
    assert end(made.server) == now + timedelta(days=397)


def test_what_is_secret_is_its_owners_alone_whatever_the_umask(folder: certificates.Folder) -> None:
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    secrets = sorted(path for path in folder.path.iterdir() if path.suffix == ".key")
    assert [path.name for path in secrets] == [
        "ca.key",
        "hash.key",
        "journal.key",
        "ops.payments.example.key",
        "payments.example.key",
        "server.key",
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}
    assert re.fullmatch("[0-9a-f]{64}\n", folder.hash_key.read_text())


def contents(folder: certificates.Folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.path.iterdir()}


def test_making_again_keeps_what_is_there_and_adds_what_is_not(tmp_path: Path) -> None:
    before = contents(certificates.make(tmp_path / "made", clients=["a.example"]))
    after = contents(certificates.make(tmp_path / "made", clients=["a.example", "b.example"]))
    assert after.keys() - before.keys() == {"b.example.pem", "b.example.key"}
    assert {name: after[name] for name in before} == before


def test_renewing_replaces_leaves_and_keeps_the_authority_and_the_hash_key(tmp_path: Path) -> None:
    folder = certificates.make(tmp_path / "made", clients=["a.example"])
    before = contents(folder)
    after = contents(certificates.make(tmp_path / "made", clients=["a.example"], renew=True))
    assert {name for name in before if before[name] == after[name]} == {"ca.pem", "ca.key", "hash.key", "journal.key"}
    assert stat.S_IMODE(folder.server.key.stat().st_mode) == 0o600
    assert openssl("verify", "-CAfile", folder.ca.certificate, folder.server.certificate)


def test_a_key_without_its_certificate_is_not_overwritten(tmp_path: Path) -> None:
    folder = certificates.make(tmp_path / "made", clients=["a.example"])
    folder.server.certificate.unlink()
    key = folder.server.key.read_bytes()
    with pytest.raises(FileExistsError, match="bring that back, or move the key away"):
        certificates.make(tmp_path / "made", clients=["a.example"])
    assert folder.server.key.read_bytes() == key


@pytest.mark.parametrize("name", ["ca", "server", "../up", "a b", "UPPER.example", "", "-a", "x" * 64])
def test_a_name_that_cannot_be_an_identity_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"write a host name such as payments\.example"):
        certificates.make(tmp_path / "made", clients=[name])
