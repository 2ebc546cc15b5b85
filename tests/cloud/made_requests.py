"""Requests as a PoP's engine makes them, for what needs no engine: random rows under a small trained teacher."""

from __future__ import annotations

import numpy as np

from fraudgate.v1 import rescore_pb2
from models.manifest import Bundle

ENTITIES = ("customer", "terminal")
START_US = 1_767_225_600_000_000
THRESHOLDS = {"challenge": 20.0, "decline": 40.0}


def request(
    bundle: Bundle,
    sequences: range,
    *,
    seed: int = 0,
    pop: str = "ams1",
    program: str = "cards",
    epoch: int = 1,
    step_us: int = 1_000_000,
) -> rescore_pb2.RescoreRequest:
    """Rows of `sequences`, each `step_us` later than the one before. The same seed and sequence give the same row."""
    n, features = len(sequences), len(bundle.manifest.features)
    rows = np.stack([np.random.default_rng([seed, i]).normal(size=features) for i in sequences]).astype("<f4")
    rows[::7, 0] = np.nan
    order = np.array(sequences, "<u8")
    keys = np.random.default_rng([seed, 1]).bytes(16 * n * len(ENTITIES))
    return rescore_pb2.RescoreRequest(
        pop=pop,
        program=program,
        plan_digest=bytes.fromhex(bundle.manifest.plan_digest),
        policy_digest=b"q" * 32,
        model_digest=b"m" * 32,
        thresholds=rescore_pb2.Thresholds(**THRESHOLDS),
        entities=ENTITIES,
        features=features,
        sequence=order.tobytes(),
        epoch=np.full(n, epoch, "<u8").tobytes(),
        transaction=b"".join(int(i).to_bytes(16, "little") for i in sequences),
        event_time_us=(START_US + order.astype("<i8") * step_us).tobytes(),
        kind=bytes([1]) * n,
        amount_minor=np.where(order % 5 == 0, -1, order.astype("<i8") * 100).astype("<i8").tobytes(),
        keys=keys[:-16] + bytes(16),
        rows=rows.tobytes(),
        policy_verdict=bytes([1 + i % 4 for i in sequences]),
        tier=bytes([(1, 2, 4)[i % 3] for i in sequences]),
        cause=bytes([(0, 1, 2)[i % 3] for i in sequences]),
        reason=bytes([1 + i % 3 for i in sequences]),
        fraud_probability=np.where(order % 3 == 2, np.nan, 0.5).astype("<f8").tobytes(),
        risk_score=np.where(order % 3 == 2, np.nan, 10.0).astype("<f8").tobytes(),
    )
