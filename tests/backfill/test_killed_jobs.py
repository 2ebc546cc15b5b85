"""A job that `kill -9` ends, wherever it is, goes on to the bytes of an undisturbed run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.tables import Tables

# Rows that are sorted in memory, rows of a part, and rows that are taken key by key at a time.
ROADS = {"row by row": ("2000", "700", "0"), "in blocks": ("2000", "700", "900")}
KILLS = 40 if os.environ.get("FRAUDGATE_PROVE") else 3


@pytest.fixture(scope="module")
def shuffled(world: Tables, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command over the world in no order, so that it is sorted first."""
    folder = tmp_path_factory.mktemp("shuffled")
    rows = np.random.default_rng(3).permutation(len(world.transactions))
    pq.write_table(world.transactions.take(pa.array(rows)), folder / "transactions.parquet", row_group_size=5_000)
    pq.write_table(world.labels, folder / "labels.parquet")
    return [
        sys.executable,
        "-m",
        "tests.backfill.taken",
        *(str(folder / f"{it}.parquet") for it in ("transactions", "labels")),
    ]


@pytest.fixture(scope="module")
def whole(shuffled: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], float]:
    """What an undisturbed run writes, and how long it takes."""
    output = tmp_path_factory.mktemp("whole") / "out"
    begins = time.monotonic()
    subprocess.run([*shuffled, str(output), *ROADS["row by row"]], check=True, timeout=120, capture_output=True)
    return _bytes(output), time.monotonic() - begins


def _bytes(output: Path) -> dict[str, bytes]:
    assert not (output / ".work").exists()
    return {path.name: path.read_bytes() for path in sorted(output.iterdir())}


def _killed(command: list[str], when: Callable[[], bool]) -> bool:
    """Runs a command, and kills it at a moment; says whether that came before its end."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        ends = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < ends:
            if when():
                process.kill()
                break
            time.sleep(0.001)
        _, told = process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGKILL), told.decode()
    return process.returncode != 0


def _is_there(output: Path, pattern: str) -> bool:
    return any(output.glob(pattern))


# Runs are there until the job is done.
RUNS = {"a run is spilled": ".work/transactions/run-000002*", "labels are sorted": ".work/labels/run-*"}
# What gets this name next; the last is behind the state that was kept.
NAMES = ("part-00003.parquet", "part-00005.parquet", "state-7000", "part-00011.parquet")


@pytest.mark.slow
@pytest.mark.parametrize("road", ROADS)
def test_a_job_killed_at_each_step_goes_on_to_the_same_bytes(
    shuffled: list[str], whole: tuple[dict[str, bytes], float], road: str, tmp_path: Path
) -> None:
    """One job, killed at each moment in its turn, that has come further each time."""
    output = tmp_path / "out"
    for moment, pattern in RUNS.items():
        reached = partial(_is_there, output, pattern)
        assert _killed([*shuffled, str(output), *ROADS[road]], reached), moment
    for name in NAMES:
        killed = subprocess.run([*shuffled, str(output), *ROADS[road], name], timeout=120, capture_output=True)
        assert killed.returncode == -signal.SIGKILL, (name, killed.stderr.decode())
        assert not any(output.rglob(name)), name
    subprocess.run([*shuffled, str(output), *ROADS[road]], check=True, timeout=120, capture_output=True)
    assert _bytes(output) == whole[0]


@pytest.mark.slow
@pytest.mark.parametrize("road", ROADS)
def test_a_job_killed_at_random_moments_goes_on_to_the_same_bytes(
    shuffled: list[str], whole: tuple[dict[str, bytes], float], road: str, tmp_path: Path
) -> None:
    draw = random.Random(17)
    kills, jobs = 0, 0
    for _ in range(20 * KILLS):
        output = tmp_path / str(jobs)
        at = time.monotonic() + draw.uniform(0.05, 0.8) * whole[1]
        if _killed([*shuffled, str(output), *ROADS[road]], partial(_is_past, at)):
            kills += 1
        else:
            # It was done before: another one is begun.
            assert _bytes(output) == whole[0]
            jobs += 1
        if kills == KILLS:
            break
    assert kills == KILLS
    output = tmp_path / str(jobs)
    subprocess.run([*shuffled, str(output), *ROADS[road]], check=True, timeout=120, capture_output=True)
    assert _bytes(output) == whole[0]


def _is_past(moment: float) -> bool:
    return time.monotonic() >= moment
