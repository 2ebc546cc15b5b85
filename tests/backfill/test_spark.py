"""On a real Spark — a master, two workers, an executor killed — the bytes of one machine."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from features import Amount, Hour, Plan
from service.backfill import job, mapping
from service.backfill.mapping import Mapping
from service.backfill.program import Program, planned
from service.backfill.refused import TooManyBad
from service.backfill.source import Source
from service.cli import main
from service.tables import Tables
from tests.backfill import test_doors
from tests.backfill.conftest import KEY, PLAN, parts, program
from tests.scorer import small_model

pytest.importorskip("pyspark", reason="Spark stands beside the project: make .venv/.beside")
if shutil.which("java") is None:
    if "CI" in os.environ:
        pytest.fail("Spark needs Java")
    pytest.skip("Spark needs Java", allow_module_level=True)

from service.backfill import spark
from service.backfill.spark.known import repeats
from tests.backfill import cluster

MAPPING = Mapping.model_validate(
    {
        "transaction_id": "transaction_id",
        "event_time": "event_time_us",
        "ingest_time": "ingested_us",
        "utc_offset_minutes": "utc_offset_minutes",
        "kind": {"column": "kind"},
        "amount": {"column": "amount_minor", "unit": "minor", "currency_column": "currency"},
        "entities": {"customer": "customer", "terminal": "terminal"},
        "label": {
            "class": "third_party_fraud",
            "status": {"column": "fraud", "names": {"true": "asserted"}, "otherwise": "withdrawn"},
            "arrival": "arrival_us",
        },
        "outcome": {"fate": {"column": "fate"}, "decider": "issuer", "delay_days": 0},
    }
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[cluster.Cluster]:
    with cluster.running(tmp_path_factory.mktemp("spark")) as started:
        yield started


@pytest.fixture(scope="module")
def session(running: cluster.Cluster) -> Iterator[Any]:
    made = spark.session(running.url, cluster.SETTINGS)
    yield made
    made.stop()


def _history(world: Tables, folder: Path) -> dict[str, Source]:
    """The world with a terminal that a tenth of all rows are at, rows without one, some late, some too late to fold."""
    draw = np.random.default_rng(11)
    table = world.transactions
    n = len(table)
    terminals = np.where(draw.random(n) < 0.1, 1, table["terminal"].to_numpy())
    lag_us = draw.choice([0, 3_600_000_000, 45 * 86_400_000_000], n, p=[0.9, 0.098, 0.002])
    times = table["event_time_us"].to_numpy()
    columns = {name: table[name] for name in table.column_names}
    columns |= {"terminal": pa.array(terminals, mask=draw.random(n) < 0.01), "ingested_us": pa.array(times)}
    columns["event_time_us"] = pa.array(np.maximum(times - lag_us, 1))
    pq.write_table(pa.table(columns), folder / "history.parquet", row_group_size=6_000)
    pq.write_table(world.labels, folder / "labels.parquet")
    fates = pa.table(columns).slice(0, 500).append_column("fate", pa.array(draw.choice(["approved", "declined"], 500)))
    pyarrow.csv.write_csv(fates, folder / "outcomes.csv")
    files = {"source": "history.parquet", "labels": "labels.parquet", "outcomes": "outcomes.csv"}
    return {name: Source(str(folder / file)) for name, file in files.items()}


def _both(asked: job.Job, session: Any, folder: Path, **told: Any) -> tuple[job.Done, job.Done]:
    """The job here and on Spark; what they wrote must be the same, byte for byte."""
    one = job.run(replace(asked, output=folder / "one"))
    two = spark.run(replace(asked, output=folder / "two"), session, **told)
    written = {path.name: path.read_bytes() for path in (folder / "one").iterdir()}
    assert {path.name for path in (folder / "two").iterdir()} == set(written)
    for name, content in written.items():
        assert (folder / "two" / name).read_bytes() == content, name
    return one, two


@pytest.mark.slow
def test_features_on_spark_are_those_of_one_machine_though_an_executor_is_killed(
    running: cluster.Cluster, session: Any, world: Tables, tmp_path: Path
) -> None:
    asked = job.Job(
        **_history(world, tmp_path),
        output=tmp_path,
        program=program(),
        mapping=MAPPING,
        wanted=job.Wanted(assessments=False, features="float64"),
        part_rows=5_000,
    )
    before, killed = [], []

    def kill() -> None:
        time.sleep(1.5)
        killed.append(running.kill_an_executor())

    killer = threading.Thread(target=kill)

    def step(told: str) -> None:
        if told.startswith("folding"):
            before.extend(running.executors())
            killer.start()

    one, two = _both(asked, session, tmp_path, step=step)
    killer.join()
    assert set(killed) < set(before)
    assert two == one._replace(digest=None)
    assert one.answered == len(world.transactions)


@pytest.mark.slow
def test_assessments_on_spark_are_those_of_one_machine(session: Any, tmp_path: Path) -> None:
    """A log dense in what goes wrong: repeated ids, some forgotten by then, others' payloads, refusals, late rows."""
    log = pa.concat_tables([test_doors._log(seed, 1_500) for seed in (1, 2, 3)])
    pq.write_table(log, tmp_path / "log.parquet", row_group_size=1_000)
    policy = b'{"format":1,"mode":"observe","challenge":40.0,"decline":60.0,"card_number_in_key":"hash"}'
    model = small_model(test_doors.PLAN.digest, test_doors.PLAN.features)
    asked = job.Job(
        source=Source(str(tmp_path / "log.parquet")),
        output=tmp_path,
        program=Program("shop", test_doors.PLAN, policy, model, None, KEY, 1_024, 0),
        mapping=test_doors.MAPPING,
        wanted=job.Wanted(raw=True, features="float32"),
        part_rows=700,
        max_bad=5_000,
        score_from_us=test_doors.BEGINS_US + 86_400_000_000,
    )
    one, two = _both(asked, session, tmp_path)
    assert two == one._replace(digest=None)
    answered = parts(tmp_path / "one")
    assert 0 < pc.sum(answered["replayed"]).as_py() < len(answered) < len(log)
    assert set(answered["lateness"].unique().to_pylist()) == {None, "late", "beyond"}
    assert two.refused > 100
    with pytest.raises(TooManyBad, match=r"log\.parquet, row \d+, column .*; \d+ rows are refused by now, 50 may be"):
        spark.run(replace(asked, output=tmp_path / "strict", max_bad=50), session)


