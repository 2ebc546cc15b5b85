"""Whose transactions the demo plays, and the model that it trains for them."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

import engine
import fraudgate
import models
from features import CompiledPlan
from models.manifest import Bundle, digest_at
from models.prequential import Fold
from models.spec import ModelSpec
from models.training_set import Rows
from service import simulate, tables, training
from service.demo.configuration import PROGRAM
from service.tables import Tables

HANDBOOK: Final = "handbook_raw_dev.parquet"


class Story(NamedTuple):
    """What is played: whose transactions, and which days are learnt from and scored."""

    name: str
    identity: str
    """Changes when the transactions do."""
    tables: Tables
    fold: Fold


def at_hand(data: Path) -> Story:
    """The Handbook's transactions where `data` holds them, else a simulated world."""
    return _handbook(data / HANDBOOK) if (data / HANDBOOK).is_file() else simulated(simulate.Scale(days=75))


def _handbook(path: Path) -> Story:
    """Chapter 3's protocol: a week to learn from, a week until its labels are known, a week to score."""
    fold = Fold(fraudgate.microseconds(datetime(2018, 7, 25, tzinfo=UTC)))
    with path.open("rb") as file:
        identity = hashlib.file_digest(file, "sha256").hexdigest()
    known = tables.read(path, None, fold.delay_days)
    return Story("the Fraud Detection Handbook", identity, known.before(fold.assessed_to_us), fold)


def simulated(scale: simulate.Scale) -> Story:
    """A world of our own: its last week is scored. Of fewer than 66 days the longest windows are not whole."""
    began = datetime.combine(scale.start, datetime.min.time(), UTC)
    fold = Fold(fraudgate.microseconds(began) + (scale.days - 21) * tables.DAY_US)
    return Story("a simulated world", repr(scale), Tables(*simulate.simulate(scale)).before(fold.assessed_to_us), fold)


def model_of(folder: Path, story: Story, plan: CompiledPlan, rows: Rows) -> tuple[Bundle, Path]:
    """The model of this story, plan and code: trained once, then found again."""
    spec, periods = ModelSpec(name=PROGRAM), training.Periods()
    inputs = hashlib.sha256()
    code = [path for module in (models, engine) for path in Path(str(module.__file__)).parent.iterdir()]
    for path in sorted(path for path in code if path.suffix in (".py", ".so")):
        inputs.update(path.read_bytes())
    for part in (story.identity, repr(story.fold), plan.digest, repr(spec), repr(periods)):
        inputs.update(part.encode())
    place = folder / f"model-{inputs.hexdigest()[:12]}"
    if not (place / "model").is_dir():
        bundle = training.trained(plan, rows, story.tables, story.fold.assessed_from_us, periods, spec)
        training.write(bundle, plan, place)
    return Bundle.read(place / "model", digest_at(place / "model")), place


def week_of(story: Story) -> tuple[Tables, slice]:
    """The days that are scored with the labels that become known in them, and their place among all transactions."""
    times = story.tables.transactions["event_time_us"].to_numpy()
    first = int(np.searchsorted(times, story.fold.assessed_from_us))
    arrivals = story.tables.labels["arrival_us"].to_numpy()
    known = int(np.searchsorted(arrivals, story.fold.assessed_from_us))
    return Tables(story.tables.transactions[first:], story.tables.labels[known:]), slice(first, len(times))
