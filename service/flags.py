"""What flags of several commands take: paths, pairs and moments."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

PATH: Any = click.Path(path_type=Path)
EXISTING: Any = click.Path(path_type=Path, exists=True)


def pairs(_: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Of NAME=VALUE, repeated: values by name."""
    parts = [text.partition("=") for text in given]
    if any(not (name and equals and value) for name, equals, value in parts):
        raise click.BadParameter("write NAME=VALUE", param=option)
    return {name: value for name, _, value in parts}


def when(_: click.Context, option: click.Parameter, given: str | None) -> datetime | None:
    """Of RFC 3339: a time with an offset, UTC where none is given."""
    if given is None:
        return None
    try:
        time = datetime.fromisoformat(given)
    except ValueError:
        raise click.BadParameter("write a time such as 2018-08-08T12:00:00+02:00", param=option) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
