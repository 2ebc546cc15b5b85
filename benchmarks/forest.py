"""What a student costs a row, run by ONNX Runtime and walked by the engine, in one process of `forest_cost`.

Slices of both go in turn, figures are medians, and every row must get the same bits of both. The students are grown on
made-up rows: what a forest costs depends on its size and on how evenly rows spread over its leaves.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import lightgbm
import numpy as np

from benchmarks.machine import on_core, two_cores
from benchmarks.report import Row, at_most, table
from benchmarks.serve import Size
from benchmarks.servers import ROOT
from engine import onnxruntime_library
from models.export import INPUT, OUTPUT, export
from models.leaf_grid import on_leaf_grid
from models.spec import MAX_STUDENT_LEAVES, MAX_STUDENT_TREES, ModelSpec, StudentSpec

PREFIX: Final = "forest/"
FEATURES: Final = 15
# The default student and its reduced one, and the largest that can be specified.
STUDENTS: Final = (
    ModelSpec().reduced,
    ModelSpec().student,
    StudentSpec(trees=MAX_STUDENT_TREES, leaves=MAX_STUDENT_LEAVES),
)
# Rows, and slices that are measured.
WHOLE: Final = (16_384, 400)
SMOKE: Final = (1_024, 1)
WALKED_MOST: Final = {64: 0.33, 1: 0.5}


@dataclass
class Found:
    """What the example printed of each student: its loading, then a line for each number of rows in a run."""

    loads: list[dict[str, Any]]
    runs: list[list[dict[str, Any]]]
    first_error: str | None = None


def run(folder: Path, size: Size) -> Found:
    """Grows, builds and measures."""
    rows, slices = SMOKE if size.rounds == 1 else WHOLE
    core, _ = two_cores()
    command = ["cargo", "run", "--release", "--locked", "--quiet", "-p", "fraudgate-server", "--example", "forest_cost"]
    found = Found([], [])
    for spec in STUDENTS:
        grown = folder / "forest" / _name(spec)
        _grow(grown, spec, rows)
        with on_core(core):
            done = subprocess.run(
                [*command, "--", str(onnxruntime_library()), str(grown), str(slices)],
                cwd=ROOT,
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
        load, *runs = map(json.loads, done.stdout.splitlines())
        if load["runner"] != "walker":
            found.first_error = f"{_name(spec)} is not walked: {load['runner']}"
        found.loads.append(load)
        found.runs.append(runs)
    return found


def _grow(folder: Path, spec: StudentSpec, count: int) -> None:
    """Rows, a student of them and its manifest."""
    random = np.random.default_rng(3)
    rows = random.lognormal(1.0, 1.5, size=(count, FEATURES)).astype(np.float32)
    rows[random.random(rows.shape) < 0.03] = np.nan
    logs = np.log1p(np.nan_to_num(rows))
    target = 2 * np.sin(logs @ random.normal(size=FEATURES)) + logs[:, 0] * logs[:, 3] + random.normal(size=count)
    parameters = spec.lightgbm() | {"objective": "regression"}
    booster = lightgbm.train(parameters, lightgbm.Dataset(rows, target, params=parameters), spec.trees)
    onnx = export(on_leaf_grid(booster))
    table = {"log_odds": [-1.0, 1.0], "value": [0.25, 0.75]}
    manifest = {
        "format": 1,
        "plan_digest": "",
        "onnx_sha256": hashlib.sha256(onnx).hexdigest(),
        "input": INPUT,
        "output": OUTPUT,
        "features": [str(number) for number in range(FEATURES)],
        "probability": table,
        "risk": table,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "model.onnx").write_bytes(onnx)
    (folder / "rows.f32").write_bytes(rows.astype("<f4").tobytes())


def rows(found: Found) -> list[Row]:
    """Every figure, and after them what is asked of them."""
    figures = []
    for spec, load, runs in zip(STUDENTS, found.loads, found.runs, strict=True):
        figures.append(Row(f"{PREFIX}{_name(spec)}/compared", load["compared_ms"], "ms"))
        for line in runs:
            for by in ("onnxruntime", "walker"):
                figures.append(Row(f"{PREFIX}{_name(spec)}/{by}, {line['rows']} rows", line[f"{by}_ns"], "ns"))
    return figures + _asked(found)


def _asked(found: Found) -> list[Row]:
    return [
        at_most(
            f"{PREFIX}{_name(spec)}: walker over ONNX Runtime, rows in a run: {line['rows']}",
            line["walker_ns"] / line["onnxruntime_ns"],
            "x",
            WALKED_MOST[line["rows"]],
        )
        for spec, runs in zip(STUDENTS, found.runs, strict=True)
        for line in runs
        if line["rows"] in WALKED_MOST
    ]


def _name(spec: StudentSpec) -> str:
    return f"{spec.trees} trees of {spec.leaves} leaves"


def tables(found: Found) -> str:
    """For people."""
    lines = [
        [
            _name(spec),
            *(f"{line['onnxruntime_ns']:,.0f} / {line['walker_ns']:,.0f}" for line in runs),
            f"{load['compared_ms']:.0f}",
        ]
        for spec, load, runs in zip(STUDENTS, found.loads, found.runs, strict=True)
    ]
    heads = [f"{line['rows']} rows" for line in found.runs[0]]
    asked = [
        [row.name.removeprefix(PREFIX), f"{row.value:.3g}", row.target or "", "yes" if row.met else "NO"]
        for row in _asked(found)
    ]
    shown = table(["CPU ns a row, ONNX Runtime / walker", *heads, "compared at load, ms"], lines)
    return shown + "\n\n" + table(["asked", "is", "target", "met"], asked)
