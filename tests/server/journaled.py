"""A scorer in a process of its own, to be killed: `python -m tests.server.journaled FOLDER KEY CONFIG`.

Prints its port.
"""

import json
import sys
import time
from pathlib import Path

from tests.scorer import running_scorer

if __name__ == "__main__":
    folder, key, config = sys.argv[1:]
    with running_scorer(Path(folder), journal_key=bytes.fromhex(key), **json.loads(config)) as scorer:
        print(scorer.port, flush=True)
        time.sleep(600)
