"""The `fraudgate` command: flags in, one call of the module that does the work, what it gives out.

Modules are imported by the commands that use them, so that a command starts at once.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import click

from service import logs
from service.journal_command import journal

PATH: Any = click.Path(path_type=Path)
EXISTING: Any = click.Path(path_type=Path, exists=True)


class _Commands(click.Group):
    """Tells what a user can mend in one line; what is our own mistake keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        import fraudgate

        try:
            return super().invoke(ctx)
        except (OSError, ValueError, RuntimeError, fraudgate.FraudgateError) as error:
            if ctx.params["traceback"]:
                raise
            raise click.ClickException(str(error)) from None


@click.group(cls=_Commands, context_settings={"show_default": True, "help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fraudgate")
@click.option("--traceback", is_flag=True, help="Show where an error came from.")
def main(traceback: bool) -> None:
    """Real-time fraud scoring beside the payment systems it protects."""
    logs.configure()


@main.command()
@click.argument("folder", type=PATH, default=Path("certificates"))
@click.option("--client", "clients", multiple=True, help="A client's name; its identity is dns:NAME. Repeatable.")
@click.option("--host", "hosts", multiple=True, help="A name or address of the scorer. Repeatable.")
@click.option("--renew", is_flag=True, help="Make the leaf certificates anew, under the authority that is there.")
def certs(folder: Path, clients: tuple[str, ...], hosts: tuple[str, ...], renew: bool) -> None:
    """Make development certificates and the hash key in FOLDER; what is there is kept."""
    from service import certificates

    made = certificates.make(
        folder,
        clients=clients or ("payments.example",),
        hosts=hosts or ("localhost", "127.0.0.1", "::1"),
        renew=renew,
    )
    for path in sorted(made.path.iterdir()):
        click.echo(path)


@main.command()
@click.argument("folder", type=PATH)
@click.option("--customers", type=int, default=5_000)
@click.option("--terminals", type=int, default=10_000)
@click.option("--days", type=int, default=120)
@click.option("--start", type=click.DateTime(["%Y-%m-%d"]), default="2026-01-01", help="The first day.")
@click.option("--seed", type=int, default=1, help="The same seed gives the same rows.")
def simulate(folder: Path, customers: int, terminals: int, days: int, start: datetime, seed: int) -> None:
    """Write a simulated world's transactions and labels to FOLDER, as Parquet."""
    from service import simulate as world

    scale = world.Scale(customers, terminals, days, start.date(), seed)
    transactions, labels = world.simulate(scale)
    for path, table in zip(world.write(folder, transactions, labels), (transactions, labels), strict=True):
        click.echo(f"{path}: {table.num_rows:,} rows")


def _pairs(_: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    if any(not (name and equals and value) for name, equals, value in pairs):
        raise click.BadParameter("write NAME=VALUE", param=option)
    return {name: value for name, _, value in pairs}


def _time(_: click.Context, option: click.Parameter, given: str | None) -> datetime | None:
    if given is None:
        return None
    try:
        time = datetime.fromisoformat(given)
    except ValueError:
        raise click.BadParameter("write a time such as 2018-08-08T12:00:00+02:00", param=option) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


@main.command()
@click.option("--target", envvar="FRAUDGATE_TARGET", default="localhost:7443", help="The scorer's host:port.")
@click.option(
    "--certificates", type=EXISTING, envvar="FRAUDGATE_CERTIFICATES", help="A folder made by fraudgate certs."
)
@click.option("--client", default="payments.example", help="Which client of that folder asks.")
@click.option("--ca", type=EXISTING, help="Instead of a folder: whom to trust,")
@click.option("--certificate", type=EXISTING, help="the client's certificate")
@click.option("--key", type=EXISTING, help="and its key.")
@click.option("--deadline", type=float, default=5.0, help="Seconds that a call may take.")
@click.option("--lines", type=click.File("r"), help="Transactions as lines of JSON, from a file or - for stdin.")
@click.option("--id", "id_", help="The transaction's own id.")
@click.option("--program")
@click.option(
    "--kind", type=click.Choice(["purchase", "withdrawal", "transfer", "payout", "refund"]), default="purchase"
)
@click.option("--time", callback=_time, help="RFC 3339; UTC without an offset. [default: now]")
@click.option("--amount", help="Major units: 57.16")
@click.option("--currency", default="EUR")
@click.option("--entity", "entities", multiple=True, callback=_pairs, help="customer=c1. Repeatable.")
@click.option("--number", "numbers", multiple=True, callback=_pairs, help="basket_items=3. Repeatable.")
@click.option("--text", "texts", multiple=True, callback=_pairs, help="mcc=5411. Repeatable.")
def score(
    target: str,
    certificates: Path | None,
    client: str,
    ca: Path | None,
    certificate: Path | None,
    key: Path | None,
    deadline: float,
    lines: TextIO | None,
    **flags: Any,
) -> None:
    """Ask about one transaction by flags, or about many by --lines; prints a Decision in JSON for each."""
    import fraudgate
    from service import scoring
    from service.certificates import Folder

    if ca and certificate and key:
        connection = scoring.Connection(target, ca, certificate, key)
    elif certificates:
        connection = scoring.Connection.of_folder(target, Folder(certificates), client)
    else:
        raise click.UsageError("give --certificates FOLDER, or --ca, --certificate and --key")
    transactions = [_of_flags(**flags)] if lines is None else scoring.of_lines(lines)
    refused = False
    with connection.open(deadline) as asked:
        # One is a call of its own: it has a deadline, and is retried as a call is.
        answers = asked.score_stream(transactions) if lines else map(asked.score, transactions)
        for answer in answers:
            refused |= isinstance(answer, fraudgate.FraudgateError)
            click.echo(scoring.as_json(answer))
    sys.exit(1 if refused else 0)


def _of_flags(*, id_: str | None, numbers: dict[str, str], texts: dict[str, str], **flags: Any) -> Any:
    from service import scoring

    missing = [f"--{name}" for name, value in (("id", id_), *flags.items()) if value is None and name != "time"]
    if missing:
        raise click.UsageError(f"missing {', '.join(missing)} (or --lines FILE)")
    try:
        attributes: dict[str, float | str] = {name: float(number) for name, number in numbers.items()}
    except ValueError:
        raise click.UsageError("--number takes a number: basket_items=3") from None
    return scoring.of_flags(id=id_ or "", attributes=attributes | texts, **flags)


@main.command()
@click.argument("data", type=EXISTING)
@click.option("--labels", type=EXISTING, help="A table of labels. [default: DATA's column fraud, --delay-days later]")
@click.option("--plan", default="handbook", help="handbook, module:attribute, or a compiled plan (.json).")
@click.option("--out", type=PATH, required=True, help="A new folder: plan.json and model/.")
@click.option("--name", default="fraudgate", help="The model's name.")
@click.option(
    "--now", callback=_time, help="What is known then is learnt from. [default: the midnight after DATA's end]"
)
@click.option("--training-days", type=click.IntRange(1), default=7)
@click.option("--held-out-days", type=click.IntRange(1), default=7, help="Before those: calibrate the probability.")
@click.option("--delay-days", type=click.IntRange(1), default=7, help="How long a label takes to be known.")
def train(
    data: Path,
    labels: Path | None,
    plan: str,
    out: Path,
    name: str,
    now: datetime | None,
    training_days: int,
    held_out_days: int,
    delay_days: int,
) -> None:
    """Learn from DATA and write a bundle that can be served.

    DATA is transactions (Parquet), which are folded first, or a folder that fraudgate features wrote.
    """
    from models.spec import ModelSpec
    from service import tables, training

    if (out / "model").exists():
        raise click.UsageError(f"{out} holds a model, and one is never replaced: give another --out")
    chosen = training.plan(plan)
    periods = training.Periods(training_days, held_out_days, delay_days)
    if tables.holds_features(data):
        features = tables.read_features(data, chosen, labels)
        moment = training.now_us(features.tables, now)
        known, rows = features.before(moment)
    else:
        read = tables.read(data, labels, delay_days)
        moment = training.now_us(read, now)
        known = read.before(moment)
        rows = training.fold(chosen, known)
    bundle = training.trained(chosen, rows, known, moment, periods, ModelSpec(name=name))
    digest = training.write(bundle, chosen, out)
    click.echo(f"{out}: model {digest}, plan {chosen.digest}")
    for metric, value in sorted(bundle.manifest.metrics.items()):
        click.echo(f"  {metric:<28} {value:.4f}")


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
    click.option("--score-from", callback=_time, help="What happened before is folded only."),
    click.option(
        "--spark", metavar="MASTER", help="Fold and score on Apache Spark, to the same bytes: spark://HOST:PORT."
    ),
    click.option("--spark-conf", multiple=True, callback=_pairs, help="A setting of Spark's, NAME=VALUE. Repeatable."),
)


def _history(command: Any) -> Any:
    for option in reversed(_HISTORY):
        command = option(command)
    return command


@main.command()
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


@main.command()
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


@main.command()
@click.argument("before", type=EXISTING)
@click.argument("after", type=EXISTING)
@click.option("--by", multiple=True, default=("kind",), help="Segments: a column, or amount_band. Repeatable.")
@click.option("--out", type=PATH, help="Write the report as CSV, too.")
def compare(before: Path, after: Path, by: tuple[str, ...], out: Path | None) -> None:
    """Compare two answers to the same rows: verdicts that flip, by segment, and the money behind them."""
    from service.backfill import run

    run.compare(before, after, by, out)


@main.command()
@_history
@click.option("--plan", default="handbook", help="handbook, module:attribute, or a compiled plan (.json).")
@click.option("--complete-since", callback=_time, help="[default: the first event of INPUT]")
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


@main.command()
@click.option("--config", type=EXISTING, envvar="FRAUDGATE_CONFIG", default=Path("fraudgate.toml"))
@click.option("--history", type=EXISTING, help="Transactions that warm the state, where there is one program.")
@click.option("--labels", type=EXISTING, help="Labels that come with them.")
@click.option("--check", is_flag=True, help="Read and warm everything, then stop without listening.")
def serve(config: Path, history: Path | None, labels: Path | None, check: bool) -> None:
    """Serve until SIGTERM or SIGINT; what is in flight then is finished."""
    import os

    from service import config_file, serving

    read = config_file.read(config, os.environ)
    if history is not None:
        read = serving.warmed_by(read, history, labels)
    elif labels is not None:
        raise click.UsageError("--labels are those of a --history")
    if check:
        serving.prepared(read)
    else:
        serving.serve(read)


@main.command()
@click.option("--config", type=EXISTING, envvar="FRAUDGATE_CLOUD_CONFIG", default=Path("cloud.toml"))
def cloud(config: Path) -> None:
    """Score again what PoPs ship, by the teacher; publish what it says, and keep the rows for training."""
    from service.cloud import command
    from service.cloud.config import read

    command.run(read(config))


@main.command()
@click.option("--folder", type=PATH, default=Path("build/demo"), help="Where everything that it makes stays.")
@click.option("--data", type=PATH, envvar="FRAUDGATE_DATA", default=Path("../shared/data"), help="The Handbook's data.")
def demo(folder: Path, data: Path) -> None:
    """Certificates, a model, a server, and a week of transactions through the wire; then how well and how fast."""
    from rich.console import Console

    from service.demo.play import play
    from service.demo.story import at_hand

    play(at_hand(data), folder, Console())


main.add_command(journal)
