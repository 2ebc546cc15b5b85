"""The full road: this project's server with the stage's program, warm. `python -m benchmarks.engine_server STAGE`.

With `--journal` it journals, to a folder of the stage that is made anew.

It prints its port once it answers.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from benchmarks import traffic
from benchmarks.stage import CLIENT, PROGRAM, Stage
from engine import Server, onnxruntime_library

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


def main() -> None:
    """Serves until it is killed."""
    stage = Stage(Path(sys.argv[1]))
    certificates = stage.certificates
    journaled = "--journal" in sys.argv
    journal = JOURNAL | {"folder": str(stage.path / "journal")} if journaled else None
    server = Server(
        json.dumps(CONFIG | {"journal": journal}).encode(),
        bytes.fromhex(certificates.hash_key.read_text()),
        certificates.server.certificate.read_bytes(),
        certificates.server.key.read_bytes(),
        certificates.ca.certificate.read_bytes(),
    )
    server.add_program(PROGRAM, stage.plan, stage.policy, (stage.manifest, stage.onnx), traffic.COMPLETE_SINCE_US)
    if journal is not None:
        shutil.rmtree(stage.path / "journal", ignore_errors=True)
        server.recover(bytes(32))
    server.warm(PROGRAM, stage.transactions, stage.labels)
    print(server.start(), flush=True)
    server.wait()


if __name__ == "__main__":
    main()
