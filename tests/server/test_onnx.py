"""A model is served only when it is the one that its manifest names, and it scores as ONNX Runtime does."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pyarrow
import pytest

import engine
from fraudgate.v1 import decision_pb2, scoring_pb2, transaction_pb2
from service import certificates
from tests.scorer import CONFIG, FEATURES, Program, made_server, running_scorer, small_model

New = Callable[[], transaction_pb2.Transaction]
PLAN = FEATURES.compile()
POLICY = b'{"card_number_in_key":"hash","challenge":40.0,"decline":60.0,"format":1,"mode":"decide"}'


def _changed(change: Callable[[dict[str, Any]], None]) -> tuple[bytes, bytes]:
    manifest, model = small_model(PLAN.digest, PLAN.features)
    members = json.loads(manifest)
    change(members)
    return json.dumps(members).encode(), model


def _other_width() -> tuple[bytes, bytes]:
    manifest, model = small_model(PLAN.digest, PLAN.features)
    proto = onnx.load_from_string(model)
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value += 1
    model = proto.SerializeToString()
    return json.dumps(json.loads(manifest) | {"onnx_sha256": hashlib.sha256(model).hexdigest()}).encode(), model


def _no_onnx() -> tuple[bytes, bytes]:
    manifest, _ = small_model(PLAN.digest, PLAN.features)
    model = b"no model"
    return json.dumps(json.loads(manifest) | {"onnx_sha256": hashlib.sha256(model).hexdigest()}).encode(), model


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: _changed(lambda m: m.update(onnx_sha256="0" * 64)), "model.onnx has SHA-256"),
        (lambda: _changed(lambda m: m.update(plan_digest="0" * 64)), "the plan has SHA-256"),
        (lambda: _changed(lambda m: m["features"].reverse()), "features are not the plan's"),
        (lambda: _changed(lambda m: m.update(input="rows")), "no input `rows`"),
        (lambda: _changed(lambda m: m.update(output="label")), "no output `label`"),
        (_other_width, "must be float32"),
        (_no_onnx, "ONNX Runtime"),
    ],
    ids=["bytes", "plan", "features", "input", "output", "width", "no ONNX"],
)
def test_a_model_that_does_not_belong_is_refused(
    tmp_path: Path, make: Callable[[], tuple[bytes, bytes]], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        made_server(tmp_path).add_program("shop", PLAN.json, POLICY, make(), 0)


def test_scores_are_those_of_onnx_runtime_whatever_the_size_of_the_drain(tmp_path: Path, new_transaction: New) -> None:
    count = 300  # more than one run of the forest holds
    transactions = [new_transaction() for _ in range(count)]
    for i, transaction in enumerate(transactions):
        transaction.amount_minor = 100 * i + 1
        transaction.event_time_us += i
    with running_scorer(tmp_path / "alone") as scorer:
        alone = [scorer.score(transaction).assessment for transaction in transactions]
    with running_scorer(tmp_path / "together") as scorer:
        call = scorer.channel().unary_unary("/fraudgate.v1.Scoring/ScoreBatch")
        batch = scoring_pb2.ScoreBatchRequest(transactions=transactions)
        response = scoring_pb2.ScoreBatchResponse.FromString(call(batch.SerializeToString(), timeout=20))
    assert [result.decision.assessment for result in response.results] == alone

    table = pyarrow.table(
        {
            "event_time_us": [transaction.event_time_us for transaction in transactions],
            "amount_minor": [transaction.amount_minor for transaction in transactions],
            "customer": ["c-1"] * count,
            "terminal": ["t-1"] * count,
            "device": pyarrow.nulls(count, pyarrow.string()),
            "age": pyarrow.nulls(count, pyarrow.float64()),
        }
    )
    rows = pyarrow.array(engine.Folder(PLAN.json, bytes(32), 0).fold(table)).flatten().to_numpy().reshape(count, -1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # threads would add up the trees in another order
    session = onnxruntime.InferenceSession(small_model(PLAN.digest, PLAN.features)[1], options)
    log_odds = session.run(["log_odds"], {"features": rows})[0].ravel().astype(np.float64)
    expected = np.interp(log_odds, [-20.0, 20.0], [0.0, 100.0])
    np.testing.assert_allclose([assessment.risk_score for assessment in alone], expected, rtol=1e-12)


def test_what_runs_each_student_is_told(tmp_path: Path, new_transaction: New) -> None:
    walked = small_model(PLAN.digest, PLAN.features)
    too_large = small_model(PLAN.digest, PLAN.features, leaves=40)
    told = made_server(tmp_path).add_program("shop", PLAN.json, POLICY, too_large, 0)
    assert told == {"full": "ONNX Runtime: tree 0 has 40 leaves, more than 32"}
    assert made_server(tmp_path / "two").add_program("shop", PLAN.json, POLICY, walked, 0) == {"full": "walker"}

    programs = [Program("shop", {}, too_large), Program("strict", {}, walked), Program("unmodelled", {}, None)]
    with running_scorer(tmp_path / "running", programs=programs) as scorer:
        stats = scorer.server.stats()
        assert {name: value for name, value in stats.items() if "walked" in name} == {
            "student_walked.shop": 0,
            "student_walked.strict": 1,
        }
        assert scorer.score(new_transaction()).assessment.tier == decision_pb2.TIER_FULL


def test_onnx_runtime_leaves_nothing_under_a_fresh_home(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("plan", "policy", "manifest", "model", "config")}
    manifest, model = small_model(PLAN.digest, PLAN.features)
    contents = (PLAN.json, POLICY, manifest, model, json.dumps(CONFIG).encode())
    for file, content in zip(files.values(), contents, strict=True):
        file.write_bytes(content)
    folder = certificates.make(tmp_path / "certificates", clients=[])
    paths = [*files.values(), folder.server.certificate, folder.server.key, folder.ca.certificate]
    script = (
        "import pathlib, sys, engine\n"
        "plan, policy, manifest, model, config, *pem = (pathlib.Path(path).read_bytes() for path in sys.argv[1:])\n"
        "server = engine.Server(config, bytes(32), *pem)\n"
        "server.add_program('shop', plan, policy, (manifest, model), 0)\n"
        "server.start()\n"
        "server.drain(1.0)\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(home), "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    subprocess.run([sys.executable, "-c", script, *map(str, paths)], env=environment, check=True, timeout=60)
    assert list(home.rglob("*")) == []
