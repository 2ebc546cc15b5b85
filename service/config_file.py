"""Reads a configuration: one TOML file, over which environment variables stand.

FRAUDGATE_SERVER_LISTEN stands over `listen` in `[server]`, FRAUDGATE_PROGRAM_CARDS_MODEL over `model` in
`[program.cards]`; identities come from the file alone. An error names the file or variable, the key, what is wrong, and
what to write.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from service.config import Config, Identity, Journal, Keys, Program, Section, Server

_ENVIRONMENT: Final = re.compile(r"FRAUDGATE_(SERVER|KEYS|JOURNAL|PROGRAM)_(.+)")
_SECTIONS: Final[dict[str, type[Section]]] = {
    "server": Server,
    "keys": Keys,
    "journal": Journal,
    "identity": Identity,
    "program": Program,
}
# Keys of a table that has a name or a number of its own: program.<name>, identity[n].
_NESTED: Final = ("identity", "program")

Place = tuple[str | int, ...]


class ConfigError(ValueError):
    """The configuration cannot be used; one line for each thing that is wrong."""


def read(path: Path, environment: Mapping[str, str]) -> Config:
    """The configuration in `path`, with what `environment` says instead.

    Raises ConfigError.
    """
    try:
        table = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; write one, or give another by --config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from None
    sources = _overlay(table, environment)
    problems = [f"{_where(path, place, sources)}: {told}" for place, told in _unknown(table)]
    if not problems:
        try:
            return Config.model_validate(table, context={"folder": path.parent})
        except ValidationError as error:
            problems = [_problem(path, details, sources) for details in error.errors(include_url=False)]
    raise ConfigError("\n".join(problems))


def _overlay(table: dict[str, Any], environment: Mapping[str, str]) -> dict[Place, str]:
    """Put what the environment says into the table; returns which variable each value came from."""
    sources: dict[Place, str] = {}
    for variable in sorted(environment):
        match = _ENVIRONMENT.fullmatch(variable)
        if match is None:
            continue
        place = _place(match[1].lower(), match[2], table, variable)
        section = table
        for name in place[:-1]:
            section = section.setdefault(name, {})
            if not isinstance(section, dict):
                raise ConfigError(f"{variable}: {name} in the file is not a table")
        section[place[-1]] = _value(environment[variable])
        sources[place] = variable
    return sources


def _place(section: str, rest: str, table: dict[str, Any], variable: str) -> tuple[str, ...]:
    if section != "program":
        return section, rest.lower()
    named = table.get("program")
    programs = {re.sub("[^A-Z0-9]", "_", n.upper()): n for n in named} if isinstance(named, dict) else {}
    # The longest first: of programs A and A_B, FRAUDGATE_PROGRAM_A_B_PLAN means the second.
    for name in sorted(programs, key=len, reverse=True):
        if rest.startswith(f"{name}_"):
            return section, programs[name], rest.removeprefix(f"{name}_").lower()
    known = ", ".join(f"FRAUDGATE_PROGRAM_{name}_" for name in sorted(programs)) or "none: the file has no program"
    raise ConfigError(f"{variable}: names no program of the file; variables may begin with: {known}")


def _value(text: str) -> Any:
    """As TOML would read it, so that 2048 is a number; anything else is text without quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"] if "\n" not in text else text
    except tomllib.TOMLDecodeError:
        return text


def _unknown(table: dict[str, Any]) -> list[tuple[Place, str]]:
    """Keys that do not exist, with the nearest that does."""
    found = [((name,), _nearest(name, _SECTIONS)) for name in table if name not in _SECTIONS]
    tables: list[tuple[Place, Any]] = [((name,), table.get(name)) for name in _SECTIONS if name not in _NESTED]
    for name in _NESTED:
        inner = table.get(name)
        rows = inner.items() if isinstance(inner, dict) else enumerate(inner) if isinstance(inner, list) else ()
        tables += [((name, key), row) for key, row in rows]
    places: list[tuple[Place, str]] = list(found)
    for place, section in tables:
        fields = _SECTIONS[str(place[0])].model_fields
        if isinstance(section, dict):
            places += [((*place, key), _nearest(key, fields)) for key in section if key not in fields]
    return places


def _nearest(name: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    advice = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
    return f"is not a known key; {advice}"


def _problem(path: Path, details: ErrorDetails, sources: Mapping[Place, str]) -> str:
    place = _field_place(details["loc"])
    told = _told(details)
    example = _example(place)
    return f"{_where(path, place, sources)}: {told}" + (f"; write for example: {example}" if example else "")


def _field_place(place: Place) -> Place:
    """Without what pydantic adds for the members of a union."""
    return place[: 3 if place[0] in _NESTED else 2]


def _where(path: Path, place: Place, sources: Mapping[Place, str]) -> str:
    if place in sources:
        return sources[place]
    key = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in place)
    return f"{path}: {key.removeprefix('.')}"


def _example(place: Place) -> str:
    section = _SECTIONS.get(str(place[0]))
    name = str(place[-1])
    if section is None or name not in section.model_fields:
        heads = {"identity": "[[identity]]", "program": "[program.cards]"}
        return heads.get(name, f"[{name}]") if len(place) == 1 and section else ""
    examples = section.model_fields[name].examples
    return f"{name} = {examples[0]}" if examples else ""


_TOLD: Final = {
    "missing": "is missing",
    "string_type": "is not a text",
    "int_type": "is not a whole number",
    "float_type": "is not a number",
    "finite_number": "is not a finite number",
    "datetime_type": "is not a date and time",
    "list_type": "is not a list",
    "dict_type": "is not a table",
    "model_type": "is not a table",
    "too_short": "is empty",
}


def _told(details: ErrorDetails) -> str:
    context = details.get("ctx", {})
    match details["type"]:
        case "value_error":
            return str(context["error"])
        case "literal_error":
            return f"is not {context['expected']}"
        case "greater_than_equal":
            return f"is below {context['ge']}, the least"
        case "less_than_equal":
            return f"is above {context['le']}, the most"
        case kind:
            return _TOLD.get(kind, details["msg"])
