"""A PoP with its stream door open, in a process of its own, as `fraudgate serve` makes it:
`python -m tests.stream.serving CONFIG`. It imports what a PoP needs and no more, because it is started often.

Prints its port. With a line on its standard input it stops well, and prints its digest and what it counted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from service import config_file, logs, serving


def main(path: str) -> None:
    logs.configure()
    config = config_file.read(Path(path), {})
    server = serving.prepared(config)
    port = server.start()
    worker = serving.streamed(config, server)
    assert worker is not None
    print(port, flush=True)
    sys.stdin.readline()
    worker.take_no_more()
    counted = {"digest": server.digest(), "offsets": server.offsets(), **server.stats()}
    server.drain(5.0)
    worker.finish(10.0)
    print(json.dumps(counted), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
