"""Rows of files become inputs behind the gate: with hashed keys, a place in the order, and a bucket of it.

An input is a label, an outcome or a transaction (`what`, which sorts them so at one place of the order). One that was
refused keeps its place, if it has one, and says why. What stands beside a transaction in the output comes along.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

import engine
from service.backfill import told
from service.backfill.program import Program
from service.backfill.spark.pieces import Pieces
from service.backfill.spark.session import Batches, Walk, of_schema

LABEL, OUTCOME, TRANSACTION = range(3)
NAMES: Final = ("label", "outcome", "transaction")
BESIDE: Final = ("transaction_id", "amount_minor", "currency", "label.class", "label.order_us")
_OWN: Final = {
    "what": pa.int32(),
    "row": pa.int64(),
    "order_us": pa.int64(),
    "bucket": pa.int32(),
    "column": pa.string(),
    "reason": pa.string(),
    "id": pa.binary(),
    "payload": pa.binary(),
    "event_time_us": pa.int64(),
    "kind": pa.int32(),
    "utc_offset_minutes": pa.int32(),
    "counted_minor": pa.int64(),
    "scored": pa.bool_(),
    "segment": pa.int32(),
    "dropped": pa.int32(),
    "folds": pa.bool_(),
    "fraud": pa.bool_(),
}


class Gate(NamedTuple):
    """What a gate is made of, sent with tasks."""

    program: Program
    compiled: bytes
    hash_key: bytes
    complete_since_us: int
    score_from_us: int
    cuts: npt.NDArray[np.int64]
    beside: pa.Schema
    """What comes along, of the types that the mapping gives it."""

    def door(self, *, answers: bool = False) -> "engine.Backfill":
        """An engine with nothing in its state; with the program's model where it answers."""
        # It remembers no ids: which are repeated is found in the order of all rows.
        program = replace(self.program, known_ids=1, complete_since_us=self.complete_since_us)
        if not answers:
            program = replace(program, model=None, reduced=None)
        return program.door(engine.Mapping(self.compiled), 0, self.score_from_us, self.hash_key)

    def schema(self) -> pa.Schema:
        """The columns of an input."""
        plan = json.loads(self.program.plan.json)
        columns = _OWN | {f"key:{name}": pa.binary() for name in plan["entities"]}
        columns |= {f"number:{name}": pa.float64() for name in plan["numbers"]}
        return pa.schema(columns | {beside_name(field.name): _travelling(field.type) for field in self.beside})


def beside(compiled: bytes, columns: pa.Schema) -> pa.Schema:
    """Of which types the mapping makes what stands beside a transaction, of columns of these."""
    mapped, _ = engine.Mapping(compiled).map("transactions", pa.RecordBatch.from_pylist([], schema=columns), 1)
    schema = pa.record_batch(mapped).schema
    return pa.schema([schema.field(name) for name in BESIDE if name in schema.names])


def beside_name(name: str) -> str:
    """The name under which a column travels."""
    return f"beside:{name.replace('.', ':')}"


def came_back(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """A column that travelled, of the type that it had."""
    return pa.nulls(len(column), kind) if pa.types.is_null(kind) else column.cast(kind)


def _travelling(kind: pa.DataType) -> pa.DataType:
    """The type of Spark's that holds every value of a type of ids, codes or numbers."""
    return pa.int64() if pa.types.is_integer(kind) and kind != pa.uint64() else pa.string()


def inputs(pieces: Pieces, gate: Gate) -> Walk:
    """Reads pieces into inputs."""

    def read(asked: Batches) -> Batches:
        door, mapping = gate.door(), engine.Mapping(gate.compiled)
        for piece in (each for batch in asked for each in batch["id"].to_pylist()):
            row = pieces.first_rows[piece]
            for batch in pieces.read(piece, pieces.holds):
                mapped, refused = (pa.record_batch(each) for each in mapping.map(pieces.holds, batch, row))
                row += batch.num_rows
                if refused.num_rows:
                    yield _refused(refused, gate)
                yield from _admitted(mapped.filter(mapped["taken"]), pieces.holds, door, gate)

    return read


def _admitted(mapped: pa.RecordBatch, holds: str, door: "engine.Backfill", gate: Gate) -> Iterator[pa.RecordBatch]:
    if holds == "transactions":
        yield _inputs(TRANSACTION, mapped, door.admit(mapped), gate)
    kinds: tuple[tuple[int, Literal["label", "outcome"]], ...] = ((LABEL, "label"), (OUTCOME, "outcome"))
    for what, kind in kinds:
        if f"{kind}.order_us" in mapped.schema.names:
            said = told.of(kind, mapped)
            if said.num_rows:
                yield _inputs(what, said, door.admit_told(said), gate)


def _inputs(what: int, mapped: pa.RecordBatch, gated: tuple[Any, Any], gate: Gate) -> pa.RecordBatch:
    admitted, refused = (pa.record_batch(each) for each in gated)
    n = mapped.num_rows
    orders = mapped["order_us"]
    columns = {name.replace(".", ":"): admitted[name] for name in admitted.schema.names if name != "admitted"}
    columns |= {"what": pa.array(np.full(n, what, np.int32)), "row": mapped["row"], "order_us": orders}
    columns["bucket"] = pa.array(np.searchsorted(gate.cuts, orders.to_numpy(), side="right"), pa.int32())
    # Refusals come in the order of their rows.
    at = pa.array(np.searchsorted(mapped["row"].to_numpy(), refused["row"].to_numpy()))
    columns |= {name: _scattered(refused[name], at, n) for name in ("column", "reason")}
    if what == TRANSACTION:
        columns |= {beside_name(name): mapped[name].cast(_travelling(mapped[name].type)) for name in gate.beside.names}
    return of_schema(columns, n, gate.schema())


def _refused(refused: pa.RecordBatch, gate: Gate) -> pa.RecordBatch:
    """Rows of which no value could be made: they have no place in the order."""
    n = refused.num_rows
    whats = pa.array([NAMES.index(name) for name in refused["input"].to_pylist()], pa.int32())
    columns = {"what": whats, "bucket": pa.array(np.zeros(n, np.int32))}
    columns |= {name: refused[name] for name in ("row", "column", "reason")}
    return of_schema(columns, n, gate.schema())


def _scattered(values: pa.Array, at: pa.Array, n: int) -> pa.Array:
    places = np.full(n, -1, np.int64)
    places[at.to_numpy()] = np.arange(len(values))
    return values.take(pa.array(places, mask=places < 0))
