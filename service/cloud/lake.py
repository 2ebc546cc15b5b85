"""The training lake: what was scored again, as Parquet by the day on which it happened, each row once.

The files are also the place to which the topic was read. A part of a partition is written as one file for each day in
it, `day=2026-11-24/<topic>-<partition>-<first>-<last>.<k>of<n>.parquet`, under temporary names; then they take their
names in the order of k. So the part is there when the last of them is, and one that is not there whole is removed at
the next start and read again. To archive, copy; the newest part of a partition has to stay.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from service.cloud.columns import Answers, Column, Erased, Requests
from service.files import sync

DAY_US: Final = 86_400_000_000
_NAME: Final = re.compile(
    r"(?P<topic>[A-Za-z0-9._-]+)-(?P<partition>\d+)-(?P<first>\d+)-(?P<last>\d+)\.(?P<k>\d+)of(?P<n>\d+)\.parquet"
)
_UNFINISHED: Final = ".unfinished"
_THROUGH: Final = b"fraudgate.through"
# What says whose a row is, and where it stands in that PoP's order.
_ORDER: Final = ("pop", "program", "epoch", "sequence")
# Enums whose members a reader of the lake should not have to look up.
_NAMES: Final[Mapping[str, Sequence[str]]] = {
    "policy_verdict": ("", "approve", "challenge", "hold", "decline"),
    "rescored_verdict": ("", "approve", "challenge", "hold", "decline"),
    "tier": ("", "full", "reduced", "rules_only", "default"),
    "cause": ("", "deadline", "model", "recovering", "feature", "memory"),
    "reason": ("", "control", "degraded", "uncertain"),
}

Through = dict[tuple[str, str], tuple[int, int]]
"""By PoP and program: epoch and sequence of the last row that was kept."""


class Part(NamedTuple):
    """What was read of one partition: its messages' offsets, from the first to the last."""

    topic: str
    partition: int
    first: int
    last: int


class Kept(NamedTuple):
    """How far a partition is in the lake."""

    next_offset: int
    through: Through


class Rescored(NamedTuple):
    """Rows of one message with what the teacher said of them."""

    requests: Requests
    answers: Answers
    features: tuple[str, ...]
    model_digest: bytes


