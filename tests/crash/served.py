"""`fraudgate serve` of a small program in a folder of its own, to be killed, and the same scorer in the test's process.

Both are started by the same configuration through the same code, so a journal means the same to both.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import grpc

import engine
from service import certificates, config_file, serving
from tests.scorer import FEATURES, small_model

CLIENT = "all.example"
KNOWN_IDS = 1_000_000 if os.environ.get("FRAUDGATE_PROVE") else 400_000
"""More than is sent over all lives: what was acknowledged is told by the ids that are known."""


class Life(NamedTuple):
    """A scorer in a process of its own: its port, None when it died before it served, and what it logged until then."""

    process: subprocess.Popen[str]
    port: int | None
    told: str


def configured(path: Path, journal: dict[str, object] | None = None) -> Path:
    """The configuration of the scorer in `path`, with all that it names; its journal as `journal` says, if any."""
    certificates.make(path / "certificates", clients=[CLIENT])
    plan = FEATURES.compile()
    model = path / "model"
    model.mkdir(exist_ok=True)
    (path / "plan.json").write_bytes(plan.json)
    for name, content in zip((serving.MANIFEST, serving.MODEL), small_model(plan.digest, plan.features), strict=True):
        (model / name).write_bytes(content)
    text = f"""\
[server]
listen = "127.0.0.1:0"
certificate = "certificates/server.pem"
key = "certificates/server.key"
client_ca = "certificates/ca.pem"
ahead_s = "unbounded"
known_ids = {KNOWN_IDS}

[keys]
hash_key = "certificates/hash.key"

[[identity]]
name = "dns:{CLIENT}"
allow = ["scoring"]

[program.shop]
plan = "plan.json"
model = "model"
mode = "decide"
challenge = 40.0
decline = 60.0
complete_since = 2023-11-14T00:00:00Z
"""
    if journal is not None:
        # Small segments and dense snapshots, so that a life of a second comes to every place.
        stated = {"segment_bytes": 1 << 17, "sync_ms": 10, "snapshot_inputs": 500, **journal}
        lines = "".join(f"{key} = {value!r}\n" for key, value in stated.items())
        text += f'\n[journal]\nfolder = "journal"\nkey = "certificates/journal.key"\n{lines}'
    config = path / "fraudgate.toml"
    config.write_text(text)
    return config


@contextlib.contextmanager
def process(
    path: Path, die: str | None = None, before: Callable[[], None] | None = None, **journal: object
) -> Iterator[Life]:
    """A scorer that dies at the place `die`, or at the end; `before` runs in the process before it begins."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FRAUDGATE_")}
    scorer = subprocess.Popen(
        [sys.executable, "-m", "service", "serve", "--config", str(configured(path, journal))],
        stderr=subprocess.PIPE,
        text=True,
        env=environment if die is None else environment | {"FRAUDGATE_DIE": die},
        preexec_fn=before,
    )
    with scorer:
        try:
            assert scorer.stderr is not None
            told, port = "", None
            for line in scorer.stderr:
                told += line
                if '"event": "listening"' in line:
                    port = int(json.loads(line)["port"])
                    break
            yield Life(scorer, port, told)
        finally:
            scorer.kill()


@contextlib.contextmanager
def recovered(path: Path, journaled: bool = True) -> Iterator[tuple[engine.Server, grpc.Channel]]:
    """The scorer of `path` in this process, served, and a channel to it; without its journal it begins at nothing."""
    config = config_file.read(configured(path, {} if journaled else None), {})
    server = serving.prepared(config)
    port = server.start()
    try:
        with channel(path, port) as open_channel:
            yield server, open_channel
    finally:
        server.drain(5.0)


def channel(path: Path, port: int) -> grpc.Channel:
    """A channel with the certificate of one who may score."""
    folder = certificates.Folder(path / "certificates")
    leaf = folder.client(CLIENT)
    credentials = grpc.ssl_channel_credentials(
        folder.ca.certificate.read_bytes(), leaf.key.read_bytes(), leaf.certificate.read_bytes()
    )
    return grpc.secure_channel(f"localhost:{port}", credentials)
