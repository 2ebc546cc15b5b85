"""As much of Amazon's S3 as a reader asks for, on loopback: a folder's files as objects of one bucket.

ListObjectsV2, HeadObject and GetObject with ranges, by path-style addresses. Signatures are asked for and not checked.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "history"
_LISTED = """<Contents><Key>{key}</Key><LastModified>2025-01-01T00:00:00.000Z</LastModified>\
<ETag>&quot;0&quot;</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"""


class Store(ThreadingHTTPServer):
    """The bucket. asked: method and path of each request, in order."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.folder = folder
        self.asked: list[str] = []

    def uri(self, path: str) -> str:
        """Where an object, or a folder of them, is."""
        host = f"127.0.0.1:{self.server_address[1]}"
        return f"s3://{BUCKET}/{path}?scheme=http&region=us-east-1&endpoint_override={host}"


class _Request(BaseHTTPRequestHandler):
    server: Store
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._object(body=False)

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        if "list-type" in query:
            self._list(query["prefix"][0] if "prefix" in query else "")
        else:
            self._object(body=True)

    def _list(self, prefix: str) -> None:
        self.server.asked.append(f"LIST {prefix}")
        keys = sorted(
            str(path.relative_to(self.server.folder)) for path in self.server.folder.rglob("*") if path.is_file()
        )
        found = [key for key in keys if key.startswith(prefix)]
        listed = "".join(
            _LISTED.format(key=escape(key), size=(self.server.folder / key).stat().st_size) for key in found
        )
        self._answer(
            HTTPStatus.OK,
            f'<?xml version="1.0"?><ListBucketResult><Name>{BUCKET}</Name><Prefix>{escape(prefix)}</Prefix>'
            f"<KeyCount>{len(found)}</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>{listed}"
            "</ListBucketResult>".encode(),
            {"Content-Type": "application/xml"},
        )

    def _object(self, *, body: bool) -> None:
        key = unquote(urlsplit(self.path).path).removeprefix(f"/{BUCKET}").removeprefix("/")
        self.server.asked.append(f"{self.command} {key}")
        path = self.server.folder / key
        if "Authorization" not in self.headers:
            self._answer(HTTPStatus.FORBIDDEN, b"", {})
            return
        if not key:
            self._answer(HTTPStatus.OK, b"", {})
            return
        if not path.is_file():
            self._answer(HTTPStatus.NOT_FOUND, b"", {})
            return
        content = path.read_bytes()
        told = {"Last-Modified": formatdate(path.stat().st_mtime, usegmt=True), "ETag": '"0"', "Accept-Ranges": "bytes"}
        status = HTTPStatus.OK
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            begin, end = int(asked[1]), min(int(asked[2] or len(content) - 1), len(content) - 1)
            told["Content-Range"] = f"bytes {begin}-{end}/{len(content)}"
            content, status = content[begin : end + 1], HTTPStatus.PARTIAL_CONTENT
        self._answer(status, content, told, body=body)

    def _answer(self, status: HTTPStatus, content: bytes, told: dict[str, str], *, body: bool = True) -> None:
        self.send_response(status)
        for name, value in told.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Store]:
    """A bucket that is there for a while."""
    store = Store(folder)
    thread = threading.Thread(target=store.serve_forever)
    thread.start()
    try:
        yield store
    finally:
        store.shutdown()
        thread.join()
        store.server_close()
