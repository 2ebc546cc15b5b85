"""All servers of the benchmarks answer, and what is found is written; nothing is said of speed."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import backfill, forest, journal, outage, rescore, serve, servers, state, stream


@pytest.mark.slow
def test_every_server_answers_in_every_shape_without_an_error(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    command = [sys.executable, "-m", "benchmarks", "--smoke", "--out", str(out)]
    done = subprocess.run(command, cwd=servers.ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr

    rows = {row["name"]: row for row in json.loads(out.read_text())["rows"]}
    benchmarks = (serve, journal, state, forest, outage, rescore, stream, backfill)
    assert {name.partition("/")[0] + "/" for name in rows} == {each.PREFIX for each in benchmarks}
    assert all(math.isfinite(row["value"]) for row in rows.values())
    for kind in servers.KINDS:
        assert rows[f"serve/{kind.name}/resident"]["value"] > 1
        for shape in serve.SHAPES:
            if shape.kind == "unary" or not kind.echo:
                assert rows[f"serve/{kind.name}/{shape}/cpu_us"]["value"] > 0
    assert rows["serve/errors"] == {"name": "serve/errors", "value": 0, "unit": "", "target": "<= 0", "met": True}
    asked = [name for name, row in rows.items() if row["target"] is not None]
    assert len([name for name in asked if name.startswith(serve.PREFIX)]) == 7
    assert len([name for name in asked if name.startswith(journal.PREFIX)]) >= 2
    assert len([name for name in asked if name.startswith(outage.PREFIX)]) == 4
    assert len([name for name in asked if name.startswith(rescore.PREFIX)]) == len(rescore.TEACHERS)
    assert len([name for name in asked if name.startswith(stream.PREFIX)]) == 2
    assert len([name for name in asked if name.startswith(backfill.PREFIX)]) == 8
    assert len([name for name in asked if name.startswith(state.PREFIX)]) == 4
    assert len([name for name in asked if name.startswith(forest.PREFIX)]) == 2 * len(forest.STUDENTS)
    assert all(name.partition("/")[2] in done.stdout for name in asked)


def test_one_benchmark_is_run_by_its_name_and_an_unknown_one_is_named(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    command = [sys.executable, "-m", "benchmarks", "--smoke", "--out", str(out)]
    subprocess.run([*command, "state"], cwd=servers.ROOT, check=True, capture_output=True, timeout=300)
    assert {row["name"].partition("/")[0] for row in json.loads(out.read_text())["rows"]} == {"state"}
    refused = subprocess.run([*command, "steak"], cwd=servers.ROOT, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2
    assert "steak: there are serve, journal, state" in refused.stderr