@pytest.mark.slow
def test_a_plan_without_entities_folds_nothing_and_a_damaged_file_is_told_by_name(session: Any, tmp_path: Path) -> None:
    plan = Plan(name="own", currency="EUR", entities=(), features=[Amount("amount"), Hour("hour")]).compile()
    (tmp_path / "in.csv").write_text("Time,Amount,Class\n0,149.62,0\n1e+05,2.69,1\n")
    asked = job.Job(
        source=Source(str(tmp_path / "in.csv")),
        output=tmp_path,
        program=replace(planned(plan, 0), hash_key=KEY),
        mapping=mapping.read("ulb").model_copy(update={"numbers": {}}),
        wanted=job.Wanted(assessments=False, features="float64"),
    )
    _both(asked, session, tmp_path)
    assert parts(tmp_path / "two").select(["amount", "hour"]).to_pylist() == [
        {"amount": 149.62, "hour": 0.0},
        {"amount": 2.69, "hour": 3.0},
    ]
    (tmp_path / "bad.csv").write_text("Time,Amount,Class\n0,149.62,0,1\n")
    with pytest.raises(ValueError, match=r"bad\.csv: cannot be read: CSV parse error"):
        spark.run(replace(asked, source=Source(str(tmp_path / "bad.csv")), output=tmp_path / "three"), session)


@pytest.mark.slow
def test_the_command_writes_the_same_on_spark(
    running: cluster.Cluster, session: Any, written: tuple[Path, Path], tmp_path: Path
) -> None:
    """Behind the others: it takes up the session that they had, and ends it."""
    told = {}
    on_spark = ("--spark", running.url, "--spark-conf", "spark.ui.enabled=false")
    for name, more in (("one", ()), ("two", on_spark)):
        arguments = [
            written[0],
            tmp_path / name,
            "--mapping",
            "fraudgate",
            "--labels",
            written[1],
            "--part-rows",
            9_000,
        ]
        done = CliRunner().invoke(main, ["features", *map(str, arguments), *more])
        assert done.exit_code == 0, done.output
        told[name] = done.stdout.replace(f"/{name}:", "").partition("; state")[0].strip()
    assert told["one"] == told["two"]
    one, two = (parts(tmp_path / name) for name in ("one", "two"))
    # Keys are hashed under a secret that is drawn for each job.
    for name in ("row", "transaction_id", "sequence", *PLAN.features):
        assert one[name].equals(two[name]), name
    assert one.schema.equals(two.schema, check_metadata=True)


def test_what_cannot_be_the_same_on_spark_is_refused_by_name(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "in.parquet")
    capped = b'{"format":1,"mode":"decide","default":{"verdict":"approve","cap_minor":1}}'
    asked = job.Job(
        Source(str(tmp_path / "in.parquet")), tmp_path / "out", replace(program(), policy=capped), test_doors.MAPPING
    )
    no_session: Any = None
    with pytest.raises(ValueError, match=r"its default approves within a cap, .*: leave --spark out"):
        spark.run(asked, no_session)
    with pytest.raises(ValueError, match="--warm: on Spark no machine holds the whole state"):
        spark.run(replace(asked, program=program(), warm=(tmp_path, KEY)), no_session)
    for more, told in (
        (("--resume", "--spark", "local"), "--resume: Spark makes up for what it loses"),
        (("--spark-conf", "a=b"), "--spark-conf sets something of --spark MASTER"),
    ):
        done = CliRunner().invoke(
            main, ["features", str(tmp_path / "in.parquet"), str(tmp_path / "out"), "--mapping", "handbook", *more]
        )
        assert done.exit_code == 1
        assert told in done.output


@settings(max_examples=200, deadline=None)
@given(ids=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1)), max_size=60), remembered=st.integers(1, 12))
def test_repeats_are_found_as_an_index_finds_them(ids: list[tuple[int, int]], remembered: int) -> None:
    """Against a list that remembers the last so many, and is asked about every row."""
    known: list[tuple[int, int, int]] = []
    expected = []
    for row, (id_, payload) in enumerate(ids):
        first = next((one for one in known[max(0, len(known) - remembered) :] if one[0] == id_), None)
        if first is None:
            known.append((id_, payload, row))
        else:
            expected.append((row, row, first[2] if first[1] == payload else -1))
    asked = pa.table(
        {
            "nth": pa.array(range(len(ids)), pa.int64()),
            "row": pa.array(range(len(ids)), pa.int64()),
            "id": pa.array([bytes([id_]) for id_, _ in ids], pa.binary()),
            "payload": pa.array([bytes([payload]) for _, payload in ids], pa.binary()),
        }
    )
    found = repeats(asked, remembered, drain=1)
    assert list(zip(*(each.tolist() for each in found), strict=True)) == expected
