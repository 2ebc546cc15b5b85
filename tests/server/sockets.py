"""Raw TLS connections to a scorer, for what a well-behaved client cannot do."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator

from service import certificates

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
EMPTY_SETTINGS = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))


def context(folder: certificates.Folder, client: certificates.Leaf | None) -> ssl.SSLContext:
    """A client that believes the folder's authority and bears `client`'s certificate."""
    made = ssl.create_default_context(cafile=folder.ca.certificate)
    made.set_alpn_protocols(["h2"])
    if client is not None:
        made.load_cert_chain(client.certificate, client.key)
    return made


@contextlib.contextmanager
def connected(port: int, made: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    """A connection after its handshake."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        made.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        yield connection


def is_served(port: int, made: ssl.SSLContext) -> bool:
    """Whether the server speaks HTTP/2 with this client. In TLS 1.3 it refuses one after the client's handshake."""
    try:
        with connected(port, made) as connection:
            connection.sendall(PREFACE + EMPTY_SETTINGS)
            return bool(connection.recv(1))
    except (ssl.SSLError, ConnectionError):
        return False


def is_closed(connection: socket.socket) -> bool:
    """Whether the server closes the connection within the socket's timeout, whatever it says before."""
    try:
        while connection.recv(65_536):
            pass
    except TimeoutError:
        return False
    except (ssl.SSLError, ConnectionError):
        pass
    return True
