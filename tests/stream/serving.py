"""A PoP of tests/scorer.py whose stream door is open, in a process of its own: `python -m tests.stream.serving JSON`.

Prints its port. With a line on its standard input it stops well, and prints its digest and what it counted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from service import logs
from service.config import Stream
from service.stream.worker import Worker
from tests.scorer import journal_settings, running_scorer

KEY = bytes(range(32))


def main(given: str) -> None:
    logs.configure()
    said = json.loads(given)
    path = Path(said["path"])
    journal = journal_settings(path / "journal", segment_bytes=1 << 24)
    with running_scorer(path, journal_key=KEY, journal=journal, ahead_us=None, known_ids=1_000_000) as scorer:
        worker = Worker(scorer.server, Stream.model_validate(said["stream"]), path / "journal")
        worker.start()
        print(scorer.port, flush=True)
        sys.stdin.readline()
        worker.take_no_more()
        counted = {"digest": scorer.server.digest(), "offsets": scorer.server.offsets(), **scorer.server.stats()}
        worker.finish(10.0)
        print(json.dumps(counted), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
