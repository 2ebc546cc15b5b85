"""All servers of the serving benchmark answer, and what is found is written; nothing is said of speed."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import serve, servers


@pytest.mark.slow
def test_every_server_answers_in_every_shape_without_an_error(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    command = [sys.executable, "-m", "benchmarks", "--smoke", "--out", str(out)]
    done = subprocess.run(command, cwd=servers.ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr

    rows = {row["name"]: row for row in json.loads(out.read_text())["rows"]}
    assert all(name.startswith(serve.PREFIX) and math.isfinite(row["value"]) for name, row in rows.items())
    for kind in servers.KINDS:
        assert rows[f"serve/{kind.name}/resident"]["value"] > 1
        for shape in serve.SHAPES:
            if shape.kind == "unary" or not kind.echo:
                assert rows[f"serve/{kind.name}/{shape}/cpu_us"]["value"] > 0
    assert rows["serve/errors"] == {"name": "serve/errors", "value": 0, "unit": "", "target": "<= 0", "met": True}
    asked = [name for name, row in rows.items() if row["target"] is not None]
    assert len(asked) == 7
    assert all(name.removeprefix(serve.PREFIX) in done.stdout for name in asked)
