"""`python -m benchmarks`: measures, prints tables, and writes build/bench.json. With `--smoke`, only that all works."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import backfill, journal, outage, report, rescore, serve, state, stream
from benchmarks.machine import machine

BUILD = Path(__file__).parents[1] / "build"


def main() -> int:
    """0 when every call got its answer. Figures beyond their target are shown, not failed on: machines differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--smoke", action="store_true", help="a few hundred calls each: checks answers, says nothing of speed"
    )
    parser.add_argument("--out", type=Path, default=BUILD / "bench.json", help="the file of figures (%(default)s)")
    chosen = parser.parse_args()

    failed = False
    for benchmark in (serve, journal, state, outage, rescore, stream, backfill):
        found = benchmark.run(BUILD / "bench", serve.SMOKE if chosen.smoke else serve.WHOLE)
        report.write(chosen.out, benchmark.PREFIX, benchmark.rows(found), machine())
        print(benchmark.tables(found), end="\n\n")
        if found.first_error:
            print(f"the first error: {found.first_error}", file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
