"""What benchmarks found: rows by name, in one file for all of them, and as a table."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """One figure. `target` is what it should be, in words; `met` is None where there is none."""

    name: str
    value: float
    unit: str
    target: str | None = None
    met: bool | None = None


def at_most(name: str, value: float, unit: str, limit: float) -> Row:
    """A figure that must not exceed its limit."""
    return Row(name, value, unit, f"<= {limit:g}", value <= limit)


def at_least(name: str, value: float, unit: str, limit: float) -> Row:
    """A figure that must reach its limit."""
    return Row(name, value, unit, f">= {limit:g}", value >= limit)


def write(path: Path, prefix: str, rows: Iterable[Row], machine: dict[str, Any]) -> None:
    """Put the rows of one benchmark, whose names begin with `prefix`, in place of those it found before.

    The rows of other benchmarks stay as they are. The machine stands with each benchmark, for they may differ.
    """
    report = json.loads(path.read_text()) if path.exists() else {"machines": {}, "rows": []}
    report["machines"][prefix] = machine
    others = [row for row in report["rows"] if not row["name"].startswith(prefix)]
    report["rows"] = others + [asdict(row) for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    unfinished.replace(path)


def table(header: list[str], lines: list[list[str]]) -> str:
    """Columns as wide as they need; the first to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        )
        for line in [header, rule, *lines]
    )
