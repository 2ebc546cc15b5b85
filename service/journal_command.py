"""`fraudgate journal`: flags in, one call of service/journal.py, what it gives out."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from service.flags import EXISTING

if TYPE_CHECKING:
    from service.journal import Look

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
@click.option("--config", type=EXISTING, envvar="FRAUDGATE_CONFIG", default=Path("fraudgate.toml"))
@click.pass_context
def journal(context: click.Context, config: Path) -> None:
    """Look into the journal, also while the scorer runs, and maintain it."""
    import os

    from service import config_file
    from service.journal import Look

    context.obj = Look(config_file.read(config, os.environ))


@journal.command()
@click.pass_obj
def info(look: "Look") -> None:
    """The segments, as their headers say."""
    _print(look.info())


@journal.command()
@click.pass_obj
def verify(look: "Look") -> None:
    """Read all of it; prints its head, whose digest stands for all before it and can be anchored elsewhere."""
    _print(look.verify())


@journal.command()
@click.option("-n", "--inputs", type=click.IntRange(min=1), default=10)
@click.pass_obj
def tail(look: "Look", inputs: int) -> None:
    """The last inputs, one JSON line each."""
    for told in look.tail(inputs):
        click.echo(json.dumps(told))


@journal.command()
@click.argument("program")
@click.argument("id")
@click.option("--models", type=EXISTING, multiple=True, help="A folder with model bundles. Repeatable.")
@AS_JSON
@click.pass_obj
def show(look: "Look", program: str, id: str, models: tuple[Path, ...], as_json: bool) -> None:
    """What the transaction ID of PROGRAM saw and was answered, computed again from the journal alone.

    The model is found by its digest, among those of the configuration and in the folders --models. Exits with 1 where
    something comes out otherwise, or cannot be computed again.
    """
    from service import journal, journal_shown

    shown = look.show(program, id, models)
    if as_json:
        _print(shown)
    else:
        click.echo("\n".join(journal_shown.transaction(shown)))
    sys.exit(0 if journal.is_same(shown) else 1)


@journal.command()
@click.option("--assessments", is_flag=True, help="Compare answers too, with the models of the configuration.")
@click.option("--models", type=EXISTING, multiple=True, help="Further folders with model bundles. Repeatable.")
@AS_JSON
@click.pass_obj
def replay(look: "Look", assessments: bool, models: tuple[Path, ...], as_json: bool) -> None:
    """Replay all of it, and compare every row of features, and every answer, with what comes out again.

    Exits with 1 where something comes out otherwise.
    """
    from service import journal, journal_shown

    with click.progressbar(length=1_000, label="replaying", file=sys.stderr) as bar:

        def tell(done: int, whole: int) -> None:
            bar.update(1_000 * done // max(whole, 1) - bar.pos)

        replayed = look.replay(models if assessments or models else None, tell)
    if as_json:
        _print(replayed)
    else:
        click.echo("\n".join(journal_shown.replay(replayed)))
    sys.exit(1 if journal.differs(replayed) else 0)


@journal.command()
@click.pass_obj
def snapshot(look: "Look") -> None:
    """Write a snapshot while no scorer runs, so that the next start, or one elsewhere on a copy, is short."""
    click.echo(f"the snapshot holds all inputs through {look.snapshot()}")


@journal.command()
@click.option("--yes", is_flag=True, help="Do it. Without this, only say what would be done.")
@AS_JSON
@click.pass_obj
def repair(look: "Look", yes: bool, as_json: bool) -> None:
    """Set aside what is damaged, so that the scorer can start without it. It must not run meanwhile.

    Damaged segments get another name and are never deleted. The inputs that are lost with them are named, here and in
    `info` and `verify`; windows of features that reach into a gap are unknown from then on.
    """
    from service import journal_shown

    told = look.repair(really=yes)
    if as_json:
        _print(told)
    else:
        click.echo("\n".join(journal_shown.repair(told)))


@journal.command()
@click.argument("program")
@click.argument("entity")
@click.option("--key-from", type=click.File("r"), default="-", help="Where the key's value is read. [default: stdin]")
@click.option("--target", help="The host:port of the scorer, where it runs.")
@click.option("--certificates", type=EXISTING, help="With --target: a folder made by fraudgate certs.")
@click.option("--client", default="operator.example", help="With --target: which client of that folder asks.")
@click.pass_obj
def erase(
    look: "Look",
    program: str,
    entity: str,
    key_from: TextIO,
    target: str | None,
    certificates: Path | None,
    client: str,
) -> None:
    """Erase a key of ENTITY in PROGRAM, and say what that did not reach.

    Its value is read from a file or from stdin: an argument would stand in the shell's history and in the list of
    processes. Ask a running scorer with --target; without it, none may run.
    """
    from service import erasure
    from service.certificates import Folder
    from service.scoring import Connection

    value = key_from.readline().rstrip("\r\n")
    if target is None:
        told = erasure.at_rest(look.config, program, entity, value)
    elif certificates is None:
        raise click.UsageError("--target needs --certificates")
    else:
        connection = Connection.of_folder(target, Folder(certificates), client)
        told = erasure.while_serving(connection, program, entity, value)
    _print(told)
    if not told["held"]:
        click.echo("nothing was held of it: is the key given as transactions give it?", err=True)


@journal.command()
@click.pass_obj
def rewrite(look: "Look") -> None:
    """Rewrite closed segments without the keys that were erased, while no scorer runs; old keys are forgotten."""
    from service import erasure

    _print(erasure.rewrite(look.config))


@journal.command()
@click.argument("key", type=EXISTING)
@click.pass_obj
def rotate(look: "Look", key: Path) -> None:
    """Wrap the keys of all segments under the key in the file KEY; then put that file in the configuration's place."""
    click.echo(f"{look.rotate(key)} keys are wrapped anew; name {key} in [journal] before the next start")


def _print(told: Any) -> None:
    click.echo(json.dumps(told, indent=2))
