"""The full road: this project's server with the stage's program, warm. `python -m benchmarks.engine_server STAGE`.

With `--journal` it journals, to a folder of the stage that is made anew. With `--away` besides, a share is to be scored
again in a cloud that is not there: no broker answers. With `--stream JSON` besides (as in a configuration) it takes
topics in.

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
    "identities": [{"name": f"dns:{CLIENT}", "allow": ["scoring"]}],
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

# More than a benchmark sends: all that is drawn is promised, and waits.
SPOOL = 1 << 30
RESCORE = {"control_share": 0.05, "from_risk": 30.0, "below_risk": 60.0, "labels": False}


def main() -> None:
    """Serves until it is killed."""
    # On stdout stands the port alone.
    logs.configure()
    stage = Stage(Path(sys.argv[1]))
    certificates = stage.certificates
    journaled, away = "--journal" in sys.argv, "--away" in sys.argv
    folder = stage.path / ("journal-away" if away else "journal")
    journal = JOURNAL | {"folder": str(folder), "spool_inputs": SPOOL if away else None} if journaled else None
    server = Server(
        json.dumps(CONFIG | {"journal": journal}).encode(),
        bytes.fromhex(certificates.hash_key.read_text()),
        certificates.server.certificate.read_bytes(),
        certificates.server.key.read_bytes(),
        certificates.ca.certificate.read_bytes(),
    )
    policy = json.dumps(json.loads(stage.policy) | {"rescore": RESCORE}).encode() if away else stage.policy
    server.add_program(PROGRAM, stage.plan, policy, (stage.manifest, stage.onnx), traffic.COMPLETE_SINCE_US)
    if journal is not None:
        shutil.rmtree(folder, ignore_errors=True)
        server.recover(bytes(32))
    server.warm(PROGRAM, stage.transactions, stage.labels)
    link = _link(server, stage) if away else None
    port = server.start()
    if link is not None:
        link.start()
    if "--stream" in sys.argv:
        _stream(server, sys.argv[sys.argv.index("--stream") + 1], folder)
    print(port, flush=True)
    server.wait()


def _stream(server: Server, said: str, folder: Path) -> None:
    # Only here is a broker's client needed.
    from service.stream.worker import Worker

    Worker(server, Stream.model_validate(json.loads(said)), folder).start()


def _link(server: Server, stage: Stage) -> Link:
    """To a broker whose port nobody listens on: the connection is refused each time it is tried."""
    # Only here is a broker's client needed.
    from service.cloud.link import Link

    leaf = stage.certificates.client(CLIENT)
    nobody = Forward(
        pop="bench",
        servers="127.0.0.1:9",
        ca=stage.certificates.ca.certificate,
        certificate=leaf.certificate,
        key=leaf.key,
        spool_inputs=SPOOL,
        requests="rescore",
        decisions="rescored",
        reversals="reversals",
        rows=4_096,
    )
    return Link(server, nobody)


if __name__ == "__main__":
    main()
