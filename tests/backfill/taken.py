"""`fraudgate features` in a process of its own, to be killed or watched.

INPUT LABELS OUTPUT RUN_ROWS PART_ROWS BLOCK_ROWS [NAME]: RUN_ROWS are sorted in memory, and BLOCK_ROWS taken key by key
at a time; the state is kept wherever it may be. Secrets are the same each time, so that outputs can be compared. With
NAME it kills itself when a finished file or folder is about to get that name, however fast the machine is.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

from service.backfill import job, order, state
from service.cli import main


class _Secrets:
    @staticmethod
    def token_hex(count: int) -> str:
        return "07" * count


def _dies_before(name: str) -> None:
    def hear(event: str, said: tuple[Any, ...]) -> None:
        if event == "os.rename" and Path(os.fspath(said[1])).name == name:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hear)


if __name__ == "__main__":
    transactions, labels, output, run_rows, part_rows, block_rows, *names = sys.argv[1:]
    for name in names:
        _dies_before(name)
    state.secrets = _Secrets  # type: ignore[assignment]
    job.by_order = partial(order.by_order, run_rows=int(run_rows))
    job.Job = partial(job.Job, block_rows=int(block_rows), keep_s=0.0)  # type: ignore[misc, assignment]
    told = ("--mapping", "fraudgate", "--labels", labels, "--part-rows", part_rows)
    main(["features", transactions, output, *told, "--resume"])
