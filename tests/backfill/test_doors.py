"""One log through three doors: gRPC, records of streams and files give equal Assessments, and refuse the same rows."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudgate.v1 import feedback_pb2, transaction_pb2
from service.backfill import job
from service.backfill.mapping import Mapping
from service.backfill.program import Program
from tests.backfill.conftest import KEY, parts, refused, run
from tests.backfill.doors import Inputs, by_grpc, by_records
from tests.scorer import FEATURES, journal_settings, running_scorer, small_model

PLAN = FEATURES.compile()
PLAN_ENTITIES = ("customer", "terminal", "device")
BEGINS_US = 1_600_000_000_000_000
SECOND_US = 1_000_000
LAG_US = 3 * SECOND_US
MAPPING = Mapping.model_validate(
    {
        "transaction_id": "id",
        "event_time": "happened",
        "ingest_time": "ingested",
        "utc_offset_minutes": "offset",
        "kind": {"column": "kind"},
        "amount": {"column": "amount", "unit": "minor", "currency_column": "currency"},
        "reference_amount": {"column": "reference", "unit": "minor", "currency": "EUR"},
        "entities": {"customer": "customer", "terminal": "terminal", "device": "device"},
        "numbers": {"age": "age"},
        "texts": {"note": "note", "memo": "memo", "mcc": "mcc", "channel": "channel"},
        "label": {
            "class": {"column": "found"},
            "source": {"column": "who", "otherwise": "chargeback"},
            "arrival": {"column": "found_at"},
        },
    }
)
CARD = "4111111111111111"
prove = settings(max_examples=60 if os.environ.get("FRAUDGATE_PROVE") else 6, deadline=None)


def _log(seed: int, n: int) -> pa.Table:
    """A log dense in what goes wrong: late, sent again, its id used again, refused, told of."""
    draw = np.random.default_rng(seed)

    def some(values: list[Any], weights: list[float] | None = None) -> list[Any]:
        return [values[place] for place in draw.choice(len(values), n, p=weights)]

    step = draw.choice([0, 1, SECOND_US // 3, SECOND_US, 3_600 * SECOND_US, 40 * 3_600 * SECOND_US], n)
    ingested = BEGINS_US + np.cumsum(step)
    happened = ingested - draw.choice([0, 0, 0, SECOND_US, 3_600 * SECOND_US, 30 * 86_400 * SECOND_US], n)
    found_at = happened + draw.choice([0, SECOND_US, 86_400 * SECOND_US, 8 * 86_400 * SECOND_US], n)
    log = pa.table(
        {
            "id": [f"t{number}" for number in draw.integers(0, n * 3 // 2, n)],
            "happened": happened,
            "ingested": ingested,
            "offset": pa.array(some([0, 60, -480, None, 1081], [0.4, 0.2, 0.2, 0.15, 0.05]), pa.int32()),
            "kind": some(["purchase", "withdrawal", "refund", "verification", "reversal"], [0.6, 0.2, 0.1, 0.05, 0.05]),
            "amount": pa.array(
                some([0, 1, 999, 10**14, 10**14 + 1, -1, None], [0.1, 0.3, 0.4, 0.05, 0.05, 0.05, 0.05])
            ),
            "currency": pa.array(some(["EUR", "USD", None], [0.8, 0.15, 0.05]), pa.string()),
            "reference": pa.array(some([None, 5, 999], [0.8, 0.1, 0.1]), pa.int64()),
            "customer": pa.array(some(["c1", "c2", "c3", None, "x" * 129], [0.3, 0.3, 0.3, 0.07, 0.03]), pa.string()),
            "terminal": pa.array(some([1, 2, None], [0.5, 0.4, 0.1]), pa.int64()),
            "device": pa.array(some(["d", CARD, None]), pa.string()),
            "age": pa.array(some([30.5, -0.0, None, float("inf")], [0.5, 0.2, 0.25, 0.05]), pa.float64()),
            "note": pa.array(some(["hello", f"pan {CARD}", "tab\there", None], [0.5, 0.2, 0.05, 0.25]), pa.string()),
            "memo": pa.array(some(["m", None]), pa.string()),
            "mcc": pa.array(some(["5411", None]), pa.string()),
            "channel": pa.array(some(["pos", None]), pa.string()),
            "found": pa.array(
                some(["third_party_fraud", "genuine", "dispute_without_fraud", None], [0.2, 0.05, 0.05, 0.7]),
                pa.string(),
            ),
            "who": pa.array(some(["analyst", "rescore", None]), pa.string()),
            "found_at": found_at,
        }
    )
    # A tenth say again what an earlier row says, and come when they come.
    which = np.where(draw.random(n) < 0.1, (draw.random(n) * np.arange(n)).astype(int), np.arange(n))
    return log.take(pa.array(which)).set_column(log.schema.get_field_index("ingested"), "ingested", pa.array(ingested))


def _sent(row: dict[str, Any]) -> transaction_pb2.Transaction:
    keys = [(name, row[name]) for name in PLAN_ENTITIES if row[name] is not None]
    texts = [(name, row[name]) for name in ("note", "memo", "mcc", "channel") if row[name] is not None]
    known = row["amount"] is not None and row["currency"] is not None
    return transaction_pb2.Transaction(
        id=row["id"],
        program="shop",
        event_time_us=row["happened"],
        utc_offset_minutes=row["offset"] or 0,
        kind=transaction_pb2.Kind.Value(f"KIND_{row['kind'].upper()}"),
        amount_minor=row["amount"] if known else None,
        currency=row["currency"] if known else "",
        reference_amount_minor=row["reference"],
        entities=[transaction_pb2.EntityKey(name=name, value=str(value)) for name, value in keys],
        attributes=[
            *([] if row["age"] is None else [transaction_pb2.Attribute(name="age", number=row["age"])]),
            *(transaction_pb2.Attribute(name=name, text=text) for name, text in texts),
        ],
    )


def _label(row: dict[str, Any]) -> feedback_pb2.Label:
    sent = _sent(row)
    return feedback_pb2.Label(
        program="shop",
        subject=transaction_pb2.Subject(
            transaction_id=sent.id, event_time_us=sent.event_time_us, kind=sent.kind, entities=sent.entities
        ),
        **{"class": feedback_pb2.LabelClass.Value(f"LABEL_CLASS_{row['found'].upper()}")},
        source=feedback_pb2.LabelSource.Value(f"LABEL_SOURCE_{(row['who'] or 'chargeback').upper()}"),
    )


def _inputs(log: pa.Table) -> Inputs:
    """What a log says, in the order of inputs: each with its row."""
    inputs: list[tuple[int, int, int, Any]] = []
    for number, row in enumerate(log.to_pylist(), 1):
        inputs.append((row["ingested"], 1, number, _sent(row)))
        if row["found"] is not None:
            second = row["found_at"] // SECOND_US * SECOND_US
            inputs.append((second if second > row["ingested"] else row["ingested"] + 1, 0, number, _label(row)))
    return [(number, asked) for _, _, number, asked in sorted(inputs, key=lambda one: one[:3])]


@prove
@given(seed=st.integers(0, 2**32 - 1))
def test_one_log_through_three_doors_gives_equal_bytes(seed: int) -> None:
    log = _log(seed, 150)
    with tempfile.TemporaryDirectory() as folder, running_scorer(Path(folder)) as scorer:
        assessments, refused_rows = by_grpc(scorer, _inputs(log))
        stream = Path(folder) / "stream"
        journal = {"journal_key": KEY, "journal": journal_settings(stream / "journal")}
        with running_scorer(stream, ahead_us=None, **journal) as streamed:
            decided, letters = by_records(streamed, _inputs(log))
        source, output = Path(folder) / "log.parquet", Path(folder) / "out"
        pq.write_table(log, source)
        policy = b'{"format": 1, "mode": "decide", "challenge": 40.0, "decline": 60.0, "card_number_in_key": "hash"}'
        program = Program("shop", PLAN, policy, small_model(PLAN.digest, PLAN.features), None, KEY, 100_000, 0)
        done = run(source, output, MAPPING, program=program, wanted=job.Wanted(raw=True))
        answered = parts(output)
        told = {row["row"] for row in refused(output) if row["input"] == "transaction"}
    assert dict(zip(answered["row"].to_pylist(), answered["assessment"].to_pylist(), strict=True)) == assessments
    assert told == refused_rows == letters
    ids = log["id"].to_pylist()
    assert sorted((ids[row - 1], bytes_) for row, bytes_ in assessments.items()) == decided
    assert done.order == "ingest time, then row"
