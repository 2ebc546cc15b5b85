"""What is told of transactions, in the order in which it becomes known: beside them, or in a table of its own."""

from collections.abc import Iterator
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Kind = Literal["label", "outcome"]
"""What is told."""

_MEMBERS: Final[dict[Kind, tuple[str, ...]]] = {"label": ("class", "source", "status"), "outcome": ("fate", "decider")}


class Told:
    """Waits for its time. What waits is what happened within the longest delay, however long the input is."""

    def __init__(self, kind: Kind, apart: Iterator[pa.RecordBatch] | None) -> None:
        """apart: batches of a table of its own, mapped and in order; None where it stands beside transactions."""
        self._kind = kind
        self._apart = apart
        self._waiting: list[pa.RecordBatch] = []

    def hear(self, transactions: pa.RecordBatch) -> None:
        """Take in what stands beside a batch of mapped transactions."""
        if self._apart is None and f"{self._kind}.order_us" in transactions.schema.names:
            self._wait(of(self._kind, transactions))

    def due(self, order_us: int | None) -> pa.RecordBatch | None:
        """What becomes known through a place in the order, sorted, or None. Without a place: all that is left."""
        self._read_through(order_us)
        reached, waiting = [], []
        for batch in self._waiting:
            orders = batch["order_us"].to_numpy()
            if order_us is None or orders[-1] <= order_us:
                reached.append(batch)
            elif orders[0] > order_us:
                waiting.append(batch)
            else:
                end = int(np.searchsorted(orders, order_us, side="right"))
                reached.append(batch.slice(0, end))
                waiting.append(batch.slice(end))
        self._waiting = waiting
        if not reached:
            return None
        whole = pa.concat_batches(reached)
        return whole if len(reached) == 1 else _sorted(whole)

    def _read_through(self, order_us: int | None) -> None:
        while self._apart is not None and (
            order_us is None or not self._waiting or self._waiting[-1]["order_us"][-1].as_py() <= order_us
        ):
            batch = next(self._apart, None)
            if batch is None:
                self._apart = iter(())
                break
            self._wait(of(self._kind, batch))

    def _wait(self, batch: pa.RecordBatch) -> None:
        if batch.num_rows:
            self._waiting.append(_sorted(batch))


def of(kind: Kind, mapped: pa.RecordBatch) -> pa.RecordBatch:
    """The rows of a mapped batch of which something is told, as the engine takes them."""
    place = f"{kind}.order_us"
    said = mapped.filter(pc.is_valid(mapped[place]))
    columns = {
        name: said[name]
        for name in said.schema.names
        if name in ("row", "transaction_id", "event_time_us", "kind") or name.startswith("entity.")
    }
    columns["order_us"] = said[place]
    columns |= {member: said[f"{kind}.{member}"] for member in _MEMBERS[kind]}
    return pa.record_batch(columns)


def _sorted(batch: pa.RecordBatch) -> pa.RecordBatch:
    """By the order, then by the row that it was told in."""
    orders, rows = batch["order_us"].to_numpy(), batch["row"].to_numpy()
    return batch.take(pa.array(np.lexsort((rows, orders))))
