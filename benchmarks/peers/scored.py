"""A file of transactions to a file of scores, end to end: the command's own job, and the best assembled instead.

`python -m benchmarks.peers.scored METHOD STAGE FILE OUT` reads Parquet, computes the Handbook's 15 features, scores
them by the stage's model and writes Parquet; it prints CPU seconds, peak memory and the sum of the probabilities.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.peers import tables
from benchmarks.stage import Stage

BATCH: Final = 4_096
_MAPPING: Final = """
transaction_id = "transaction_id"
event_time = "event_time_us"
amount = { column = "amount_minor", unit = "minor", currency = "EUR" }
[entities]
customer = "customer"
terminal = "terminal"
[label]
class = { column = "fraud", names = { false = "", true = "third_party_fraud" } }
delay_days = 7
"""


def fraudgate(stage: Stage, path: Path, out: Path) -> float:
    """`fraudgate backfill`, labels joined as they arrive."""
    from features import handbook
    from service.backfill import job, mapping
    from service.backfill.program import KNOWN_IDS, Program
    from service.backfill.source import Source

    out.mkdir(parents=True)
    named = out / "mapping.toml"
    named.write_text(_MAPPING)
    served = Program(
        name=handbook.PLAN.name,
        plan=handbook.PLAN.compile(),
        policy=stage.policy,
        model=(stage.manifest, stage.onnx),
        reduced=None,
        hash_key=bytes(32),
        known_ids=KNOWN_IDS,
        complete_since_us=0,
    )
    job.run(
        job.Job(source=Source(str(path)), output=out / "answered", program=served, mapping=mapping.read(str(named)))
    )
    parts = [pq.read_table(part, columns=["fraud_probability"]) for part in (out / "answered").glob("part-*.parquet")]
    return float(pa.concat_tables(parts)["fraud_probability"].to_numpy().sum())


def numpy(stage: Stage, path: Path, out: Path) -> float:
    """numpy's features, the fastest of the peers'; onnxruntime on one thread; and the probability of its score."""
    import onnxruntime

    columns = tables.numpy(pq.read_table(path).combine_chunks())
    rows = np.column_stack([np.asarray(column, np.float32) for column in columns])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(stage.onnx, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    batches = [rows[begin : begin + BATCH] for begin in range(0, len(rows), BATCH)]
    output = json.loads(stage.manifest)["output"]
    scores = np.concatenate([session.run([output], {name: batch})[0].ravel() for batch in batches])
    curve = json.loads(stage.manifest)["probability"]
    probability = np.interp(scores, curve["log_odds"], curve["value"])
    out.mkdir(parents=True)
    pq.write_table(pa.table({"fraud_probability": probability}), out / "scored.parquet", compression="zstd")
    return float(probability.sum())


METHODS: Final[dict[str, Callable[[Stage, Path, Path], float]]] = {"fraudgate": fraudgate, "numpy": numpy}


def main(method: str, stage: str, path: str, out: str) -> None:
    """Score, and print what it cost."""
    tables.forget_peak()
    before = tables.peak_mb()
    began = time.process_time()
    scored = METHODS[method](Stage(Path(stage)), Path(path), Path(out))
    cpu_s = time.process_time() - began
    peak = tables.peak_mb()
    print(json.dumps({"cpu_s": cpu_s, "peak_mb": peak, "before_mb": before, "sums": [scored]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
