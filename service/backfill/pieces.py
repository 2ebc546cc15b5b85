"""What the engine takes at a time: transactions of one part, with what is told of any by the last of them."""

from collections.abc import Iterator
from dataclasses import dataclass

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


@dataclass
class Block:
    """Pieces that are held together."""

    pieces: list[Piece]
    is_last: bool


def blocks(pieces: Iterator[Piece], rows: int, part_rows: int) -> Iterator[Block]:
    """All pieces, about so many rows together: a part's end is a block's where that is half filled. 0: each alone."""
    held: list[Piece] = []
    taken, room = 0, rows
    piece = next(pieces, None)
    while piece is not None:
        held.append(piece)
        taken += piece[0].num_rows
        room -= piece[0].num_rows
        piece = next(pieces, None)
        if piece is None or room <= 0 or (2 * room <= rows and taken % part_rows == 0):
            yield Block(held, piece is None)
            held, room = [], rows
