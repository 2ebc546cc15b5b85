"""A certificate authority for development and tests: one CA, a server, and one client for each identity.

Everything is EC P-256 with SHA-256. Lifetimes: CA ten years; server and clients 397 days, the most that browsers and
most trust stores still accept for a leaf. Production takes its certificates from its own authority.
"""

import ipaddress
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from service.files import make_private_folder, write_private

CA_LIFETIME: Final = timedelta(days=3653)
LEAF_LIFETIME: Final = timedelta(days=397)
# Clocks differ: a certificate made a moment ago must already be valid on a machine that is a little behind.
CLOCK_SKEW: Final = timedelta(minutes=5)

_HOST: Final = re.compile(
    r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\Z"
)


class Leaf(NamedTuple):
    """Where a certificate and its key lie."""

    certificate: Path
    key: Path


class Folder(NamedTuple):
    """A folder of development certificates: ca.pem, server.pem, `<client>.pem`, each with its .key, and hash.key."""

    path: Path

    @property
    def ca(self) -> Leaf:
        """The authority."""
        return self._leaf("ca")

    @property
    def server(self) -> Leaf:
        """The scorer's own."""
        return self._leaf("server")

    @property
    def hash_key(self) -> Path:
        """The key that entity keys and ids are hashed with: 64 hexadecimal digits."""
        return self.path / "hash.key"

    @property
    def journal_key(self) -> Path:
        """The key that wraps the keys of the journal's segments: 64 hexadecimal digits."""
        return self.path / "journal.key"

    def client(self, name: str) -> Leaf:
        """That of the client whose identity is `dns:<name>`."""
        return self._leaf(name)

    def _leaf(self, name: str) -> Leaf:
        return Leaf(self.path / f"{name}.pem", self.path / f"{name}.key")


def make(
    path: Path,
    *,
    clients: Sequence[str],
    hosts: Sequence[str] = ("localhost", "127.0.0.1", "::1"),
    renew: bool = False,
    now: datetime | None = None,
) -> Folder:
    """Make a folder of certificates for a scorer on `hosts` and for `clients`, whose identities are `dns:<client>`.

    What is there is kept, and what is missing is made, so that a client can be added later. `renew` makes server and
    clients anew under the CA that is there. The CA, the hash key and the journal's key are never replaced: every
    certificate, every key in the state, and all that is journaled hang on them. Raises
    ValueError for a name that cannot stand in a certificate.
    """
    now = now or datetime.now(UTC)
    for name in clients:
        if not _HOST.match(name) or name in ("ca", "server", "hash", "journal"):
            raise ValueError(f"{name!r} cannot be a client's name: write a host name such as payments.example")
    folder = Folder(path)
    make_private_folder(path)
    for key in (folder.hash_key, folder.journal_key):
        if not key.exists():
            write_private(key, secrets.token_hex(32).encode() + b"\n")
    if not folder.ca.certificate.exists():
        _make_ca(folder.ca, now)
    issuer = _load(folder.ca)
    leaves = [(folder.server, "server", [_name(host) for host in hosts], ExtendedKeyUsageOID.SERVER_AUTH)]
    leaves += [(folder.client(n), n, [x509.DNSName(n)], ExtendedKeyUsageOID.CLIENT_AUTH) for n in clients]
    for leaf, common_name, names, usage in leaves:
        if renew or not leaf.certificate.exists():
            _make_leaf(leaf, issuer, common_name, names, usage, now)
    return folder


class _Authority(NamedTuple):
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def _make_ca(leaf: Leaf, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fraudgate development CA")])
    certificate = (
        _builder(name, name, key.public_key(), now, CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(leaf, certificate, key)


def _make_leaf(
    leaf: Leaf,
    issuer: _Authority,
    common_name: str,
    names: Sequence[x509.GeneralName],
    usage: x509.ObjectIdentifier,
    now: datetime,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    # A common name has at most 64 characters (X.520); identities are read from the alternative names alone.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])
    certificate = (
        _builder(subject, issuer.certificate.subject, key.public_key(), now, LEAF_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
        .sign(issuer.key, hashes.SHA256())
    )
    _write(leaf, certificate, key)


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _write(leaf: Leaf, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    """The key first: a certificate is only there once its key is."""
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    whole = leaf.certificate.exists()
    if leaf.key.exists() and not whole:
        raise FileExistsError(f"{leaf.key} is there without {leaf.certificate}: bring that back, or move the key away")
    write_private(leaf.key, secret, replace=whole)
    leaf.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _load(leaf: Leaf) -> _Authority:
    key = serialization.load_pem_private_key(leaf.key.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{leaf.key} is no EC key: make the certificates in another folder")
    return _Authority(x509.load_pem_x509_certificate(leaf.certificate.read_bytes()), key)


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        if not _HOST.match(host):
            raise ValueError(f"{host!r} is neither an address nor a host name such as scorer.example") from None
        return x509.DNSName(host)
