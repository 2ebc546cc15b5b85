"""The `fraudgate` command: flags in, one call of the module that does the work, what it gives out.

Modules are imported by the commands that use them, so that a command starts at once.
"""

import sys
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

import click

from service import logs
from service.backfill_commands import backfill, compare, features, rescore
from service.flags import EXISTING, PATH, pairs, when
from service.journal_command import journal


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
@click.option("--time", callback=when, help="RFC 3339; UTC without an offset. [default: now]")
@click.option("--amount", help="Major units: 57.16")
@click.option("--currency", default="EUR")
@click.option("--entity", "entities", multiple=True, callback=pairs, help="customer=c1. Repeatable.")
@click.option("--number", "numbers", multiple=True, callback=pairs, help="basket_items=3. Repeatable.")
@click.option("--text", "texts", multiple=True, callback=pairs, help="mcc=5411. Repeatable.")
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
    "--now", callback=when, help="What is known then is learnt from. [default: the midnight after DATA's end]"
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


for command in (backfill, features, rescore, compare, journal):
    main.add_command(command)
