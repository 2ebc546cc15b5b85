"""`fraudgate features` in a process of its own, to be killed or watched: INPUT LABELS OUTPUT RUN_ROWS PART_ROWS.

Secrets are the same each time, so that outputs can be compared; RUN_ROWS are sorted in memory.
"""

from __future__ import annotations

import sys
from functools import partial

from service.backfill import job, order, state
from service.cli import main


class _Secrets:
    @staticmethod
    def token_hex(count: int) -> str:
        return "07" * count


if __name__ == "__main__":
    transactions, labels, output, run_rows, part_rows = sys.argv[1:]
    state.secrets = _Secrets  # type: ignore[assignment]
    job.by_order = partial(order.by_order, run_rows=int(run_rows))
    told = ("--mapping", "fraudgate", "--labels", labels, "--part-rows", part_rows)
    main(["features", transactions, output, *told, "--resume"])
