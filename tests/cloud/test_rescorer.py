"""The cloud's walk: what is scored is what LightGBM says, each row goes out and into the lake once, whatever dies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import lightgbm
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from fraudgate.v1 import rescore_pb2
from models.manifest import Bundle
from service.cloud import columns, teacher
from service.cloud.lake import DAY_US, Lake
from service.cloud.rescorer import Message, Rescorer
from tests.cloud.made_requests import ENTITIES, START_US, request

TOPIC = "rescore"


class Published:
    """A topic in memory, whose broker can be away."""

    def __init__(self) -> None:
        self.decisions: list[rescore_pb2.RescoredDecisions] = []
        self.away = False

    def publish(self, pop: str, decisions: bytes) -> None:
        read = rescore_pb2.RescoredDecisions.FromString(decisions)
        assert read.pop == pop
        self.decisions.append(read)

    def flush(self) -> None:
        if self.away:
            raise OSError("the broker is away")

    def sequences(self) -> list[int]:
        return [i for told in self.decisions for i in np.frombuffer(told.sequence, "<u8").tolist()]


@pytest.fixture
def rescorer(bundle_path: Path, tmp_path: Path) -> Callable[[Published], Rescorer]:
    """A cloud in the same lake each time it is called."""
    loaded = teacher.load(bundle_path)

    def made(published: Published) -> Rescorer:
        return Rescorer({"cards": loaded}, published, Lake(tmp_path / "lake"))

    return made


def messages(*requests: rescore_pb2.RescoreRequest, partition: int = 0, first: int = 0) -> list[Message]:
    return [Message(TOPIC, partition, first + i, each.SerializeToString()) for i, each in enumerate(requests)]


def kept_by(cloud: Rescorer) -> None:
    cloud.keep()
    cloud.wait()


def lake(path: Path) -> pa.Table:
    return ds.dataset(path / "lake", format="parquet", partitioning="hive").to_table().sort_by("sequence")


def test_scores_are_lightgbms_and_verdicts_those_of_the_policys_thresholds(
    bundle: Bundle, rescorer: Callable[[Published], Rescorer]
) -> None:
    published = Published()
    cloud = rescorer(published)
    cloud.begin(TOPIC, 0)
    sent = [request(bundle, range(1, 400)), request(bundle, range(400, 1_500))]
    cloud.take(messages(*sent))
    booster = lightgbm.Booster(model_str=bundle.teacher.decode())
    for asked, told in zip(sent, published.decisions, strict=True):
        rows = np.frombuffer(asked.rows, "<f4").reshape(-1, asked.features)
        log_odds = booster.predict(rows, raw_score=True)
        risk = bundle.manifest.teacher.risk.at(log_odds)
        assert np.array_equal(np.frombuffer(told.risk_score, "<f8"), risk)
        probability = bundle.manifest.teacher.probability.at(log_odds)
        assert np.array_equal(np.frombuffer(told.fraud_probability, "<f8"), probability)
        # No hold is declared: approve, challenge, decline.
        verdicts = [4 if score >= 40.0 else 2 if score >= 20.0 else 1 for score in risk]
        assert list(told.rescored_verdict) == verdicts
        assert len(set(verdicts)) == 3
        for column in (*columns.REPEATED, "keys", "entities", "program", "policy_digest"):
            assert getattr(told, column) == getattr(asked, column), column
        assert told.model_digest.hex() == bundle.digest


def test_the_lake_holds_each_row_as_it_was_seen_by_the_day_on_which_it_happened(
    bundle: Bundle, rescorer: Callable[[Published], Rescorer], tmp_path: Path
) -> None:
    published = Published()
    cloud = rescorer(published)
    cloud.begin(TOPIC, 0)
    sent = request(bundle, range(1, 301), step_us=DAY_US // 100)
    cloud.take(messages(sent))
    kept_by(cloud)
    kept = lake(tmp_path)
    assert kept.num_rows == cloud.counts.kept == 300
    assert sorted(path.name for path in (tmp_path / "lake").iterdir()) == [
        "day=2026-01-01",
        "day=2026-01-02",
        "day=2026-01-03",
        "day=2026-01-04",
    ]
    assert kept["sequence"].to_pylist() == list(range(1, 301))
    times = (START_US + np.arange(1, 301) * (DAY_US // 100)).tolist()
    assert kept["event_time"].cast(pa.int64()).to_pylist() == times
    amounts = [None if i % 5 == 0 else i * 100 for i in range(1, 301)]
    assert kept["reference_amount_minor"].to_pylist() == amounts
    rows = np.frombuffer(sent.rows, "<f4").reshape(-1, sent.features)
    for i, name in enumerate(bundle.manifest.features):
        assert np.array_equal(kept[f"feature.{name}"].to_numpy(), rows[:, i], equal_nan=True)
    keys = np.frombuffer(sent.keys, "V16").reshape(-1, len(ENTITIES))
    assert kept["key.customer"].to_pylist() == [key.tobytes() for key in keys[:, 0]]
    # The last key is absent.
    assert kept["key.terminal"].to_pylist() == [*(key.tobytes() for key in keys[:-1, 1]), None]
    assert kept["tier"].to_pylist() == [("full", "reduced", "default")[i % 3] for i in range(1, 301)]
    assert kept["reason"].to_pylist() == [("control", "degraded", "uncertain")[i % 3] for i in range(1, 301)]
    risks = [None if i % 3 == 2 else 10.0 for i in range(1, 301)]
    assert kept["risk_score"].to_pylist() == risks
    told = published.decisions[0]
    assert kept["rescored_risk_score"].to_numpy().tobytes() == told.risk_score
    assert set(kept["rescored_model_digest"].to_pylist()) == {bytes.fromhex(bundle.digest)}


@pytest.mark.parametrize("dies_at", range(7))
def test_a_cloud_that_dies_anywhere_goes_on_without_losing_or_doubling_a_row(
    bundle: Bundle,
    rescorer: Callable[[Published], Rescorer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dies_at: int,
) -> None:
    """Three parts over three days each; the process dies at a rename of a file, or before the lake is asked."""
    topic = messages(*(request(bundle, range(1 + 100 * i, 101 + 100 * i), step_us=DAY_US // 40) for i in range(3)))
    published, deaths = Published(), iter([dies_at, 2, None])
    renames, rename = 0, Path.rename

    def dying(path: Path, target: Path) -> Path:
        nonlocal renames
        renames += 1
        if renames == limit:
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", dying)
    offset = 0
    for limit in deaths:
        renames = 0
        cloud = rescorer(published)
        offset = cloud.begin(TOPIC, 0)
        try:
            for message in topic[offset:]:
                cloud.take([message])
                if limit == 0:
                    raise KeyboardInterrupt
                kept_by(cloud)
        except KeyboardInterrupt:
            continue
    kept = lake(tmp_path)
    assert kept["sequence"].to_pylist() == list(range(1, 301))
    # Each is told at least once, and always the same.
    told: dict[int, float] = {}
    for decisions in published.decisions:
        scores = np.frombuffer(decisions.risk_score, "<f8").tolist()
        for sequence, score in zip(np.frombuffer(decisions.sequence, "<u8").tolist(), scores, strict=True):
            assert told.setdefault(sequence, score) == score
    assert sorted(told) == list(range(1, 301))
    assert not list((tmp_path / "lake").rglob("*.unfinished"))


def test_what_a_pop_ships_twice_is_dropped_also_after_a_restart_and_another_pop_is_not_taken_for_it(
    bundle: Bundle, rescorer: Callable[[Published], Rescorer], tmp_path: Path
) -> None:
    published = Published()
    cloud = rescorer(published)
    cloud.begin(TOPIC, 0)
    first, again = request(bundle, range(1, 11)), request(bundle, range(6, 16))
    cloud.take(messages(first, again, request(bundle, range(1, 4), pop="fra1")))
    kept_by(cloud)
    assert cloud.counts.repeated == 5
    cloud = rescorer(published)
    assert cloud.begin(TOPIC, 0) == 3
    # A later life of the scorer gave positions anew whose end was lost.
    cloud.take(messages(again, request(bundle, range(12, 14), epoch=2), first=3))
    kept_by(cloud)
    assert cloud.counts.repeated == 10
    assert published.sequences() == [*range(1, 16), *range(1, 4), 12, 13]
    assert lake(tmp_path).num_rows == 20


def test_nothing_is_kept_before_it_is_published(
    bundle: Bundle, rescorer: Callable[[Published], Rescorer], tmp_path: Path
) -> None:
    published = Published()
    cloud = rescorer(published)
    cloud.begin(TOPIC, 0)
    cloud.take(messages(request(bundle, range(1, 11))))
    published.away = True
    with pytest.raises(OSError, match="away"):
        kept_by(cloud)
    assert not list((tmp_path / "lake").rglob("*.parquet"))
    published.away = False
    kept_by(cloud)
    assert lake(tmp_path).num_rows == 10


def test_a_message_that_cannot_be_scored_is_refused_and_the_next_one_is_scored(
    bundle: Bundle, rescorer: Callable[[Published], Rescorer]
) -> None:
    published = Published()
    cloud = rescorer(published)
    cloud.begin(TOPIC, 0)
    good = request(bundle, range(1, 4))
    spoilt = []
    for spoil in (
        {"program": "other"},
        {"plan_digest": b"x" * 32},
        {"rows": good.rows[4:]},
        {"keys": good.keys[1:]},
        {"epoch": b""},
        {"sequence": b""},
        {"features": 3},
    ):
        changed = rescore_pb2.RescoreRequest()
        changed.CopyFrom(good)
        for name, value in spoil.items():
            setattr(changed, name, value)
        spoilt.append(changed)
    cloud.take([*messages(*spoilt), Message(TOPIC, 0, 90, b"\xff\x00\xffcard 4111"), *messages(good, first=91)])
    assert cloud.counts.refused == len(spoilt) + 1
    assert published.sequences() == [1, 2, 3]


def test_what_the_cloud_turns_around_is_counted_in_money(
    bundle: Bundle, rescorer: Callable[[Published], Rescorer]
) -> None:
    published = Published()
    cloud = rescorer(published)
    cloud.begin(TOPIC, 0)
    sent = request(bundle, range(1, 2_001))
    cloud.take(messages(sent))
    told = published.decisions[0]
    amounts = np.frombuffer(sent.amount_minor, "<i8").tolist()
    turned = [
        max(amount, 0)
        for edge, again, amount in zip(sent.policy_verdict, told.rescored_verdict, amounts, strict=True)
        if edge == 1 and again == 4
    ]
    assert len(turned) > 3
    assert (cloud.counts.reversed, cloud.counts.reversed_minor) == (len(turned), sum(turned))


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_key_that_was_erased_goes_from_rows_of_before_that_are_kept_or_held_and_from_no_other(
    bundle: Bundle, rescorer: Callable[[Published], Rescorer], tmp_path: Path, *, is_kept: bool
) -> None:
    cloud = rescorer(Published())
    cloud.begin(TOPIC, 0)
    sent = request(bundle, range(1, 301), step_us=DAY_US // 100)
    keys = np.frombuffer(sent.keys, "V16").reshape(-1, len(ENTITIES)).copy()
    # One customer in three rows, and the same bytes as a terminal, which is somebody else.
    erased = keys[9, 0].tobytes()
    keys[[9, 150, 280], 0] = keys[9, 0]
    keys[20, 1] = keys[9, 0]
    sent.keys = keys.tobytes()
    other = request(bundle, range(1, 301), pop="fra1")
    other.keys = sent.keys
    cloud.take(messages(sent, other))
    if is_kept:
        kept_by(cloud)
    before = lake(tmp_path) if is_kept else None
    # The third row came after the erasure, and is a new person's.
    told = rescore_pb2.RescoreErasure(entity="customer", key=erased, epoch=1, sequence=200)
    says = rescore_pb2.RescoreRequest(pop="ams1", program="cards", entities=ENTITIES, erasures=[told])
    cloud.take(messages(says, says, first=2))
    assert cloud.held > 0
    kept_by(cloud)
    rows = lake(tmp_path)
    ours = rows.filter(pa.compute.equal(rows["pop"].cast(pa.string()), "ams1"))
    assert ours.filter(pa.compute.equal(ours["key.customer"], erased))["sequence"].to_pylist() == [281]
    assert ours["key.customer"].null_count == 2
    assert ours["key.terminal"].to_pylist()[20] == erased
    theirs = rows.filter(pa.compute.equal(rows["pop"].cast(pa.string()), "fra1"))
    assert theirs["key.customer"].to_pylist().count(erased) == 3
    if before is not None:
        # Nothing else of it changed.
        others = [sorted(map(repr, each.drop_columns("key.customer").to_pylist())) for each in (rows, before)]
        assert others[0] == others[1]
    # And how far it is stands in its files still.
    assert rescorer(Published()).begin(TOPIC, 0) == (2 if is_kept else 4)


def test_each_file_of_the_lake_says_how_far_its_partition_is(bundle: Bundle, tmp_path: Path) -> None:
    published = Published()
    cloud = Rescorer({"cards": teacher.load_bundle(bundle)}, published, Lake(tmp_path / "lake"))
    cloud.begin(TOPIC, 3)
    cloud.take(messages(request(bundle, range(1, 201), step_us=DAY_US // 100), partition=3, first=40))
    kept_by(cloud)
    files = sorted((tmp_path / "lake").rglob("*.parquet"))
    assert [path.name for path in files] == [f"{TOPIC}-3-40-40.{k}of3.parquet" for k in (1, 2, 3)]
    assert {pq.read_metadata(path).metadata[b"fraudgate.through"] for path in files} == {b'[["ams1", "cards", 1, 200]]'}
