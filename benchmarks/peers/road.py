"""The road of the Python peers: features, ONNX Runtime, calibration, policy and answer, for one to many transactions.

It does less than the engine: no validation, no known ids, no keyed hashes.
"""

from __future__ import annotations

import gc
import json
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from time import time_ns
from typing import Any

import numpy as np

from benchmarks.peers.features import History
from benchmarks.stage import Stage
from fraudgate.v1.decision_pb2 import (
    DURABILITY_MEMORY,
    TIER_FULL,
    VERDICT_APPROVE,
    VERDICT_CHALLENGE,
    VERDICT_DECLINE,
    VERDICT_HOLD,
    Assessment,
    Decision,
    Receipt,
    Verdict,
)
from fraudgate.v1.transaction_pb2 import Transaction

# ONNX Runtime's Linux wheel reports home, unless told so before the library loads.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime


class Road:
    """One program's state and model. One thread at a time."""

    def __init__(self, stage: Stage) -> None:
        manifest = json.loads(stage.manifest)
        self._log_odds = _forest(stage.onnx, manifest["input"], manifest["output"])
        self._probability = _table(**manifest["probability"])
        self._risk = _table(**manifest["risk"])
        self._thresholds = _thresholds(json.loads(stage.policy))
        self._history = warm(stage)
        self._sequence = 0
        # One message that is filled anew for every answer and encoded at once: making messages costs more.
        self._decision = Decision(
            assessment=Assessment(
                tier=TIER_FULL,
                model_digest=sha256(stage.manifest).digest(),
                plan_digest=sha256(stage.plan).digest(),
                policy_digest=sha256(stage.policy).digest(),
            ),
            receipt=Receipt(epoch=1, durability=DURABILITY_MEMORY),
        )
        # What was made so far lives on: the collector need not look at it again.
        gc.collect()
        gc.freeze()

    def decide(self, transactions: Sequence[Transaction]) -> Iterator[Decision]:
        """The decisions, in order; each is the same message, to be encoded or copied before the next is taken."""
        see = self._history.see
        rows = []
        for transaction in transactions:
            customer = terminal = ""
            for entity in transaction.entities:
                if entity.name == "customer":
                    customer = entity.value
                elif entity.name == "terminal":
                    terminal = entity.value
            rows.append(see(customer, terminal, transaction.event_time_us, transaction.amount_minor))
        return map(self._decided, self._log_odds(rows))

    def _decided(self, log_odds: float) -> Decision:
        decision = self._decision
        assessment, receipt = decision.assessment, decision.receipt
        risk = self._risk(log_odds)
        verdict: Verdict = VERDICT_APPROVE
        for threshold, graver in self._thresholds:
            if risk >= threshold:
                verdict = graver
        assessment.verdict = verdict
        assessment.policy_verdict = verdict
        assessment.fraud_probability = self._probability(log_odds)
        assessment.risk_score = risk
        self._sequence += 1
        receipt.sequence = self._sequence
        receipt.received_at_us = time_ns() // 1000
        return decision


def warm(stage: Stage) -> History:
    """The state after the stage's history."""
    history, transactions, labels = History(), stage.transactions, stage.labels
    for terminal, time in zip(labels["terminal"].to_pylist(), labels["event_time_us"].to_pylist(), strict=True):
        history.label_fraud(terminal, time)
    columns = [transactions[name].to_pylist() for name in ("customer", "terminal", "event_time_us", "amount_minor")]
    for transaction in zip(*columns, strict=True):
        history.see(*transaction)
    return history


def fixed_decision() -> bytes:
    """An answer as any other: what an echo gives to everything."""
    return Decision(
        assessment=Assessment(
            verdict=VERDICT_APPROVE,
            policy_verdict=VERDICT_APPROVE,
            tier=TIER_FULL,
            fraud_probability=0.0123,
            risk_score=12.3,
            model_digest=bytes(32),
            plan_digest=bytes(32),
            policy_digest=bytes(32),
        ),
        receipt=Receipt(epoch=1, sequence=1_000_000, durability=DURABILITY_MEMORY, received_at_us=time_ns() // 1000),
    ).SerializeToString()


def _forest(onnx: bytes, given: str, asked: str) -> Callable[[list[list[float]]], list[float]]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session: Any = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    outputs = [asked]

    def log_odds(rows: list[list[float]]) -> list[float]:
        scores: list[float] = session.run(outputs, {given: np.array(rows, np.float32)})[0].ravel().tolist()
        return scores

    return log_odds


def _table(log_odds: list[float], value: list[float]) -> Callable[[float], float]:
    """A piecewise-linear function of the log-odds, as `models.table.Table` defines it."""
    last = len(log_odds) - 2

    def at(x: float) -> float:
        x = min(max(x, log_odds[0]), log_odds[-1])
        i = min(bisect_right(log_odds, x) - 1, last)
        x0, y0 = log_odds[i], value[i]
        return y0 + (value[i + 1] - y0) * ((x - x0) / (log_odds[i + 1] - x0))

    return at


def _thresholds(policy: dict[str, Any]) -> list[tuple[float, Verdict]]:
    verdicts = {"challenge": VERDICT_CHALLENGE, "hold": VERDICT_HOLD, "decline": VERDICT_DECLINE}
    return [(policy[name], verdict) for name, verdict in verdicts.items() if policy[name] is not None]
