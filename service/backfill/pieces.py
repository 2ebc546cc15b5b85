"""What the engine takes at a time: transactions of one part, with what is told of any by the last of them."""

from collections.abc import Iterator

import pyarrow as pa

Piece = tuple[pa.RecordBatch, pa.RecordBatch | None, pa.RecordBatch | None]
"""Mapped transactions, labels and outcomes."""


def cut(batch: pa.RecordBatch, taken: int, part_rows: int) -> Iterator[pa.RecordBatch]:
    """The batch in pieces that end where parts do."""
    begin = 0
    while begin < batch.num_rows:
        left = part_rows - (taken + begin) % part_rows
        yield batch.slice(begin, left)
        begin += min(left, batch.num_rows - begin)


def hold(pieces: Iterator[Piece], room: int) -> tuple[list[Piece], bool]:
    """The first pieces, until they take more than so many bytes; and whether these are all."""
    held: list[Piece] = []
    while room >= 0:
        piece = next(pieces, None)
        if piece is None:
            return held, True
        held.append(piece)
        room -= sum(batch.nbytes for batch in piece if batch is not None)
    return held, False


def given(pieces: list[Piece]) -> Iterator[Piece]:
    """Each once, and held no longer."""
    pieces.reverse()
    while pieces:
        yield pieces.pop()
