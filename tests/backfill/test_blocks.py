"""A history is taken key by key, a block of rows at a time, and gives what it gives row by row: the same folder, byte
for byte, and the same state, whatever it holds and however it is cut into blocks."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine
from features import Amount, Count, Mean, Plan, days
from fraudgate.v1 import decision_pb2
from service.backfill import job, source
from service.backfill.mapping import Mapping
from service.backfill.program import Program
from service.backfill.source import Source
from tests.backfill import test_doors, test_schemas
from tests.backfill.conftest import KEY, parts
from tests.scorer import small_model

POLICY = {"format": 1, "mode": "decide", "challenge": 40.0, "decline": 60.0, "card_number_in_key": "hash"}


def _program(**changes: Any) -> Program:
    plan = test_doors.PLAN
    model = small_model(plan.digest, plan.features)
    policy = json.dumps(POLICY | changes.pop("policy", {})).encode()
    return Program(**{**vars(Program("shop", plan, policy, model, None, KEY, 100_000, 0)), **changes})


def _job(path: Path, **asked: Any) -> job.Job:
    mapping: Mapping = asked.pop("mapping", test_doors.MAPPING)
    made = {"program": _program(), "wanted": job.Wanted(raw=True, features="float32"), "max_bad": 100_000} | asked
    return job.Job(source=Source(str(path)), output=path.parent, mapping=mapping, **made)


def _both(asked: job.Job, folder: Path, block_rows: int = job.BLOCK_ROWS) -> pa.Table:
    """The job by both roads, which wrote the same and left the same state."""
    made = {
        name: job.run(replace(asked, output=folder / name, block_rows=rows, warm=(folder / f"{name}-state", KEY)))
        for name, rows in (("by-row", 0), ("blocks", block_rows))
    }
    assert made["by-row"] == made["blocks"]
    assert made["by-row"].digest is not None
    written = {path.name: path.read_bytes() for path in (folder / "by-row").iterdir()}
    assert {path.name: path.read_bytes() for path in (folder / "blocks").iterdir()} == written
    return parts(folder / "blocks")


@test_doors.prove
@given(
    seed=st.integers(0, 2**32 - 1),
    wanted=st.sampled_from(
        [
            job.Wanted(),
            job.Wanted(raw=True, features="float32"),
            job.Wanted(assessments=False, features="float64"),
            job.Wanted(assessments=False, raw=True),
        ]
    ),
    part_rows=st.sampled_from([37, 1_000]),
    block_rows=st.sampled_from([1, 30, 90, 1_000]),
    batch_rows=st.sampled_from([11, 4_096]),
    since=st.sampled_from([0, 5, 40]),
    refuses=st.booleans(),
)
def test_a_log_dense_in_what_goes_wrong(
    seed: int, wanted: job.Wanted, part_rows: int, block_rows: int, batch_rows: int, since: int, refuses: bool
) -> None:
    program = _program(policy={"card_number_in_key": "refuse"} if refuses else {}, complete_since_us=None)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setattr(source, "BATCH_ROWS", batch_rows)
        log = Path(folder) / "log.parquet"
        pq.write_table(test_doors._log(seed, 200), log)
        score_from_us = test_doors.BEGINS_US + since * 86_400_000_000
        asked = {"wanted": wanted, "part_rows": part_rows, "score_from_us": score_from_us}
        _both(_job(log, program=program, **asked), Path(folder), block_rows)


@test_schemas.prove
@given(data=st.data(), plan=test_schemas._plans(), form=st.sampled_from([".parquet", ".csv", ".arrow"]))
def test_any_schema(data: st.DataObject, plan: Any, form: str) -> None:
    document = json.loads(plan.json)
    names = [document[what] for what in ("entities", "numbers", "texts")]
    rows = data.draw(test_schemas._rows(*names))
    table, mapping = test_schemas.drawn(data, rows, *names)
    model = small_model(plan.digest, plan.features)
    with tempfile.TemporaryDirectory() as folder:
        path = test_schemas._write(table, form, Path(folder) / "in")
        program = _program(plan=plan, model=model, complete_since_us=data.draw(st.sampled_from([None, 0])))
        block_rows = data.draw(st.sampled_from([1, 3, 1_000]))
        answered = _both(_job(path, program=program, mapping=mapping), Path(folder), block_rows)
    assert len(answered) == len(rows)


@pytest.mark.parametrize("block_rows", [100, 1_500, job.BLOCK_ROWS])
def test_ids_that_are_forgotten_are_taken_again_and_others_get_their_first_answer(
    block_rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "BATCH_ROWS", 100)
    log = pa.concat_tables([test_doors._log(seed, 1_500) for seed in (1, 2, 3)])
    pq.write_table(log, tmp_path / "log.parquet")
    program = _program(known_ids=1_024)
    answered = _both(_job(tmp_path / "log.parquet", program=program, part_rows=700), tmp_path, block_rows)
    taken = answered.filter(pc.invert(answered["replayed"]))
    ids = taken["transaction_id"].to_pylist()
    assert 0 < pc.sum(answered["replayed"]).as_py() < len(answered) < len(log)
    assert len(set(ids)) < len(ids)
    assert {"late", "beyond"} <= set(answered["lateness"].to_pylist())


@pytest.mark.parametrize("block_rows", [20_000, job.BLOCK_ROWS])
def test_a_key_of_more_than_is_told_apart_is_approximate_alike(block_rows: int, tmp_path: Path) -> None:
    """Its history goes to tiles past 65,536 events, of which some come late."""
    draw = np.random.default_rng(3)
    rows = 80_000
    ingested = test_doors.BEGINS_US + np.arange(rows) * 20_000_000
    table = pa.table(
        {
            "id": np.arange(rows),
            "happened": ingested - draw.choice([0, 0, 90_000_000], rows),
            "ingested": ingested,
            "amount": draw.integers(0, 10_000, rows),
            "shop": np.where(draw.random(rows) < 0.99, 1, draw.integers(0, 50, rows)),
        }
    )
    pq.write_table(table, tmp_path / "log.parquet")
    of = {"entity": "shop"}
    features = [
        Amount("amount"),
        Count("n", window=days(30), **of),
        Mean("mean", window=days(16), **of),
        Count("day", window=days(1), **of),
    ]
    plan = Plan(name="shop", currency="EUR", entities=["shop"], features=features).compile()
    mapping = Mapping.model_validate(
        {
            "transaction_id": "id",
            "event_time": "happened",
            "ingest_time": "ingested",
            "amount": {"column": "amount", "unit": "minor", "currency": "EUR"},
            "entities": {"shop": "shop"},
        }
    )
    program = _program(plan=plan, model=small_model(plan.digest, plan.features))
    answered = _both(_job(tmp_path / "log.parquet", program=program, mapping=mapping), tmp_path, block_rows)
    last = [decision_pb2.Assessment.FromString(said) for said in answered["assessment"][-100:].to_pylist()]
    assert any("mean" in said.approximate_features for said in last)


@pytest.mark.parametrize("required", [[], ["amount"]])
def test_what_no_model_answers_is_declared_alike(required: list[str], tmp_path: Path) -> None:
    """Where there is none, and where a feature that is required has no value."""
    pq.write_table(test_doors._log(5, 400), tmp_path / "log.parquet")
    default = {"default": {"verdict": "decline", "segments": []}, "required_features": required}
    changes = {} if required else {"model": None}
    answered = _both(_job(tmp_path / "log.parquet", program=_program(policy=default, **changes)), tmp_path)
    tiers = set(answered["tier"].to_pylist())
    assert tiers == ({"full", "default"} if required else {"default"})


@pytest.mark.parametrize(
    "default",
    [
        {"verdict": "challenge", "segments": [{"verdict": "decline", "kinds": ["refund"]}]},
        {
            "verdict": "approve",
            "segments": [],
            "cap_minor": 5_000,
            "window_us": 86_400_000_000,
            "beyond_cap": "challenge",
        },
    ],
)
def test_what_needs_one_order_of_all_answers_goes_row_by_row(default: dict[str, Any], tmp_path: Path) -> None:
    pq.write_table(test_doors._log(5, 50), tmp_path / "log.parquet")
    program = _program(policy={"default": default}, model=None)
    _both(_job(tmp_path / "log.parquet", program=program), tmp_path)
    assert not _door(program).foresee([(_batch(program, tmp_path / "log.parquet"), None, None)])


def test_what_was_foreseen_is_taken_before_anything_else(tmp_path: Path) -> None:
    program = _program()
    pq.write_table(test_doors._log(1, 20), tmp_path / "log.parquet")
    batch = _batch(program, tmp_path / "log.parquet")
    door = _door(program)
    assert door.foresee([(batch, None, None)])
    with pytest.raises(ValueError, match="was not taken yet"):
        door.write_state(str(tmp_path / "state"), bytes(32))
    with pytest.raises(ValueError, match="was not taken yet"):
        door.foresee([(batch, None, None)])
    with pytest.raises(ValueError, match="were not foreseen"):
        door.take(pa.concat_batches([batch, batch]))


def _door(program: Program) -> engine.Backfill:
    return program.door(engine.Mapping(test_doors.MAPPING.compile(program.plan)), 1, 0, KEY)


def _batch(program: Program, path: Path) -> pa.RecordBatch:
    mapping = engine.Mapping(test_doors.MAPPING.compile(program.plan))
    batch = pa.record_batch(mapping.map("transactions", pq.read_table(path).to_batches()[0], 1)[0])
    return batch.filter(batch["taken"])
