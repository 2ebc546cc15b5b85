"""A job as the command asks for it: what is told while it runs, and when it is done."""

from datetime import datetime
from pathlib import Path

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
from rich.text import Text

from fraudgate import microseconds
from service.backfill import job
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
) -> job.Done:
    """Run it; progress goes to standard error, what became of it to standard output."""
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
    )
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
        done = job.run(asked, resume=resume, progress=lambda taken, of: shown.update(task, completed=taken, total=of))
    Console(highlight=False, soft_wrap=True).print(
        f"{output}: {done.answered:,} of {done.transactions:,} transactions answered in {done.parts} parts, "
        f"{done.refused:,} rows refused; order: {done.order}"
        + ("" if done.digest is None else f"; state {done.digest}")
    )
    return done


class _Rate(ProgressColumn):
    """Rows a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")
