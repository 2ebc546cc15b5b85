"""A real scorer for tests: the engine's own server on loopback with mutual TLS, a small plan and a small forest.

Programs: `shop` decides; `strict` is the same and refuses card numbers as keys; `unmodelled` has no model.
Clients: `all` may call every service, `scoring` and `feedback` one each, `nothing` none.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import lightgbm
import numpy as np

import engine
import features as declared
from fraudgate.v1 import decision_pb2, transaction_pb2
from models import export as onnx_export
from service import certificates

FEATURES = declared.Plan(
    name="shop",
    currency="EUR",
    entities=("customer", "terminal", "device"),
    numbers=("age",),
    texts=("note", "memo", "mcc", "channel"),
    features=(
        declared.Amount("amount"),
        declared.Number("age", number="age"),
        declared.Night("night", through_hour=6),
        declared.Count("customer_count_1d", entity="customer", window=declared.days(1), inclusive=True),
        declared.Mean("customer_mean_7d", entity="customer", window=declared.days(7), inclusive=True),
        declared.Risk("terminal_risk_7d", entity="terminal", window=declared.days(7), delay=declared.days(7)),
    ),
)
ALLOWED = {
    "all": ["scoring", "feedback"],
    "scoring": ["scoring"],
    "feedback": ["feedback"],
    "nothing": [],
    "operator": ["operation"],
}


# Of a server that is only made, with the least of everything.
CONFIG: dict[str, Any] = {
    "listen": "127.0.0.1:0",
    "ahead_us": None,
    "known_ids": 8,
    "memory": {"history_bytes": 1 << 32, "rows_a_key": 16_384, "process_bytes": None},
    "onnxruntime": str(engine.onnxruntime_library()),
    "identities": [],
    "connections": 8,
    "streams": 8,
    "message_bytes": 1_024,
    "batch": 8,
    "queue": 8,
    "handshake_ms": 1_000,
    "connection_age_s": 60,
    "idle_s": 60,
}


def made_server(path: Path) -> engine.Server:
    """A server that is not started, and its certificates in `path`."""
    folder = certificates.make(path, clients=[])
    server, ca = folder.server, folder.ca
    pem = (server.certificate.read_bytes(), server.key.read_bytes(), ca.certificate.read_bytes())
    return engine.Server(json.dumps(CONFIG).encode(), bytes(32), *pem)


@functools.cache
def small_model(plan_digest: str, names: tuple[str, ...], leaves: int = 8) -> tuple[bytes, bytes]:
    """Manifest and ONNX of a forest of ten small trees over random rows; the same bytes every time."""
    draw = np.random.default_rng(7)
    rows = draw.normal(size=(2_000, len(names))) * 50
    target = rows[:, 0] / 50 + (rows[:, 3] > 0) - 2
    parameters = {
        "objective": "regression",
        "num_leaves": leaves,
        "deterministic": True,
        "num_threads": 1,
        "verbose": -1,
    }
    onnx = onnx_export.export(lightgbm.train(parameters, lightgbm.Dataset(rows, target), num_boost_round=10))
    manifest = {
        "format": 1,
        "plan_digest": plan_digest,
        "onnx_sha256": hashlib.sha256(onnx).hexdigest(),
        "input": onnx_export.INPUT,
        "output": onnx_export.OUTPUT,
        "features": list(names),
        "probability": {"log_odds": [-20.0, 20.0], "value": [0.001, 0.999]},
        "risk": {"log_odds": [-20.0, 20.0], "value": [0.0, 100.0]},
    }
    return json.dumps(manifest, sort_keys=True).encode(), onnx


def new_purchase(id_: str, amount_minor: int) -> transaction_pb2.Transaction:
    """A purchase of now by customer c-1 at terminal t-1."""
    return transaction_pb2.Transaction(
        id=id_,
        program="shop",
        event_time_us=time.time_ns() // 1_000,
        kind=transaction_pb2.KIND_PURCHASE,
        amount_minor=amount_minor,
        currency="EUR",
        entities=[
            transaction_pb2.EntityKey(name="customer", value="c-1"),
            transaction_pb2.EntityKey(name="terminal", value="t-1"),
        ],
    )


@dataclass
class Scorer:
    """A running server and ways to call it."""

    server: engine.Server
    port: int
    folder: certificates.Folder
    _channels: dict[str, grpc.Channel] = field(default_factory=dict)

    def channel(self, identity: str = "all") -> grpc.Channel:
        """A channel that bears the identity's certificate; one for each, closed with the scorer."""
        if identity not in self._channels:
            leaf = self.folder.client(f"{identity}.example")
            credentials = grpc.ssl_channel_credentials(
                self.folder.ca.certificate.read_bytes(), leaf.key.read_bytes(), leaf.certificate.read_bytes()
            )
            self._channels[identity] = grpc.secure_channel(f"localhost:{self.port}", credentials)
        return self._channels[identity]

    def score(self, transaction: transaction_pb2.Transaction, identity: str = "all") -> decision_pb2.Decision:
        """The decision on one transaction."""
        call = self.channel(identity).unary_unary(
            "/fraudgate.v1.Scoring/Score",
            request_serializer=transaction_pb2.Transaction.SerializeToString,
            response_deserializer=decision_pb2.Decision.FromString,
        )
        decision: decision_pb2.Decision = call(transaction, timeout=10)
        return decision


