"""What benchmarks find stands in one file."""

import json
from pathlib import Path

import pytest

from benchmarks.report import Row, at_most, table, write


def test_a_benchmark_replaces_its_own_rows_and_leaves_those_of_others(tmp_path: Path) -> None:
    path = tmp_path / "build" / "bench.json"
    write(path, "serve/", [Row("serve/a", 1.0, "us"), Row("serve/gone", 2.0, "us")], {"cores": 2})
    write(path, "fold/", [Row("fold/a", 3.0, "s")], {"cores": 4})
    write(path, "serve/", [at_most("serve/a", 5.0, "us", 4)], {"cores": 8})
    report = json.loads(path.read_text())
    assert report["machines"] == {"serve/": {"cores": 8}, "fold/": {"cores": 4}}
    assert report["rows"] == [
        {"name": "fold/a", "value": 3.0, "unit": "s", "target": None, "met": None},
        {"name": "serve/a", "value": 5.0, "unit": "us", "target": "<= 4", "met": False},
    ]


def test_a_figure_that_is_no_number_is_refused_and_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    write(path, "serve/", [Row("serve/a", 1.0, "us")], {})
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write(path, "serve/", [Row("serve/a", float("nan"), "us")], {})
    assert path.read_bytes() == before


def test_a_limit_is_met_when_it_is_reached() -> None:
    assert at_most("a", 2.0, "x", 2.0).met
    assert not at_most("a", 2.1, "x", 2.0).met


def test_a_table_has_columns_as_wide_as_they_need() -> None:
    assert table(["what", "n"], [["a", "10"], ["longer", "5"]]).splitlines() == [
        "what     n",
        "------  --",
        "a       10",
        "longer   5",
    ]
