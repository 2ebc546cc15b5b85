"""A job as the command asks for it: what is told while it runs, and when it is done."""

from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from fraudgate import microseconds
from service.backfill import again, job
from service.backfill import compare as comparison
from service.backfill import mapping as mappings
from service.backfill.program import Program
from service.backfill.source import Source


def run(
    program: Program,
    wanted: job.Wanted,
    *,
    input_: str,
    output: Path,
    mapping: str,
    labels: str | None,
    outcomes: str | None,
    format_: str | None,
    resume: bool,
    max_bad: int,
    part_rows: int,
    score_from: datetime | None,
    warm: tuple[Path, bytes] | None = None,
    spark: str | None = None,
    spark_conf: dict[str, str] | None = None,
) -> job.Done:
    """Run it; progress goes to standard error, what became of it to standard output."""
    if spark is None and spark_conf:
        raise ValueError("--spark-conf sets something of --spark MASTER")
    if spark is not None and resume:
        raise ValueError("--resume: Spark makes up for what it loses; what ended is begun anew, in another folder")
    chosen = mappings.read(mapping)

    def source(location: str) -> Source:
        return Source(location, delimiter=chosen.delimiter, text_format=format_)

    asked = job.Job(
        source=source(input_),
        output=output,
        program=program,
        mapping=chosen,
        labels=None if labels is None else source(labels),
        outcomes=None if outcomes is None else source(outcomes),
        wanted=wanted,
        score_from_us=0 if score_from is None else microseconds(score_from),
        part_rows=part_rows,
        max_bad=max_bad,
        warm=warm,
    )
    done = _here(asked, resume=resume) if spark is None else _on_spark(asked, spark, spark_conf or {})
    Console(highlight=False, soft_wrap=True).print(
        f"{output}: {done.answered:,} of {done.transactions:,} transactions answered in {done.parts} parts, "
        f"{done.refused:,} rows refused; order: {done.order}"
        + ("" if done.digest is None else f"; state {done.digest}")
    )
    return done


def _here(asked: job.Job, *, resume: bool) -> job.Done:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task("transactions", total=None)
        return job.run(asked, resume=resume, progress=lambda taken, of: shown.update(task, completed=taken, total=of))


def _on_spark(asked: job.Job, master: str, settings: dict[str, str]) -> job.Done:
    try:
        from service.backfill import spark
    except ModuleNotFoundError as error:
        raise ValueError(f"--spark needs pyspark, which stands beside the project: no {error.name}") from None
    told = Console(stderr=True)
    session = spark.session(master, settings)
    try:
        return spark.run(asked, session, lambda step: told.print(f"spark: {step}"))
    finally:
        session.stop()


def rescore(seen: Path, output: Path, program: Program, jobs: int) -> None:
    """Score rows that were seen; progress goes to standard error, what became of it to standard output."""
    with Progress(console=Console(stderr=True)) as shown:
        task = shown.add_task("parts", total=None)
        done = again.score(seen, output, program, jobs, lambda parts, of: shown.update(task, completed=parts, total=of))
    Console(highlight=False, soft_wrap=True).print(f"{output}: {done.rows:,} rows scored in {done.parts} parts")


def compare(before: Path, after: Path, by: tuple[str, ...], out: Path | None) -> None:
    """Show the report, and write it where asked."""
    report = comparison.compare(before, after, by)
    rows, flipped = comparison.totals(before, after)
    shown = Table(title=f"{flipped:,} of {rows:,} verdicts differ")
    for name in report.column_names:
        shown.add_column(name, justify="right" if pa.types.is_integer(report[name].type) else "left")
    for row in report.to_pylist():
        shown.add_row(*(f"{value:,}" if isinstance(value, int) else str(value or "") for value in row.values()))
    Console(highlight=False).print(shown)
    if out is not None:
        pa.csv.write_csv(report, out)


class _Rate(ProgressColumn):
    """Rows a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")
