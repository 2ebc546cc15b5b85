"""Plans, schemas and rows as they may come, through all doors: equal Assessments, byte for byte."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from features import (
    Amount,
    CompiledPlan,
    Count,
    Hour,
    Max,
    Mean,
    Min,
    Night,
    Number,
    Plan,
    Risk,
    SinceFirst,
    SinceLast,
    Sum,
    Weekday,
    days,
    hours,
)
from fraudgate.v1 import transaction_pb2
from service.backfill import job
from service.backfill.mapping import Mapping
from service.backfill.program import Program
from tests import scorer as scorers
from tests.backfill.conftest import KEY, parts, run
from tests.backfill.doors import Inputs, by_grpc, by_records

prove = settings(max_examples=60 if os.environ.get("FRAUDGATE_PROVE") else 5, deadline=None)
BEGINS_US = 1_600_000_000_000_000
KINDS = ("purchase", "withdrawal", "transfer", "refund")
POLICY = b'{"format": 1, "mode": "decide", "challenge": 40.0, "decline": 60.0, "card_number_in_key": "hash"}'
# Names as files have them: with spaces, points and letters of any kind, never two alike.
COLUMNS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs"), exclude_characters="\"'"), min_size=1)


@st.composite
def _plans(draw: Callable[..., Any]) -> CompiledPlan:
    entities = draw(st.lists(st.sampled_from(["card", "shop", "device"]), min_size=1, max_size=3, unique=True))
    numbers = draw(st.lists(st.sampled_from(["age", "items"]), max_size=2, unique=True))
    features: list[Any] = [Amount("amount"), Hour("hour"), Weekday("weekday"), Night("night", through_hour=5)]
    features += [Number(f"of_{name}", number=name) for name in numbers]
    for at in range(draw(st.integers(1, 5))):
        of = {"entity": draw(st.sampled_from(entities)), "kinds": draw(st.lists(st.sampled_from(KINDS), min_size=1))}
        op = draw(st.sampled_from([Count, Sum, Mean, Min, Max, Risk, SinceFirst, SinceLast]))
        if op not in (SinceFirst, SinceLast):
            of["window"] = draw(st.sampled_from([hours(1), days(1), days(9)]))
            of["delay"] = draw(st.sampled_from([hours(0), hours(0), days(2)]))
        if op not in (SinceFirst, SinceLast, Risk) and not of["delay"]:
            of["inclusive"] = draw(st.booleans())
        features.append(op(f"f{at}", **of))
    texts = draw(st.lists(st.sampled_from(["mcc", "note"]), max_size=2, unique=True))
    return Plan(
        name="shop", currency="EUR", entities=entities, numbers=numbers, texts=texts, features=features
    ).compile()


@st.composite
def _rows(draw: Callable[..., Any], entities: list[str], numbers: list[str], texts: list[str]) -> list[dict[str, Any]]:
    """Rows in their order, as the wire would have them."""
    rows, ingested = [], BEGINS_US
    for at in range(draw(st.integers(1, 40))):
        ingested += draw(st.sampled_from([0, 1, 1_000_000, 3_600_000_000, 90_000_000_000]))
        row: dict[str, Any] = {
            "id": f"t{at}",
            "time": ingested - draw(st.sampled_from([0, 0, 0, 7_200_000_000])),
            "ingested": ingested,
            "kind": draw(st.sampled_from(KINDS)),
            "amount": draw(st.integers(0, 10**9)),
        }
        row |= {name: draw(st.sampled_from([1, 2, 3, None])) for name in entities}
        row |= {name: draw(st.one_of(st.none(), st.floats(-1e6, 1e6))) for name in numbers}
        row |= {name: draw(st.sampled_from(["5411", "a, b", None])) for name in texts}
        rows.append(row)
    return rows


def _sent(
    row: dict[str, Any], entities: list[str], numbers: list[str], texts: list[str]
) -> transaction_pb2.Transaction:
    return transaction_pb2.Transaction(
        id=row["id"],
        program="shop",
        event_time_us=row["time"],
        kind=transaction_pb2.Kind.Value(f"KIND_{row['kind'].upper()}"),
        amount_minor=row["amount"],
        currency="EUR",
        entities=[
            transaction_pb2.EntityKey(name=name, value=str(row[name])) for name in entities if row[name] is not None
        ],
        attributes=[
            *(transaction_pb2.Attribute(name=name, number=row[name]) for name in numbers if row[name] is not None),
            *(transaction_pb2.Attribute(name=name, text=row[name]) for name in texts if row[name] is not None),
        ],
    )


def _iso(us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).isoformat()


# How a column may hold what is meant: microseconds, moments, texts; whole, decimal, texts.
TIMES: tuple[Callable[[list[int]], pa.Array], ...] = (
    lambda values: pa.array(values, pa.int64()),
    lambda values: pa.array(values, pa.timestamp("us", "America/Lima")),
    lambda values: pa.array([_iso(value) for value in values]),
)
AMOUNTS: tuple[Callable[[list[int]], pa.Array], ...] = (
    lambda values: pa.array([f"{value // 100}.{value % 100:02}" for value in values]),
    lambda values: pa.array([f"{value // 100}.{value % 100:02}" for value in values]).cast(pa.decimal128(14, 2)),
    lambda values: pa.array([value / 100 for value in values]),
)
IDS: tuple[Callable[[list[int | None]], pa.Array], ...] = (
    lambda values: pa.array(values, pa.int16()),
    lambda values: pa.array(values, pa.uint64()),
    lambda values: pa.array([None if value is None else str(value) for value in values], pa.large_string()),
    lambda values: pa.array(
        [None if value is None else str(value) for value in values], pa.string()
    ).dictionary_encode(),
)


def _write(table: pa.Table, form: str, path: Path) -> Path:
    path = path.with_suffix(form)
    match form:
        case ".parquet":
            pq.write_table(table, path, row_group_size=7)
        case ".csv":
            pyarrow.csv.write_csv(table, path)
        case _:
            with pa.ipc.new_file(str(path), table.schema) as file:
                file.write_table(table, max_chunksize=9)
    return path


def drawn(
    data: st.DataObject, rows: list[dict[str, Any]], entities: list[str], numbers: list[str], texts: list[str]
) -> tuple[pa.Table, Mapping]:
    """Rows as a file may hold them, and what its columns mean."""
    made = {
        "id": pa.array([row["id"] for row in rows]),
        "time": data.draw(st.sampled_from(TIMES))([row["time"] for row in rows]),
        "ingested": data.draw(st.sampled_from(TIMES))([row["ingested"] for row in rows]),
        "kind": pa.array([row["kind"] for row in rows]),
        "amount": data.draw(st.sampled_from(AMOUNTS))([row["amount"] for row in rows]),
    }
    made |= {name: data.draw(st.sampled_from(IDS))([row[name] for row in rows]) for name in entities}
    made |= {name: pa.array([row[name] for row in rows], pa.float64()) for name in numbers}
    made |= {name: pa.array([row[name] for row in rows], pa.string()) for name in texts}
    named = data.draw(st.lists(COLUMNS, min_size=len(made), max_size=len(made), unique_by=lambda name: name.strip()))
    columns = dict(zip(made, named, strict=True))
    order = data.draw(st.permutations(list(made)))
    mapping = Mapping.model_validate(
        {
            "transaction_id": columns["id"],
            "event_time": columns["time"],
            "ingest_time": columns["ingested"],
            "kind": {"column": columns["kind"]},
            "amount": {"column": columns["amount"], "currency": "EUR"},
            **{
                what: {name: columns[name] for name in names}
                for what, names in (("entities", entities), ("numbers", numbers), ("texts", texts))
            },
        }
    )
    return pa.table({columns[name]: made[name] for name in order}), mapping


@prove
@given(data=st.data(), plan=_plans(), form=st.sampled_from([".parquet", ".csv", ".arrow"]))
def test_any_schema_through_all_doors_gives_equal_bytes(data: st.DataObject, plan: CompiledPlan, form: str) -> None:

    document = json.loads(plan.json)
    entities, numbers, texts = (document[what] for what in ("entities", "numbers", "texts"))
    rows = data.draw(_rows(entities, numbers, texts))
    table, mapping = drawn(data, rows, entities, numbers, texts)
    inputs: Inputs = [(at, _sent(row, entities, numbers, texts)) for at, row in enumerate(rows, 1)]
    model = scorers.small_model(plan.digest, plan.features)
    programs = [scorers.Program("shop", {}, model, plan=plan)]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with scorers.running_scorer(place / "calls", programs=programs) as scorer:
            assessments, refused_rows = by_grpc(scorer, inputs)
        journal = scorers.journal_settings(place / "journal")
        with scorers.running_scorer(
            place / "stream", journal_key=KEY, programs=programs, journal=journal, ahead_us=None
        ) as scorer:
            decided, letters = by_records(scorer, inputs)
        source = _write(table, form, place / "in")
        program = Program("shop", plan, POLICY, model, None, KEY, 100_000, 0)
        run(source, place / "out", mapping, program=program, wanted=job.Wanted(raw=True))
        answered = parts(place / "out")
    assert dict(zip(answered["row"].to_pylist(), answered["assessment"].to_pylist(), strict=True)) == assessments
    assert sorted((rows[row - 1]["id"], bytes_) for row, bytes_ in assessments.items()) == decided
    assert refused_rows == letters == set()
