"""A job in a process of its own, to be killed: `python -m tests.backfill.taken TRANSACTIONS LABELS OUTPUT`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.backfill.conftest import run

if __name__ == "__main__":
    transactions, labels, output = sys.argv[1:4]
    run(transactions, Path(output), labels=labels, part_rows=700, resume="--resume" in sys.argv)
