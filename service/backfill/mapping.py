"""What a file's columns mean: a mapping in TOML, or one that is ready, checked and made what the engine reads.

Whatever a plan does not have is left out; whatever it has needs a column.
"""

import hashlib
import json
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from features import CompiledPlan
from service.config_values import ConfigError, Section

_READY: Final = Path(__file__).parent / "mappings"
_UNITS: Final = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "minutes": 60_000_000,
    "hours": 3_600_000_000,
    "days": 86_400_000_000,
}
_DAY_US: Final = _UNITS["days"]


def _column(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


def _member(value: Any) -> Any:
    return {"value": value} if isinstance(value, str) else value


def _us(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    # Not timestamp(): that is a float.
    since = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


class Time(Section):
    """A column of moments: timestamps as they are, numbers as units since an origin, texts of ISO 8601 or a format."""

    column: str
    unit: Literal["us", "ms", "s", "minutes", "hours", "days"] = "us"
    origin: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    format: str | None = Field(None, description="of texts, as strftime writes it")
    zone_minutes: int = Field(0, ge=-1080, le=1080, description="local time less UTC, of what names no zone")

    def compiled(self) -> dict[str, Any]:
        """As the engine reads it."""
        return {
            "column": self.column,
            "unit_us": _UNITS[self.unit],
            "origin_us": _us(self.origin),
            "format": self.format,
            "zone_minutes": self.zone_minutes,
        }


class Words(Section):
    """A column of words that stand for members of an enum, or one member for all rows."""

    value: str | None = Field(None, description="for all rows")
    column: str | None = None
    names: dict[str, str] = Field(default_factory=dict)
    """Members by the column's words; an empty one says that there is none."""
    otherwise: str | None = None
    """Where the column is null."""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.value is None) == (self.column is None):
            raise ValueError("give either a value for all rows, or a column")
        return self

    def compiled(self) -> dict[str, Any]:
        """As the engine reads it."""
        return {"column": self.column, "otherwise": self.value or self.otherwise, "names": self.names}


class Amount(Section):
    """A column of amounts; texts are decimals."""

    column: str
    unit: Literal["major", "minor"] = "major"
    round: bool = Field(False, description="a fraction of a minor unit is rounded; else it is refused")
    currency: str | None = Field(None, description="of all rows")
    currency_column: str | None = None

    @model_validator(mode="after")
    def _has_a_currency(self) -> Self:
        if (self.currency is None) == (self.currency_column is None):
            raise ValueError("give either a currency for all rows, or a currency_column")
        return self

    def compiled(self) -> dict[str, Any]:
        """As the engine reads it."""
        currency = {"code": self.currency} if self.currency is not None else {"column": self.currency_column}
        return {"column": self.column, "minor": self.unit == "minor", "round": self.round, "currency": currency}


class _Told(Section):
    """When something told becomes known: so many days after the transaction, or as a column says."""

    delay_days: float | None = Field(None, ge=0, le=36_525)
    arrival: Annotated[Time, BeforeValidator(_column)] | None = None

    @model_validator(mode="after")
    def _arrives(self) -> Self:
        if (self.delay_days is None) == (self.arrival is None):
            raise ValueError("give either delay_days, or the column of its arrival")
        return self

    def arrival_compiled(self) -> dict[str, Any]:
        """As the engine reads it."""
        if self.arrival is not None:
            return {"at": self.arrival.compiled()}
        return {"delay_us": round((self.delay_days or 0.0) * _DAY_US)}


class Label(_Told):
    """What a transaction turned out to be."""

    class_: Annotated[Words, BeforeValidator(_member)] = Field(alias="class")
    source: Annotated[Words, BeforeValidator(_member)] = Words(value="chargeback")
    status: Annotated[Words, BeforeValidator(_member)] = Words(value="asserted")

    def compiled(self) -> dict[str, Any]:
        """As the engine reads it."""
        words = {"class": self.class_, "source": self.source, "status": self.status}
        return {name: each.compiled() for name, each in words.items()} | {"arrival": self.arrival_compiled()}


class Outcome(_Told):
    """What became of an ask."""

    fate: Annotated[Words, BeforeValidator(_member)]
    decider: Annotated[Words, BeforeValidator(_member)]

    def compiled(self) -> dict[str, Any]:
        """As the engine reads it."""
        return {
            "fate": self.fate.compiled(),
            "decider": self.decider.compiled(),
            "arrival": self.arrival_compiled(),
        }


class Mapping(Section):
    """The whole file."""

    transaction_id: str | None = Field(None, description="the column of ids; without one, the row's number is its id")
    event_time: Annotated[Time, BeforeValidator(_column)]
    ingest_time: Annotated[Time, BeforeValidator(_column)] | None = Field(None, description="the order of inputs")
    utc_offset_minutes: int | str | Literal["event_time"] | None = Field(
        None, description="for all rows, a column, or event_time: as its texts say"
    )
    kind: Annotated[Words, BeforeValidator(_member)] = Words(value="purchase")
    event_name: str | None = None
    amount: Amount | None = None
    reference_amount: Amount | None = None
    entities: dict[str, str] = Field(default_factory=dict)
    numbers: dict[str, str] = Field(default_factory=dict)
    texts: dict[str, str] = Field(default_factory=dict)
    label: Label | None = None
    outcome: Outcome | None = None
    delimiter: str = Field(",", min_length=1, max_length=1, description="of CSV")

    def compile(self, plan: CompiledPlan, *, labels_apart: bool = False, outcomes_apart: bool = False) -> bytes:
        """As the engine reads it, under a plan: canonical JSON.

        labels_apart, outcomes_apart: whether they stand in tables of their own, of the same columns' names.
        Raises ValueError where the plan has an entity, a number or a text that no column is named for.
        """
        declared = json.loads(plan.json)
        for apart, told, name in ((labels_apart, self.label, "label"), (outcomes_apart, self.outcome, "outcome")):
            if apart and (told is None or self.transaction_id is None):
                raise ValueError(f"a table of {name}s is given: the mapping needs transaction_id and [{name}]")
        document: dict[str, Any] = {
            "transaction_id": self.transaction_id,
            "event_time": self.event_time.compiled(),
            "ingest_time": None if self.ingest_time is None else self.ingest_time.compiled(),
            "kind": self.kind.compiled(),
            "event_name": self.event_name,
            "amount": None if self.amount is None else self.amount.compiled(),
            "reference_amount": None if self.reference_amount is None else self.reference_amount.compiled(),
            "label": None if self.label is None else self.label.compiled() | {"apart": labels_apart},
            "outcome": None if self.outcome is None else self.outcome.compiled() | {"apart": outcomes_apart},
        }
        match self.utc_offset_minutes:
            case None:
                document["utc_offset"] = "utc"
            case int(minutes):
                document["utc_offset"] = {"minutes": minutes}
            case "event_time":
                document["utc_offset"] = "event_time"
            case column:
                document["utc_offset"] = {"column": column}
        for what, named in (("entities", self.entities), ("numbers", self.numbers), ("texts", self.texts)):
            absent = [name for name in declared[what] if name not in named]
            if absent:
                raise ValueError(f"the mapping names no column for {absent[0]!r}, which the plan has among its {what}")
            document[what] = [{"name": name, "column": named[name]} for name in declared[what]]
        return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def read(name: str) -> Mapping:
    """The mapping that is ready under that name, or of a TOML file.

    Raises ConfigError, naming the key, where it cannot be used.
    """
    path = _READY / f"{name}.toml"
    if not path.exists():
        path = Path(name)
    try:
        table = tomllib.loads(path.read_text())
    except OSError as error:
        told = f"no mapping {name!r}: {error.strerror}; write a TOML file, or take one of {', '.join(ready())}"
        raise ConfigError(told) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from None
    try:
        return Mapping.model_validate(table)
    except ValidationError as error:
        problems = [
            f"{path}: {'.'.join(str(part) for part in each['loc'])}: {each['msg']}"
            for each in error.errors(include_url=False, include_input=False)
        ]
        raise ConfigError("\n".join(problems)) from None


def ready() -> list[str]:
    """Names of the mappings that are ready."""
    return sorted(path.stem for path in _READY.glob("*.toml"))


Holds = Literal["transactions", "labels", "outcomes", "order"]
"""What a table is read for."""

_SUBJECT: Final = ("transaction_id", "event_time", "kind", "entities")


def columns(compiled: bytes, holds: Holds) -> list[str]:
    """The columns of a table that a compiled mapping reads, each once."""
    document = json.loads(compiled)
    match holds:
        case "order":
            members: tuple[str, ...] = ("event_time", "ingest_time")
        case "labels":
            members = (*_SUBJECT, "label")
        case "outcomes":
            members = (*_SUBJECT, "outcome")
        case "transactions":
            apart = [told for told in ("label", "outcome") if (document[told] or {}).get("apart")]
            members = tuple(name for name in document if name not in apart)
    found: dict[str, None] = {}
    _collect({name: document[name] for name in members}, found)
    return list(found)


def digest(compiled: bytes) -> str:
    """SHA-256 of a compiled mapping, 64 hex digits."""
    return hashlib.sha256(compiled).hexdigest()


def _collect(node: Any, found: dict[str, None]) -> None:
    if isinstance(node, dict):
        for name, value in node.items():
            if name in ("column", "transaction_id", "event_name") and isinstance(value, str):
                found[value] = None
            else:
                _collect(value, found)
    elif isinstance(node, list):
        for value in node:
            _collect(value, found)
