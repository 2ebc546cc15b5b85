"""Rows that were not taken: kept with their reasons, told by file and row, and bounded."""

from typing import Final, NamedTuple

import pyarrow as pa

from service.backfill.source import Source

MAX_BAD: Final = 1_000


class TooManyBad(ValueError):
    """More rows were refused than the job puts up with."""


class Refusal(NamedTuple):
    """A row that was not taken: what it says, its number, the column at fault, and what is wrong there."""

    input: str
    row: int
    column: str
    reason: str


class Refused:
    """What was refused by now. Whoever maps and whoever takes add to it, each from a thread of its own."""

    def __init__(self, sources: dict[str, Source], most: int) -> None:
        """sources: of what rows say (transaction, label, outcome), where they stand."""
        self._sources = sources
        self._most = most
        self._all: list[Refusal] = []

    def __len__(self) -> int:
        return len(self._all)

    def add(self, refused: pa.RecordBatch) -> list[Refusal]:
        """Keep what the engine refused. Raises TooManyBad, naming the first of them."""
        told = [Refusal(**row) for row in refused.to_pylist()] if refused.num_rows else []
        self.keep(told)
        return told

    def keep(self, told: list[Refusal]) -> None:
        """Likewise."""
        self._all += told
        if len(self._all) > self._most:
            first = min(self._all, key=lambda refusal: refusal.row)
            place = self._sources[first.input].place(first.row)
            column = f", column {first.column}" if first.column else ""
            raise TooManyBad(
                f"{place.file}, row {place.row}{column}: {first.reason}; "
                f"{len(self._all):,} rows are refused by now, {self._most:,} may be (--max-bad)"
            )

    def table(self) -> pa.Table:
        """All of them, by what they say and by row."""
        bad = sorted(self._all)
        places = [self._sources[each.input].place(each.row) for each in bad]
        return pa.table(
            {
                "input": pa.array([each.input for each in bad], pa.string()),
                "file": pa.array([place.file for place in places], pa.string()),
                "row_of_file": pa.array([place.row for place in places], pa.int64()),
                "row": pa.array([each.row for each in bad], pa.int64()),
                "column": pa.array([each.column for each in bad], pa.string()),
                "reason": pa.array([each.reason for each in bad], pa.string()),
            }
        )
