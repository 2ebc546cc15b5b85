"""`fraudgate backfill`, `features`, `rescore` and `compare`: flags in, one call of service/backfill/run.py."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from service.flags import EXISTING, PATH, pairs, when

_HISTORY = (
    click.argument("input_", metavar="INPUT"),
    click.argument("output", type=PATH),
    click.option("--mapping", required=True, help="A mapping (TOML), or the name of one that is ready: handbook, ..."),
    click.option("--labels", help="Labels of a table of their own, under the same mapping."),
    click.option("--outcomes", help="Outcomes, likewise."),
    click.option("--format", "format_", type=click.Choice(["parquet", "csv", "ipc"]), help="[default: by the name]"),
    click.option("--resume", is_flag=True, help="Go on with what is in OUTPUT, after a kill."),
    click.option("--max-bad", type=click.IntRange(0), default=1000, help="How many rows may be refused."),
    click.option("--part-rows", type=click.IntRange(1), default=1_000_000, help="Transactions of the input in a part."),
    click.option("--score-from", callback=when, help="What happened before is folded only."),
    click.option(
        "--spark", metavar="MASTER", help="Fold and score on Apache Spark, to the same bytes: spark://HOST:PORT."
    ),
    click.option("--spark-conf", multiple=True, callback=pairs, help="A setting of Spark's, NAME=VALUE. Repeatable."),
)


def _history(command: Any) -> Any:
    for option in reversed(_HISTORY):
        command = option(command)
    return command


@click.command()
@_history
@click.option("--config", type=EXISTING, envvar="FRAUDGATE_CONFIG", default=Path("fraudgate.toml"))
@click.option("--program", help="Which of the configuration's. [default: the only one]")
@click.option("--features", type=click.Choice(["float32", "float64"]), help="Write what each transaction saw, too.")
@click.option("--raw", is_flag=True, help="Write the Assessments' bytes, too.")
@click.option(
    "--warm", is_flag=True, help="End with a snapshot in the configuration's journal: a server starts from it."
)
def backfill(config: Path, program: str | None, features: Any, raw: bool, warm: bool, **history: Any) -> None:
    """Take the transactions of INPUT through a served program's road; write Assessments to OUTPUT, a folder.

    INPUT is a file, a glob, a folder, or an object store's URI; Parquet, CSV or Arrow IPC.
    """
    import os

    from service import config_file
    from service.backfill import run
    from service.backfill.job import Wanted
    from service.backfill.program import served

    read = config_file.read(config, os.environ)
    journal = None
    if warm:
        if read.journal is None:
            raise click.UsageError("--warm needs a [journal] in the configuration")
        journal = read.journal.folder, bytes.fromhex(read.journal.key.read_text().strip())
    run.run(served(read, program), Wanted(raw=raw, features=features), warm=journal, **history)


@click.command()
@click.argument("seen", type=EXISTING)
@click.argument("output", type=PATH)
@click.option("--config", type=EXISTING, envvar="FRAUDGATE_CONFIG", default=Path("fraudgate.toml"))
@click.option("--program", help="Which of the configuration's. [default: the only one]")
@click.option("--model", type=EXISTING, help="Another bundle in place of the program's.")
@click.option("--jobs", type=click.IntRange(0), default=0, help="How many parts at a time; 0: as many as cores.")
def rescore(seen: Path, output: Path, config: Path, program: str | None, model: Path | None, jobs: int) -> None:
    """Score by a program's model and policy what transactions saw: SEEN, written by features or backfill --features."""
    import os

    from service import config_file
    from service.backfill import run
    from service.backfill.program import served

    run.rescore(seen, output, served(config_file.read(config, os.environ), program, model), jobs)


@click.command()
@click.argument("before", type=EXISTING)
@click.argument("after", type=EXISTING)
@click.option("--by", multiple=True, default=("kind",), help="Segments: a column, or amount_band. Repeatable.")
@click.option("--out", type=PATH, help="Write the report as CSV, too.")
def compare(before: Path, after: Path, by: tuple[str, ...], out: Path | None) -> None:
    """Compare two answers to the same rows: verdicts that flip, by segment, and the money behind them."""
    from service.backfill import run

    run.compare(before, after, by, out)


@click.command()
@_history
@click.option("--plan", default="handbook", help="handbook, module:attribute, or a compiled plan (.json).")
@click.option("--complete-since", callback=when, help="[default: the first event of INPUT]")
@click.option("--precision", type=click.Choice(["float32", "float64"]), default="float32")
def features(plan: str, complete_since: datetime | None, precision: Any, **history: Any) -> None:
    """Write to OUTPUT the features that each transaction of INPUT saw, as the live engine would have: to train on."""
    import fraudgate
    from service import training
    from service.backfill import run
    from service.backfill.job import Wanted
    from service.backfill.program import planned

    since = None if complete_since is None else fraudgate.microseconds(complete_since) - 1
    run.run(planned(training.plan(plan), since), Wanted(assessments=False, features=precision), **history)
