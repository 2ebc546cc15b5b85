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

from service.config import (
    Config,
    Forward,
    Hybrid,
    Identity,
    Journal,
    Keys,
    Memory,
    Server,
    Stream,
)
from service.config_program import Default, Program, Rescore, Segment
from service.config_values import ConfigError as ConfigError
from service.config_values import Section

Place = tuple[str | int, ...]

_ENVIRONMENT: Final = re.compile(r"FRAUDGATE_(SERVER|KEYS|MEMORY|JOURNAL|FORWARD|HYBRID|STREAM|PROGRAM)_(.+)")
_SECTIONS: Final[dict[str, type[Section]]] = {
    "server": Server,
    "keys": Keys,
    "memory": Memory,
    "journal": Journal,
    "forward": Forward,
    "hybrid": Hybrid,
    "identity": Identity,
    "program": Program,
    "stream": Stream,
}
# Tables within tables.
_INNER: Final[dict[type[Section], dict[str, type[Section]]]] = {
    Program: {"default": Default, "rescore": Rescore},
    Default: {"segment": Segment},
}
# Where what stood elsewhere stands now.
_MOVED: Final[Mapping[Place, str]] = dict.fromkeys(
    [("forward", "pop"), ("stream", "pop")],
    "is not a known key; the whole PoP has one name: write it as pop in [server]",
)
# Keys of a table that has a name or a number of its own: program.<name>, identity[n].
_NESTED: Final = ("identity", "program")


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
    found: list[tuple[Place, str]] = [((name,), _nearest(name, _SECTIONS)) for name in table if name not in _SECTIONS]
    for name, section in _SECTIONS.items():
        inner = table.get(name)
        if name not in _NESTED:
            found += _unknown_within((name,), section, inner)
        elif isinstance(inner, dict):
            for key, row in inner.items():
                found += _unknown_within((name, key), section, row)
        else:
            found += _unknown_within((name,), section, inner)
    return found


def _unknown_within(place: Place, section: type[Section], value: Any) -> list[tuple[Place, str]]:
    if isinstance(value, list):
        return [one for number, row in enumerate(value) for one in _unknown_within((*place, number), section, row)]
    if not isinstance(value, dict):
        return []
    found: list[tuple[Place, str]] = []
    for key, inner in value.items():
        if key not in section.model_fields:
            told = _MOVED.get((*place, key)) or _nearest(key, section.model_fields)
            found.append(((*place, key), told))
        elif key in _INNER.get(section, {}):
            found += _unknown_within((*place, key), _INNER[section][key], inner)
    return found


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
    return place[: _section(place)[1] + 1]


def _section(place: Place) -> tuple[type[Section] | None, int]:
    """The innermost table that a place lies in, and how much of the place names that table."""
    section, length = _SECTIONS.get(str(place[0])), 2 if place[0] in _NESTED else 1
    while section is not None and length < len(place) and place[length] in _INNER.get(section, {}):
        section = _INNER[section][str(place[length])]
        length += 1
        if length < len(place) and isinstance(place[length], int):
            length += 1
    return section, length


def _where(path: Path, place: Place, sources: Mapping[Place, str]) -> str:
    if place in sources:
        return sources[place]
    key = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in place)
    return f"{path}: {key.removeprefix('.')}"


def _example(place: Place) -> str:
    name = str(place[-1])
    section, length = _section(place)
    if length >= len(place) > 1:
        section, _ = _section(place[:-1])
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
    "greater_than": "is not above nothing",
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
