"""The transactions that warm a program's state, as Parquet. Only a program that has them needs Arrow to serve."""

from pathlib import Path
from typing import NamedTuple

import pyarrow.compute as pc
import pyarrow.parquet as pq

import engine


class History(NamedTuple):
    """Where the table lies."""

    path: Path

    def begins_us(self) -> int:
        """The event time of its first transaction, Unix microseconds."""
        begins: int = pc.min(pq.read_table(self.path, columns=["event_time_us"])["event_time_us"]).as_py()
        return begins

    def warm(self, server: engine.Server, program: str, labels: Path | None) -> dict[str, int]:
        """Fold it into a program's state, with its labels; how many of both."""
        known = None if labels is None else pq.read_table(labels)
        rows = server.warm(program, pq.read_table(self.path), known)
        return {"transactions": rows, "labels": 0 if known is None else known.num_rows}
