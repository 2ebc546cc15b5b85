"""The declaration of a program's features, and the plan that the engine reads.

A plan is declared once, by names; compiling it resolves names to slots and times to microseconds, and gives canonical
JSON. Its SHA-256 is the plan's identity everywhere: in answers, in models, in training sets.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final

from features.refused import is_sensitive

KINDS: Final = (
    "purchase",
    "withdrawal",
    "transfer",
    "payout",
    "refund",
    "reversal",
    "incremental",
    "clearing",
    "verification",
    "event",
)
"""The kinds of transaction, as protos/fraudgate/v1/transaction.proto defines them."""

PAYMENTS: Final = ("purchase", "withdrawal", "transfer")
"""Kinds by which the payer's money leaves: what windows count unless they say otherwise."""

CLASSES: Final = (
    "third_party_fraud",
    "first_party_fraud",
    "manipulated_payer",
    "dispute_without_fraud",
    "genuine",
)
"""The classes of label, as protos/fraudgate/v1/feedback.proto defines them."""

FRAUD: Final = ("third_party_fraud", "first_party_fraud", "manipulated_payer")
"""Classes that count as fraud unless a plan says otherwise."""

MAX_FEATURES: Final = 256
MAX_SPAN: Final = timedelta(microseconds=3_155_760_000_000_000)
"""Longest window, delay or lateness: a hundred years of 365.25 days."""

_NONE: Final = timedelta(0)
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_FEATURE_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")

Member = str | int | bool | dict[str, list[str]]


class PlanError(ValueError):
    """A plan that cannot be: the message names the declaration, what is wrong, and what would be right."""


def minutes(count: float) -> timedelta:
    """A time of so many minutes."""
    return timedelta(minutes=count)


def hours(count: float) -> timedelta:
    """A time of so many hours."""
    return timedelta(hours=count)


def days(count: float) -> timedelta:
    """A time of so many times 24 hours; no calendar is asked."""
    return timedelta(days=count)


@dataclass(frozen=True)
class Feature:
    """One column of the rows that models see. `name` is unique in its plan: 1 to 128 letters, digits, `_`, `-`, `.`."""

    op: ClassVar[str]
    name: str

    def members(self, plan: "Plan") -> dict[str, Member]:
        """The members of the compiled feature, beside name and op."""
        return {}

    def reach(self) -> timedelta:
        """How far before the transaction's event time it looks."""
        return _NONE


@dataclass(frozen=True)
class Amount(Feature):
    """The transaction's own amount, in major units of the plan's currency."""

    op = "amount"


@dataclass(frozen=True)
class Number(Feature):
    """A declared number of the transaction, as given."""

    op = "number"
    number: str

    def members(self, plan: "Plan") -> dict[str, Member]:
        return {"number": _slot(self, "number", self.number, plan.numbers)}


@dataclass(frozen=True)
class Hour(Feature):
    """The local hour, 0 to 23."""

    op = "hour"


@dataclass(frozen=True)
class Weekday(Feature):
    """The local day of the week: 0 is Monday, 6 Sunday."""

    op = "weekday"


@dataclass(frozen=True)
class Weekend(Feature):
    """1 on a local Saturday or Sunday, else 0."""

    op = "weekend"


@dataclass(frozen=True)
class Night(Feature):
    """1 from local midnight to the end of hour `through_hour`, else 0."""

    op = "night"
    through_hour: int

    def members(self, plan: "Plan") -> dict[str, Member]:
        if not 0 <= self.through_hour <= 23:
            raise PlanError(f"feature {self.name!r}: through_hour is {self.through_hour}; must be 0 to 23")
        return {"through_hour": self.through_hour}


@dataclass(frozen=True, kw_only=True)
class History(Feature):
    """What looks at the history of one entity: the transactions of `kinds` that were folded before this one."""

    entity: str
    kinds: Sequence[str] = PAYMENTS

    def members(self, plan: "Plan") -> dict[str, Member]:
        if isinstance(self.kinds, str) or not self.kinds:
            raise PlanError(f"feature {self.name!r}: kinds must be a list of at least one kind of transaction")
        for kind in self.kinds:
            if kind not in KINDS:
                raise PlanError(f"feature {self.name!r}: {kind!r} is no kind of transaction: {', '.join(KINDS)}")
        counted = [kind for kind in KINDS if kind in self.kinds]
        return {
            "entity": _slot(self, "entity", self.entity, plan.entities),
            "where": {"kinds": counted},
        }


@dataclass(frozen=True, kw_only=True)
class SinceLast(History):
    """Seconds since the entity's newest transaction; missing when there is none."""

    op = "since_last"


@dataclass(frozen=True, kw_only=True)
class SinceFirst(History):
    """Seconds since the entity's oldest transaction; missing when there is none."""

    op = "since_first"


@dataclass(frozen=True, kw_only=True)
class Delayed(History):
    """A sliding window of event time, (t - delay - window, t - delay]."""

    window: timedelta
    delay: timedelta = _NONE

    def members(self, plan: "Plan") -> dict[str, Member]:
        return super().members(plan) | {
            "window_us": _microseconds(f"feature {self.name!r}: window", self.window, timedelta(microseconds=1)),
            "delay_us": _microseconds(f"feature {self.name!r}: delay", self.delay, _NONE),
        }

    def reach(self) -> timedelta:
        return self.window + self.delay


@dataclass(frozen=True, kw_only=True)
class Risk(Delayed):
    """Known frauds over transactions in the window; 0 when there is no transaction.

    A fraud counts once its label has been taken in; `delay` leaves out what is too young for its labels to be known.
    """

    op = "risk"