class Program(NamedTuple):
    """One that a scorer serves: what its policy says beside the usual, and the manifest and ONNX of its model."""

    name: str
    policy: dict[str, object]
    model: tuple[bytes, bytes] | None
    reduced: bytes | None = None
    plan: declared.CompiledPlan | None = None
    """In place of the module's."""


def usual_programs() -> list[Program]:
    """Those of the module's description."""
    plan = FEATURES.compile()
    model = small_model(plan.digest, plan.features)
    return [
        Program("shop", {}, model),
        Program("strict", {"card_number_in_key": "refuse"}, model),
        Program("unmodelled", {}, None),
    ]


def journal_settings(folder: Path, **changed: object) -> dict[str, object]:
    """The journal's part of a scorer's configuration, in the engine's own form."""
    return {
        "folder": str(folder),
        "promise": "written",
        "segment_bytes": 1 << 20,
        "buffer_bytes": 1 << 24,
        "sync_ms": 10,
        "retain_bytes": None,
        "retain_s": None,
        "snapshots": 2,
        "spool_inputs": None,
        **changed,
    }


@contextlib.contextmanager
def running_scorer(
    path: Path,
    journal_key: bytes | None = None,
    programs: Sequence[Program] | None = None,
    standing_in: Callable[[Scorer], None] | None = None,
    made: Callable[[engine.Server, certificates.Folder], None] | None = None,
    **configured: object,
) -> Iterator[Scorer]:
    """A server with `configured` limits, its certificates in `path`; drained at the end.

    made: called with the server before it has programs, and the folder of its certificates.
    standing_in: called while the server stands in for itself, before its state is recovered.
    """
    folder = certificates.make(path / "certificates", clients=[f"{name}.example" for name in ALLOWED])
    config = {
        "listen": "127.0.0.1:0",
        "connections": 64,
        "streams": 256,
        "message_bytes": 1 << 20,
        "batch": 1024,
        "queue": 16_384,
        "handshake_ms": 5_000,
        "connection_age_s": 3_600,
        "idle_s": 900,
        "ahead_us": 60_000_000,
        "known_ids": 100_000,
        "memory": {"history_bytes": 1 << 32, "rows_a_key": 16_384, "process_bytes": None},
        "onnxruntime": str(engine.onnxruntime_library()),
        "identities": [{"name": f"dns:{name}.example", "allow": allow} for name, allow in ALLOWED.items()],
        **configured,
    }
    server = engine.Server(
        config=json.dumps(config).encode(),
        hash_key=bytes(range(32)),
        certificate_pem=folder.server.certificate.read_bytes(),
        key_pem=folder.server.key.read_bytes(),
        client_ca_pem=folder.ca.certificate.read_bytes(),
    )
    if made is not None:
        made(server, folder)
    plan = FEATURES.compile()
    usual = {"format": 1, "mode": "decide", "challenge": 40.0, "decline": 60.0, "card_number_in_key": "hash"}
    for program in usual_programs() if programs is None else programs:
        policy = json.dumps(usual | program.policy).encode()
        server.add_program(program.name, (program.plan or plan).json, policy, program.model, 0, program.reduced)
    scorer = Scorer(server, 0, folder)
    try:
        if standing_in is not None:
            scorer.port = server.stand_in()
            standing_in(scorer)
        if journal_key is not None:
            server.recover(journal_key)
        scorer.port = server.start()
        yield scorer
    finally:
        for channel in scorer._channels.values():
            channel.close()
        server.drain(5.0)