class Lake:
    """The folder of one lake."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def kept(self, topic: str, partition: int) -> Kept:
        """How far a partition was kept; what was being kept when a writer died is removed."""
        parts: dict[Part, dict[int, Path]] = {}
        whole: dict[Part, int] = {}
        for path in self._folder.glob(f"day=*/{topic}-{partition}-*"):
            if path.name.endswith(_UNFINISHED):
                path.unlink()
            elif (match := _NAME.fullmatch(path.name)) and match["topic"] == topic:
                part = Part(topic, partition, int(match["first"]), int(match["last"]))
                parts.setdefault(part, {})[int(match["k"])] = path
                whole[part] = int(match["n"])
        newest: tuple[Part, Path] | None = None
        for part, files in parts.items():
            if whole[part] not in files:
                for path in files.values():
                    path.unlink()
            elif newest is None or part.last > newest[0].last:
                newest = part, files[whole[part]]
        if newest is None:
            return Kept(0, {})
        told = json.loads(pq.read_metadata(newest[1]).metadata[_THROUGH])
        return Kept(newest[0].last + 1, {(pop, program): (epoch, at) for pop, program, epoch, at in told})

    def keep(self, part: Part, rescored: Sequence[Rescored], through: Through) -> int:
        """Write the rows of a part, at least one; `through` is how far its partition is with it. Returns how many."""
        days: dict[int, list[pa.Table]] = {}
        for one in rescored:
            of_day = one.requests.columns["event_time_us"] // DAY_US
            for day in np.unique(of_day).tolist():
                days.setdefault(day, []).append(table(one, of_day == day))
        told = json.dumps([[*who, *at] for who, at in sorted(through.items())]).encode()
        named = [self._write(part, k, len(days), day, days[day], told) for k, day in enumerate(sorted(days), 1)]
        for unfinished, path in named:
            unfinished.rename(path)
            sync(path.parent)
        return sum(each.num_rows for tables in days.values() for each in tables)

    def _write(self, part: Part, k: int, n: int, day: int, tables: list[pa.Table], told: bytes) -> tuple[Path, Path]:
        folder = self._folder / f"day={np.datetime64(day, 'D')}"
        folder.mkdir(exist_ok=True)
        path = folder / f"{part.topic}-{part.partition}-{part.first}-{part.last}.{k}of{n}.parquet"
        unfinished = path.with_name(path.name + _UNFINISHED)
        rows = pa.concat_tables(tables, promote_options="default")
        _write(unfinished, rows.replace_schema_metadata({_THROUGH: told}))
        return unfinished, path

    def erase(self, keys: Sequence[Erased]) -> int:
        """Take erased keys from the rows of before: a file that holds one is replaced whole. Returns how many it held.

        What died in the middle is done by saying the same again. Files that were copied elsewhere are not reached.
        """
        lost = 0
        for path in sorted(self._folder.glob("day=*/*.parquet")):
            if _NAME.fullmatch(path.name) is None:
                continue
            with pq.ParquetFile(path) as file:
                here = [each for each in keys if f"key.{each.entity}" in file.schema_arrow.names]
                columns = [*_ORDER, *{f"key.{each.entity}" for each in here}]
                if not any(pc.any(_holds(file.read(columns), each)).as_py() for each in here):
                    continue
                rows = file.read()
            for each in here:
                hit, name = _holds(rows, each), f"key.{each.entity}"
                lost += pc.sum(hit).as_py()
                left = pc.if_else(hit, pa.scalar(None, pa.binary(16)), rows[name])
                place = rows.schema.get_field_index(name)
                rows = rows.set_column(place, rows.schema.field(place), left)
            unfinished = path.with_name(path.name + _UNFINISHED)
            _write(unfinished, rows)
            unfinished.rename(path)
            sync(path.parent)
        return lost


def _write(path: Path, rows: pa.Table) -> None:
    with path.open("wb") as file:
        # Hashes and floats hardly compress, and no reader looks a row up by them.
        pq.write_table(rows, file, compression="lz4", use_dictionary=False, write_statistics=["event_time"])
        file.flush()
        os.fsync(file.fileno())


def _holds(rows: pa.Table, erased: Erased) -> pa.ChunkedArray:
    """Which rows hold a key that was erased: bool [n]."""
    epoch, sequence = rows["epoch"], rows["sequence"]
    before = pc.or_(
        pc.less(epoch, erased.epoch),
        pc.and_(pc.equal(epoch, erased.epoch), pc.less(sequence, erased.sequence)),
    )
    theirs = pc.and_(
        pc.equal(rows["pop"].cast(pa.string()), erased.pop), pc.equal(rows["program"].cast(pa.string()), erased.program)
    )
    is_key = pc.equal(rows[f"key.{erased.entity}"], pa.scalar(erased.key, pa.binary(16)))
    return pc.fill_null(pc.and_(pc.and_(before, theirs), is_key), False)


def table(one: Rescored, chosen: npt.NDArray[np.bool_] | None = None) -> pa.Table:
    """The rows of a message that are chosen, bool [n], as the lake holds them: each feature is a column by its name."""
    requests, answers = one.requests, one.answers
    if chosen is not None and not chosen.all():
        requests = requests.where(chosen)
        answers = Answers(
            answers.fraud_probability[chosen], answers.risk_score[chosen], answers.rescored_verdict[chosen]
        )
    columns, head, n = requests.columns, requests.head, len(requests)
    amount = columns["amount_minor"]
    made: dict[str, pa.Array] = {
        "pop": _constant(head.pop, n),
        "program": _constant(head.program, n),
        "epoch": pa.array(columns["epoch"]),
        "sequence": pa.array(columns["sequence"]),
        "transaction": _hashes(columns["transaction"]),
        "event_time": pa.array(columns["event_time_us"]).cast(pa.timestamp("us", "UTC")),
        "kind": pa.array(columns["kind"]),
        "reference_amount_minor": pa.array(amount, mask=amount < 0),
    }
    for slot, entity in enumerate(head.entities):
        made[f"key.{entity}"] = _hashes(np.ascontiguousarray(requests.keys[:, slot]), absent=True)
    # Features stand by column from here on: one copy turns them around.
    turned = np.ascontiguousarray(requests.rows.T)
    for name, values in zip(one.features, turned, strict=True):
        made[f"feature.{name}"] = pa.array(values)
    for name in ("policy_verdict", "tier", "cause", "reason"):
        made[name] = _named(name, columns[name])
    made["fraud_probability"] = pa.array(columns["fraud_probability"], from_pandas=True)
    made["risk_score"] = pa.array(columns["risk_score"], from_pandas=True)
    made["rescored_verdict"] = _named("rescored_verdict", answers.rescored_verdict)
    made["rescored_fraud_probability"] = pa.array(answers.fraud_probability)
    made["rescored_risk_score"] = pa.array(answers.risk_score)
    made["plan_digest"] = _constant(head.plan_digest, n)
    made["model_digest"] = _constant(head.model_digest, n)
    made["rescored_model_digest"] = _constant(one.model_digest, n)
    return pa.table(made)


def _constant(value: str | bytes, n: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array([value]))


def _named(enum: str, numbers: Column) -> pa.Array:
    names = _NAMES[enum]
    return pa.DictionaryArray.from_arrays(pa.array(np.minimum(numbers, len(names) - 1).astype(np.int32)), list(names))


def _hashes(hashes: Column, absent: bool = False) -> pa.Array:
    """16 bytes each; with `absent`, those that are all zero are null."""
    validity = None
    if absent:
        halves = hashes.view("<u8").reshape(-1, 2)
        there = (halves != 0).any(axis=1)
        if not there.all():
            validity = pa.py_buffer(np.packbits(there, bitorder="little").tobytes())
    buffers = [validity, pa.py_buffer(hashes.tobytes())]
    return pa.Array.from_buffers(pa.binary(16), len(hashes), buffers)