@dataclass(frozen=True, kw_only=True)
class Window(Delayed):
    """A window that may take in the transaction itself, when `inclusive` and it is of the kinds counted."""

    inclusive: bool = False

    def members(self, plan: "Plan") -> dict[str, Member]:
        if self.inclusive and self.delay > _NONE:
            raise PlanError(
                f"feature {self.name!r}: inclusive cannot hold with a delay, the transaction itself is outside"
            )
        return super().members(plan) | {"inclusive": self.inclusive}


@dataclass(frozen=True, kw_only=True)
class Count(Window):
    """Transactions in the window."""

    op = "count"


@dataclass(frozen=True, kw_only=True)
class Sum(Window):
    """Sum of amounts in the window, in major units; 0 when there is none."""

    op = "sum"


@dataclass(frozen=True, kw_only=True)
class Mean(Window):
    """Mean amount in the window, in major units; missing when there is none."""

    op = "mean"


@dataclass(frozen=True, kw_only=True)
class Min(Window):
    """Smallest amount in the window, in major units; missing when there is none."""

    op = "min"


@dataclass(frozen=True, kw_only=True)
class Max(Window):
    """Largest amount in the window, in major units; missing when there is none."""

    op = "max"


@dataclass(frozen=True)
class CompiledPlan:
    """A plan as the engine reads it."""

    json: bytes
    """Canonical JSON."""
    features: tuple[str, ...]
    """Names of the features, in the order of a row."""

    @property
    def digest(self) -> str:
        """SHA-256 of `json`, 64 hex digits."""
        return hashlib.sha256(self.json).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A program's features.

    currency: ISO 4217 code of the reference currency, the only one that windows sum.
    entities, numbers, texts: names of what transactions carry, at most 8, 32 and 16; see protos/VOCABULARY.md.
    fraud: classes of label that count as fraud.
    lateness: how late a transaction may come and still be folded; by default as far as the longest feature reaches.
    """

    name: str
    currency: str
    entities: Sequence[str]
    features: Sequence[Feature]
    numbers: Sequence[str] = ()
    texts: Sequence[str] = ()
    fraud: Sequence[str] = FRAUD
    lateness: timedelta | None = None

    def compile(self) -> CompiledPlan:
        """The plan as the engine reads it. Raises PlanError for a plan that cannot be."""
        if not _NAME.fullmatch(self.name):
            raise PlanError(f"name {self.name!r} must be {_NAME_RULE}")
        if not re.fullmatch(r"[A-Z]{3}", self.currency):
            raise PlanError(f"currency {self.currency!r} must be an ISO 4217 alphabetic code such as 'EUR'")
        _check_names("entities", self.entities, 8)
        _check_names("numbers", self.numbers, 32)
        _check_names("texts", self.texts, 16)
        if both := set(self.numbers) & set(self.texts):
            raise PlanError(f"{min(both)!r} is declared as a number and as a text")
        for label in self.fraud:
            if label not in CLASSES:
                raise PlanError(f"fraud: {label!r} is no class of label: {', '.join(CLASSES)}")
        if not 1 <= len(self.features) <= MAX_FEATURES:
            raise PlanError(f"{len(self.features)} features; a plan declares 1 to {MAX_FEATURES}")
        names = tuple(feature.name for feature in self.features)
        for name in names:
            if not _FEATURE_NAME.fullmatch(name):
                raise PlanError(f"feature {name!r}: a name is 1 to 128 letters, digits, '_', '-' or '.'")
            if names.count(name) > 1:
                raise PlanError(f"feature {name!r} is declared twice")
        features = [{"name": f.name, "op": f.op} | f.members(self) for f in self.features]
        lateness = max(feature.reach() for feature in self.features) if self.lateness is None else self.lateness
        compiled = {
            "format": 1,
            "name": self.name,
            "currency": self.currency,
            "entities": list(self.entities),
            "numbers": list(self.numbers),
            "texts": list(self.texts),
            "fraud": [label for label in CLASSES if label in self.fraud],
            "lateness_us": _microseconds("lateness", lateness, _NONE),
            "features": features,
        }
        text = json.dumps(compiled, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
        return CompiledPlan(text.encode("ascii"), names)


_NAME_RULE: Final = "a lower-case letter, then lower-case letters, digits or '_', at most 64 in all"


def _check_names(member: str, names: Sequence[str], most: int) -> None:
    if isinstance(names, str):
        raise PlanError(f"{member} must be a list of names")
    if len(names) > most:
        raise PlanError(f"{member}: {len(names)} names; a plan declares at most {most}")
    for name in names:
        if not _NAME.fullmatch(name):
            raise PlanError(f"{member}: {name!r} must be {_NAME_RULE}")
        if is_sensitive(name):
            raise PlanError(
                f"{member}: {name!r} names a card verification value, a PIN or track data; "
                "these must not be kept (PCI DSS 3.3)"
            )
        if list(names).count(name) > 1:
            raise PlanError(f"{member}: {name!r} is declared twice")


def _slot(feature: Feature, member: str, name: str, declared: Sequence[str]) -> int:
    if name not in declared:
        known = ", ".join(declared) or "none is declared"
        raise PlanError(f"feature {feature.name!r}: {member} {name!r} is not declared by the plan: {known}")
    return list(declared).index(name)


def _microseconds(what: str, span: timedelta, least: timedelta) -> int:
    if not least <= span <= MAX_SPAN:
        raise PlanError(f"{what} is {span}; must be {least} to {MAX_SPAN}")
    return span // timedelta(microseconds=1)
