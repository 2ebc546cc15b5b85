"""Certificates that are renewed while a process runs: who made something with files of PEM asks whether they changed.

Files are replaced one after the other, so what does not belong together changes nothing, and is looked at again.
"""

import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import structlog

# How often the files are looked at.
LOOK_S: Final = 3.0

_log = structlog.get_logger()


class Content(NamedTuple):
    """What the files hold."""

    certificate: bytes
    key: bytes
    ca: bytes


class Pems:
    """A certificate, its key, and the authority of whoever is on the other side. OSError where one cannot be read."""

    def __init__(self, certificate: Path, key: Path, ca: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._paths = certificate, key, ca
        self._clock = clock
        self._lock = threading.Lock()
        self.content = self._read()
        """What was there when it was looked at last, and can be used."""
        self._refused: Content | None = None
        self._looked = clock()

    def have_changed(self) -> bool:
        """Whether other files took the place of those before since that was asked last, and can be used."""
        with self._lock:
            now = self._clock()
            if now - self._looked < LOOK_S:
                return False
            self._looked = now
            try:
                found = self._read()
            except OSError as error:
                _log.warning("certificates cannot be read", reason=error.strerror)
                return False
            if found in (self.content, self._refused):
                return False
            if not self._are_usable():
                self._refused = found
                return False
            self.content, self._refused = found, None
        _log.info("certificates were renewed", certificate=str(self._paths[0]))
        return True

    def context(self) -> ssl.SSLContext:
        """A client's, of what is there now. Raises OSError (ssl.SSLError is one) where that cannot be used."""
        certificate, key, ca = self._paths
        made = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca)
        made.load_cert_chain(certificate, key)
        return made

    def _read(self) -> Content:
        return Content(*(path.read_bytes() for path in self._paths))

    def _are_usable(self) -> bool:
        try:
            self.context()
        except (OSError, ValueError) as error:
            _log.warning("certificates cannot be used", certificate=str(self._paths[0]), reason=type(error).__name__)
            return False
        return True
