"""Parts as other readers take them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import engine
from fraudgate.v1 import decision_pb2, transaction_pb2
from service.backfill.parts import PartWriter, in_words

WORDS: dict[str, Any] = {
    "kind": transaction_pb2.Kind,
    "verdict": decision_pb2.Verdict,
    "policy_verdict": decision_pb2.Verdict,
    "override": decision_pb2.Override,
    "tier": decision_pb2.Tier,
    "cause": decision_pb2.Cause,
    "lateness": decision_pb2.Lateness,
}


def test_words_are_the_wires() -> None:
    prefixes = {name: f"{enum.DESCRIPTOR.name.upper()}_" for name, enum in WORDS.items()}
    expected = {
        name: ["", *(enum.Name(number).removeprefix(prefixes[name]).lower() for number in range(1, len(enum.keys())))]
        for name, enum in WORDS.items()
    }
    assert dict(engine.words()) == expected


@pytest.mark.parametrize("sizes", [[300_000], [65_536] * 4 + [37_856], [1, 131_071, 99_999, 68_929]])
def test_a_part_is_the_same_however_it_came_and_says_itself_of_which_types_it_is(
    sizes: list[int], tmp_path: Path
) -> None:
    rows = 300_000
    kinds = pa.array([1 + row % 10 for row in range(rows)], pa.int32())
    causes = pa.array([None if row % 3 else 1 + row % 5 for row in range(rows)], pa.int8())
    whole = pa.record_batch(
        {
            "row": pa.array(range(1, rows + 1), pa.int64()),
            "transaction_id": pa.array([f"t{row:06}" for row in range(rows)]),
            "event_time": pa.array([1_500_000_000_000_000 + row * 7_654_321 for row in range(rows)]).cast(
                pa.timestamp("us", "UTC")
            ),
            "kind": kinds,
            "amount_minor": pa.array([None if row % 7 == 0 else -(row * 37 % 10_007) for row in range(rows)]),
            "sequence": pa.array([2**63 + row for row in range(rows)], pa.uint64()),
            "cause": causes,
            "fraud_probability": pa.array([None if row % 11 == 0 else row / rows for row in range(rows)]),
            "missing_features": pa.array([["a", "b"] if row % 1_000 == 0 else [] for row in range(rows)]),
            "key.customer": pa.array([bytes([row % 251]) * 16 for row in range(rows)], pa.binary(16)),
        }
    )
    written = []
    for each in ([rows], sizes):
        begin, writer = 0, PartWriter(tmp_path, f"part-{len(written)}.parquet", {"made": "here"})
        for size in each:
            writer.add(in_words(whole.slice(begin, size)), size, [])
            begin += size
        written.append(writer.close())
    assert written[0].sha256 == written[1].sha256

    path = tmp_path / written[1].file
    words = dict(engine.words())
    expected = whole.set_column(3, "kind", pa.array([words["kind"][kind] for kind in kinds.to_pylist()]))
    named = [cause and words["cause"][cause] for cause in causes.to_pylist()]
    expected = expected.set_column(6, "cause", pa.array(named, pa.string()))
    found = pq.read_table(path)
    assert found.schema.metadata == {b"made": b"here"}
    assert found.equals(pa.table(expected).cast(found.schema))
    assert [field.type for field in found.schema] == [field.type for field in expected.schema]
    duckdb = pytest.importorskip("duckdb", reason="it stands beside the project: make .venv/.beside")
    read = duckdb.sql(f"from '{path}'").arrow().read_all()
    assert read.cast(found.schema).equals(found)
