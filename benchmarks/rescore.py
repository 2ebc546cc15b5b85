"""What the re-scorer adds to the teacher: ONNX Runtime alone on ready rows in batches of 4,096, beside the cloud's walk
over messages of as many rows. CPU of the thread that scores; the lake is written by another, whose CPU is in `all`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

import lightgbm
import numpy as np

from benchmarks.machine import on_core, two_cores
from benchmarks.report import Row, at_most, table
from benchmarks.serve import Size
from fraudgate.v1 import rescore_pb2
from models.export import export
from models.leaf_grid import on_leaf_grid
from models.scorer import Scorer
from models.table import Table
from service.cloud.lake import Lake
from service.cloud.ready import Ready
from service.cloud.rescorer import BATCH, Message, Rescorer
from service.cloud.teacher import Teacher

PREFIX: Final = "rescore/"
FEATURES: Final = 15
# Trees and leaves: what `fraudgate train` teaches by default, and a teacher of the size that clouds are for.
TEACHERS: Final = ((150, 8), (500, 63))
# Rows that teachers learn from, and messages of BATCH rows: of the whole, and where only answers count.
WHOLE: Final = (20_000, 16)
SMOKE: Final = (2_000, 2)
PART: Final = 1 << 16


class Nowhere:
    """A topic that takes everything."""

    def publish(self, pop: str, decisions: bytes) -> None:
        """Nothing."""

    def flush(self) -> None:
        """Nothing."""


@dataclass
class Found:
    """Microseconds a row, round by round, by teacher and measure."""

    figures: dict[tuple[tuple[int, int], str], list[float]] = field(default_factory=dict)
    first_error: str | None = None

    def median(self, teacher: tuple[int, int], measure: str) -> float:
        """Over the rounds."""
        return median(self.figures[teacher, measure])


def run(folder: Path, size: Size) -> Found:
    """Measures; who goes first in a round goes second in the next."""
    found = Found()
    core, _ = two_cores()
    learnt, number = SMOKE if size.rounds == 1 else WHOLE
    rows, messages = _messages(number)
    for shape in TEACHERS:
        teacher = _teacher(*shape, learnt)
        with on_core(core):
            for turn in range(size.rounds):
                if turn % 2 == 0:
                    measured = _alone(teacher, rows) | _whole(teacher, messages, folder / "lake")
                else:
                    measured = _whole(teacher, messages, folder / "lake") | _alone(teacher, rows)
                for name, us in measured.items():
                    found.figures.setdefault((shape, name), []).append(us)
    return found


def rows(found: Found) -> list[Row]:
    """Every figure, and after them what is asked of them."""
    figures = [
        Row(f"{PREFIX}{_named(teacher)}/{measure}", found.median(teacher, measure), "us/row")
        for teacher, measure in found.figures
    ]
    return figures + _asked(found)


def tables(found: Found) -> str:
    """For people."""
    lines = [
        [_named(teacher), *(f"{found.median(teacher, measure):.3f}" for measure in ("alone", "whole", "all"))]
        for teacher in TEACHERS
    ]
    asked = [
        [row.name.removeprefix(PREFIX), f"{row.value:.3g}", row.target or "", "yes" if row.met else "NO"]
        for row in _asked(found)
    ]
    header = ["teacher", "ONNX Runtime alone", "the whole walk", "with the lake's thread"]
    return table(header, lines) + "\n\n" + table(["asked", "is", "target", "met"], asked)


def _asked(found: Found) -> list[Row]:
    asked = []
    for teacher in TEACHERS:
        whole, alone = found.figures[teacher, "whole"], found.figures[teacher, "alone"]
        ratio = median(one / other for one, other in zip(whole, alone, strict=True))
        asked.append(at_most(f"{PREFIX}cpu a row over ONNX Runtime alone, {_named(teacher)}", ratio, "x", 1.1))
    return asked


def _named(teacher: tuple[int, int]) -> str:
    return f"{teacher[0]} trees x {teacher[1]}"


def _teacher(trees: int, leaves: int, learnt: int) -> Teacher:
    draw = np.random.default_rng(1)
    rows = draw.normal(size=(learnt, FEATURES)).astype(np.float32)
    fraud = rows @ draw.normal(size=FEATURES) + draw.normal(size=len(rows)) > 5.0
    parameters = {
        "objective": "binary",
        "boost_from_average": False,
        "num_leaves": leaves,
        "learning_rate": 0.05,
        "min_data_in_leaf": 5,
        "num_threads": 1,
        "verbosity": -1,
    }
    booster = on_leaf_grid(lightgbm.train(parameters, lightgbm.Dataset(rows, fraud, params=parameters), trees))
    knots = np.linspace(-40.0, 40.0, 512)
    return Teacher(
        digest=bytes(32),
        plan_digest=bytes(32),
        features=tuple(f"feature_{i}" for i in range(FEATURES)),
        scorer=Scorer(export(booster)),
        probability=Ready(Table(tuple(knots.tolist()), tuple(np.linspace(0.001, 0.999, 512).tolist()))),
        risk=Ready(Table(tuple(knots.tolist()), tuple(np.linspace(0.0, 100.0, 512).tolist()))),
    )


def _messages(number: int) -> tuple[np.ndarray, list[Message]]:
    draw = np.random.default_rng(2)
    rows = draw.normal(size=(number * BATCH, FEATURES)).astype("<f4")
    made = []
    for i in range(number):
        sequence = np.arange(1 + i * BATCH, 1 + (i + 1) * BATCH, dtype="<u8")
        request = rescore_pb2.RescoreRequest(
            pop="ams1",
            program="cards",
            plan_digest=bytes(32),
            thresholds=rescore_pb2.Thresholds(challenge=40.0, decline=60.0),
            entities=("customer", "terminal"),
            features=FEATURES,
            sequence=sequence.tobytes(),
            epoch=np.ones(BATCH, "<u8").tobytes(),
            transaction=draw.bytes(16 * BATCH),
            event_time_us=(1_767_225_600_000_000 + sequence.astype("<i8") * 1_000).tobytes(),
            kind=bytes([1]) * BATCH,
            amount_minor=draw.integers(0, 100_000, BATCH).astype("<i8").tobytes(),
            keys=draw.bytes(32 * BATCH),
            rows=rows[i * BATCH : (i + 1) * BATCH].tobytes(),
            policy_verdict=bytes([1]) * BATCH,
            tier=bytes([1]) * BATCH,
            cause=bytes(BATCH),
            reason=bytes([1]) * BATCH,
            fraud_probability=draw.random(BATCH).tobytes(),
            risk_score=(100.0 * draw.random(BATCH)).tobytes(),
        )
        made.append(Message("rescore", 0, i, request.SerializeToString()))
    return rows, made


def _alone(teacher: Teacher, rows: np.ndarray) -> dict[str, float]:
    def score() -> None:
        for at in range(0, len(rows), BATCH):
            teacher.scorer.log_odds(rows[at : at + BATCH])

    return {"alone": _us(time.thread_time, score, len(rows))}


def _whole(teacher: Teacher, messages: list[Message], lake: Path) -> dict[str, float]:
    shutil.rmtree(lake, ignore_errors=True)
    rescorer = Rescorer({"cards": teacher}, Nowhere(), Lake(lake))
    rescorer.begin("rescore", 0)
    began = time.process_time()

    def walk() -> None:
        for message in messages:
            rescorer.take([message])
            if rescorer.held >= PART:
                rescorer.keep()

    whole = _us(time.thread_time, walk, len(messages) * BATCH)
    rescorer.keep()
    rescorer.wait()
    return {"whole": whole, "all": (time.process_time() - began) * 1e6 / (len(messages) * BATCH)}


def _us(clock: Callable[[], float], action: Callable[[], None], n: int) -> float:
    began = clock()
    action()
    return (clock() - began) * 1e6 / n
