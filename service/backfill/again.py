"""Rows that were seen before, scored by another model: no state, so each part is scored by itself, on any core.

A part of features gives a part of answers of the same rows, as the road answers them in full.
"""

import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import engine
from service.backfill.parts import MANIFEST, in_words, writer
from service.backfill.program import Program

_KEPT: Final = ("row", "transaction_id", "event_time", "kind", "amount_minor", "currency", "label_class")
_BATCH_ROWS: Final = 65_536


class Scored(NamedTuple):
    """What became of it."""

    rows: int
    parts: int


def score(seen: Path, output: Path, program: Program, jobs: int, progress: Callable[[int, int], None]) -> Scored:
    """Score the features in `seen` (an output that holds them) by the program's model and policy into `output`.

    A part that is there is kept, so that it can be asked again after a kill. Raises ValueError where `seen` is not
    finished, holds no features, or was made under another plan, and where `output` is that of another model.
    """
    if program.model is None:
        raise ValueError(f"program {program.name} has no model to score with")
    manifest = json.loads((seen / MANIFEST).read_text())
    if not manifest["done"]:
        raise ValueError(f"{seen} is not finished: go on with it by --resume")
    if manifest["job"]["plan_digest"] != program.plan.digest:
        raise ValueError(f"{seen} was made under another plan, {manifest['job']['plan_digest'][:12]}")
    metadata = program.stated() | {"input_digest": ",".join(part["sha256"] for part in manifest["parts"])}
    output.mkdir(parents=True, exist_ok=True)
    stated = output / "scored.json"
    if stated.exists() and json.loads(stated.read_text()) != metadata:
        raise ValueError(f"{output} is the output of another model, policy or input: give another folder")
    stated.write_text(json.dumps(metadata, indent=1, sort_keys=True) + "\n")
    asked = [(seen / part["file"], output / part["file"], program, metadata) for part in manifest["parts"]]
    rows = 0
    # Not forked: the engine and Arrow have threads of their own.
    with ProcessPoolExecutor(jobs or os.cpu_count(), get_context("spawn")) as pool:
        for done, scored in enumerate(pool.map(_part, asked), 1):
            rows += scored
            progress(done, len(asked))
    return Scored(rows, len(asked))


def _part(asked: tuple[Path, Path, Program, dict[str, str]]) -> int:
    source, target, program, metadata = asked
    if target.exists():
        rows: int = pq.read_metadata(target).num_rows
        return rows
    assert program.model is not None  # noqa: S101 - `score` has looked
    scorer = engine.Scorer(
        program.plan.json, program.policy, program.model, onnxruntime=str(engine.onnxruntime_library())
    )
    file = pq.ParquetFile(source)
    kept = [name for name in _KEPT if name in file.schema_arrow.names]
    missing = [name for name in program.plan.features if name not in file.schema_arrow.names]
    if missing:
        raise ValueError(f"{source} has no column {missing[0]}: make it by fraudgate features, or backfill --features")
    unfinished = target.with_name(f".{target.name}.unfinished")
    rows, written = 0, None
    for batch in file.iter_batches(_BATCH_ROWS, columns=[*kept, "replayed", *program.plan.features]):
        # A retransmission saw nothing.
        batch = batch.filter(pc.invert(batch["replayed"]))
        scored = pa.record_batch(scorer.score(batch.select(list(program.plan.features))))
        columns = {name: batch[name] for name in kept} | {name: scored[name] for name in scored.schema.names}
        answered = in_words(pa.record_batch(columns))
        if written is None:
            schema = answered.schema.with_metadata({f"fraudgate.{name}": value for name, value in metadata.items()})
            written = writer(unfinished, schema)
        written.write_batch(answered)
        rows += answered.num_rows
    if written is not None:
        written.close()
        unfinished.replace(target)
    return rows
