"""A file of transactions to a file of scores, end to end: the command's own job, and the best assembled instead.

`python -m benchmarks.peers.scored METHOD STAGE FILE OUT` reads Parquet, computes the Handbook's 15 features, scores
them by the stage's model and writes Parquet, in files OUT/part-*; it prints what that cost and the sum of the
probabilities that were written. What has threads gets one for each core that the process may use. The clock begins when
all is imported, for either.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.peers import tables
from benchmarks.peers.cost import THREADS, cost
from benchmarks.stage import Stage
from features import handbook
from service.backfill import job, mapping
from service.backfill.program import KNOWN_IDS, Program
from service.backfill.source import Source

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


def fraudgate(stage: Stage, path: Path, out: Path) -> None:
    """`fraudgate backfill`, labels joined as they arrive."""
    named = out.parent / "mapping.toml"
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
    job.run(job.Job(source=Source(str(path)), output=out, program=served, mapping=mapping.read(str(named))))


def numpy(stage: Stage, path: Path, out: Path) -> None:
    """numpy's features, the fastest of the peers'; onnxruntime; and the probability of its score."""
    columns = tables.numpy(pq.read_table(path).combine_chunks())
    rows = np.column_stack([np.asarray(column, np.float32) for column in columns])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
    session = onnxruntime.InferenceSession(stage.onnx, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    batches = [rows[begin : begin + BATCH] for begin in range(0, len(rows), BATCH)]
    output = json.loads(stage.manifest)["output"]
    scores = np.concatenate([session.run([output], {name: batch})[0].ravel() for batch in batches])
    curve = json.loads(stage.manifest)["probability"]
    probability = np.interp(scores, curve["log_odds"], curve["value"])
    out.mkdir(parents=True)
    pq.write_table(pa.table({"fraud_probability": probability}), out / "part-0.parquet", compression="zstd")


METHODS: Final[dict[str, Callable[[Stage, Path, Path], None]]] = {"fraudgate": fraudgate, "numpy": numpy}


def main(method: str, stage: str, path: str, out: str) -> None:
    """Score, and print what it cost."""
    _, told = cost(lambda: METHODS[method](Stage(Path(stage)), Path(path), Path(out)))
    parts = [pq.read_table(part, columns=["fraud_probability"]) for part in Path(out).glob("part-*.parquet")]
    scored = sum(pc.sum(part["fraud_probability"]).as_py() for part in parts)
    print(json.dumps({**told, "sums": [scored]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
