"""`python -m benchmarks [NAME ...]`: measures, prints tables, and writes build/bench.json.

With `--smoke`, only that all works.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from benchmarks import backfill, forest, journal, outage, report, rescore, serve, state, stream
from benchmarks.machine import machine

BUILD: Final = Path(__file__).parents[1] / "build"
BENCHMARKS: Final = {
    each.PREFIX.rstrip("/"): each for each in (serve, journal, state, forest, outage, rescore, stream, backfill)
}


def main() -> int:
    """0 when every call got its answer. Figures beyond their target are shown, not failed on: machines differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures, and writes what it found.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; without one, all")
    parser.add_argument(
        "--smoke", action="store_true", help="a few hundred calls each: checks answers, says nothing of speed"
    )
    parser.add_argument("--out", type=Path, default=BUILD / "bench.json", help="the file of figures (%(default)s)")
    chosen = parser.parse_args()
    if unknown := [name for name in chosen.names if name not in BENCHMARKS]:
        parser.error(f"{', '.join(unknown)}: there are {', '.join(BENCHMARKS)}")

    failed = False
    for name, benchmark in BENCHMARKS.items():
        if chosen.names and name not in chosen.names:
            continue
        found = benchmark.run(BUILD / "bench", serve.SMOKE if chosen.smoke else serve.WHOLE)
        report.write(chosen.out, benchmark.PREFIX, benchmark.rows(found), machine())
        print(benchmark.tables(found), end="\n\n")
        if found.first_error:
            print(f"the first error: {found.first_error}", file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
