"""The features that can be declared, one class each: what it means, and its members in a compiled plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from features.plan import Plan

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

MAX_SPAN: Final = timedelta(microseconds=3_155_760_000_000_000)
"""Longest window, delay or lateness: a hundred years of 365.25 days."""

NO_TIME: Final = timedelta(0)
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

    def members(self, plan: Plan) -> dict[str, Member]:
        """The members of the compiled feature, beside name and op."""
        return {}

    def reach(self) -> timedelta:
        """How far before the transaction's event time it looks."""
        return NO_TIME


@dataclass(frozen=True)
class Amount(Feature):
    """The transaction's own amount, in major units of the plan's currency."""

    op = "amount"


@dataclass(frozen=True)
class Number(Feature):
    """A declared number of the transaction, as given."""

    op = "number"
    number: str

    def members(self, plan: Plan) -> dict[str, Member]:
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

    def members(self, plan: Plan) -> dict[str, Member]:
        if not 0 <= self.through_hour <= 23:
            raise PlanError(f"feature {self.name!r}: through_hour is {self.through_hour}; must be 0 to 23")
        return {"through_hour": self.through_hour}


@dataclass(frozen=True, kw_only=True)
class History(Feature):
    """What looks at the history of one entity: the transactions of `kinds` that were folded before this one."""

    entity: str
    kinds: Sequence[str] = PAYMENTS

    def members(self, plan: Plan) -> dict[str, Member]:
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
    delay: timedelta = NO_TIME

    def members(self, plan: Plan) -> dict[str, Member]:
        return super().members(plan) | {
            "window_us": microseconds(f"feature {self.name!r}: window", self.window, timedelta(microseconds=1)),
            "delay_us": microseconds(f"feature {self.name!r}: delay", self.delay, NO_TIME),
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

    def members(self, plan: Plan) -> dict[str, Member]:
        if self.inclusive and self.delay > NO_TIME:
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


def _slot(feature: Feature, member: str, name: str, declared: Sequence[str]) -> int:
    if name not in declared:
        known = ", ".join(declared) or "none is declared"
        raise PlanError(f"feature {feature.name!r}: {member} {name!r} is not declared by the plan: {known}")
    return list(declared).index(name)


def microseconds(what: str, span: timedelta, least: timedelta) -> int:
    if not least <= span <= MAX_SPAN:
        raise PlanError(f"{what} is {span}; must be {least} to {MAX_SPAN}")
    return span // timedelta(microseconds=1)
