"""`fraudgate features` in a process of its own, to be killed: `python -m tests.backfill.taken INPUT LABELS OUTPUT`.

Secrets are the same each time, so that outputs can be compared, and so few rows are sorted in memory that many runs
spill.
"""

from __future__ import annotations

import sys
from functools import partial

from service.backfill import job, order, state
from service.cli import main

RUN_ROWS = 2_000


class _Secrets:
    @staticmethod
    def token_hex(count: int) -> str:
        return "07" * count


if __name__ == "__main__":
    transactions, labels, output = sys.argv[1:4]
    state.secrets = _Secrets  # type: ignore[assignment]
    job.by_order = partial(order.by_order, run_rows=RUN_ROWS)
    main(
        [
            "features",
            transactions,
            output,
            "--mapping",
            "fraudgate",
            "--labels",
            labels,
            "--part-rows",
            "700",
            "--resume",
        ]
    )
