"""The full road: this project's server with the stage's program, warm. `python -m benchmarks.engine_server STAGE`.

With `--journal` it journals, to a folder of the stage that is made anew. With `--forward POP JSON` besides (as in a
configuration) a share is scored again in the cloud, with `--stream POP JSON` it takes topics in.

It prints its port once it answers.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import traffic
from benchmarks.stage import CLIENT, PROGRAM, Stage
from engine import Server, onnxruntime_library
from service import logs
from service.config import Forward, Stream

if TYPE_CHECKING:
    from service.cloud.link import Link

CONFIG = {
    "listen": "127.0.0.1:0",
    "connections": 1024,
    "streams": 256,
    "message_bytes": 1 << 20,
    "batch": 1024,
    "queue": 16384,
    "handshake_ms": 5000,
    "connection_age_s": 3600,
    "idle_s": 900,
    # The transactions' clock runs far faster than ours.
    "ahead_us": None,
    "known_ids": 1 << 18,
    "memory": {"history_bytes": 1 << 32, "rows_a_key": 16_384, "process_bytes": None},
    "onnxruntime": str(onnxruntime_library()),
    "identities": [{"name": f"dns:{CLIENT}", "allow": ["scoring", "operation"]}],
}

JOURNAL = {
    "promise": "written",
    "segment_bytes": 1 << 26,
    "buffer_bytes": 1 << 26,
    "sync_ms": 20,
    "retain_bytes": None,
    "retain_s": None,
    "snapshot_bytes": None,
    "snapshot_inputs": None,
    "snapshots": 2,
}

RESCORE = {"control_share": 0.05, "from_risk": 30.0, "below_risk": 60.0, "labels": False}


def main() -> None:
    """Serves until it is killed."""
    # On stdout stands the port alone.
    logs.configure()
    stage = Stage(Path(sys.argv[1]))
    certificates = stage.certificates
    forward = Forward.model_validate(json.loads(_said("--forward")[1])) if "--forward" in sys.argv else None
    folder = stage.path / ("journal" if forward is None else "journal-forwarded")
    spool = {"folder": str(folder), "spool_inputs": None if forward is None else forward.spool_inputs}
    journal = JOURNAL | spool if "--journal" in sys.argv else None
    server = Server(
        json.dumps(CONFIG | {"journal": journal}).encode(),
        bytes.fromhex(certificates.hash_key.read_text()),
        certificates.server.certificate.read_bytes(),
        certificates.server.key.read_bytes(),
        certificates.ca.certificate.read_bytes(),
    )
    policy = json.loads(stage.policy) if forward is None else json.loads(stage.policy) | {"rescore": RESCORE}
    model = stage.manifest, stage.onnx
    server.add_program(PROGRAM, stage.plan, json.dumps(policy).encode(), model, traffic.COMPLETE_SINCE_US)
    if journal is not None:
        shutil.rmtree(folder, ignore_errors=True)
        server.recover(bytes(32))
    server.warm(PROGRAM, stage.transactions, stage.labels)
    link = None if forward is None else _link(server, forward)
    port = server.start()
    if link is not None:
        link.start()
    if "--stream" in sys.argv:
        _stream(server, folder)
    print(port, flush=True)
    server.wait()


def _said(flag: str) -> tuple[str, str]:
    """What stands behind a flag: the PoP's name, and JSON."""
    at = sys.argv.index(flag)
    return sys.argv[at + 1], sys.argv[at + 2]


def _stream(server: Server, folder: Path) -> None:
    # Only here is a broker's client needed.
    from service.stream.worker import Worker

    pop, said = _said("--stream")
    Worker(server, pop, Stream.model_validate(json.loads(said)), folder).start()


def _link(server: Server, forward: Forward) -> Link:
    # Only here is a broker's client needed.
    from service.cloud.link import Link

    return Link(server, _said("--forward")[0], forward)


if __name__ == "__main__":
    main()
