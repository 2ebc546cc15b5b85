"""What every feature means, in plain Python over plain lists: slow, and there to be checked against.

Nothing is indexed or summed ahead. Each definition reads as its text in `features/plan.py` does; what is left of a
key's past within the bounds of a state is `features/kept.py`'s to say.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from features.kept import UNBOUNDED, Bounds, Costs, Kept

DIGITS: Final = {"BHD": 3, "BIF": 0, "CLP": 0, "EUR": 2, "GBP": 2, "JPY": 0, "KWD": 3, "USD": 2}
"""Decimal digits of the minor unit (ISO 4217), for the currencies that tests use."""

NAN: Final = float("nan")


@dataclass(frozen=True)
class Transaction:
    """A transaction as features see it. Times in microseconds, amounts in minor units, entities by name."""

    event_time_us: int
    entities: dict[str, str]
    amount_minor: int | None = None
    kind: str = "purchase"
    numbers: dict[str, float] = field(default_factory=dict)
    utc_offset_minutes: int = 0


@dataclass(frozen=True)
class Label:
    """A label as features see it; `fraud` is None when it is withdrawn."""

    transaction_id: str
    event_time_us: int
    entities: dict[str, str]
    fraud: bool | None
    kind: str = "purchase"


class Value(NamedTuple):
    """A feature's value, NaN without one, and a letter: m, i, a where it is missing, incomplete, approximate."""

    value: float
    said: str = " "


MISSING: Final = Value(NAN, "m")
INCOMPLETE: Final = Value(NAN, "i")


class Oracle:
    """The history of one program, and the rows that it gives."""

    def __init__(
        self, plan: bytes, complete_since_us: int, bounds: Bounds = UNBOUNDED, costs: Sequence[Costs] = ()
    ) -> None:
        """costs: of each entity's things, as `Folder.costs` gives them; without any, a budget is never full."""
        self.plan: dict[str, Any] = json.loads(plan)
        self.complete_since_us = complete_since_us
        self.scale: int = 10 ** DIGITS[self.plan["currency"]]
        self.history_bytes = bounds.history_bytes
        self.newest_us = -(2**63)
        self.kept: dict[str, Kept] = {}
        for slot, entity in enumerate(self.plan["entities"]):
            of = [f for f in self.plan["features"] if f.get("entity") == slot]
            charged = Costs(*costs[slot]) if costs else Costs()
            self.kept[entity] = Kept(of, self.plan["lateness_us"], bounds, charged)

    def label(self, label: Label) -> None:
        """The last one stands, for each entity by itself."""
        for entity, key in label.entities.items():
            self.kept[entity].label(key, label, self.newest_us)
        self._bound()

    def transaction(self, t: Transaction) -> list[float]:
        """The transaction's features before it is folded; then it is, unless it comes too late."""
        return [value for value, _ in self.see(t)]

    def see(self, t: Transaction) -> list[Value]:
        """The same, with what is said of them."""
        beyond = t.event_time_us < self.newest_us - self.plan["lateness_us"]
        row = []
        for f in self.plan["features"]:
            row.append(self._own(f, t) if "entity" not in f else MISSING if beyond else self._aggregate(f, t))
        if not beyond:
            self.newest_us = max(self.newest_us, t.event_time_us)
            for entity, kept in self.kept.items():
                kept.fold(t.entities.get(entity), t, self.newest_us)
            self._bound()
        return row

    def _bound(self) -> None:
        """Of what holds most, what is oldest goes, until four fifths of the budget hold all."""
        while sum(kept.bytes() for kept in self.kept.values()) > self.history_bytes // 5 * 4:
            max(self.kept.values(), key=Kept.bytes).evict(self.newest_us)

    def _own(self, f: dict[str, Any], t: Transaction) -> Value:
        local = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=t.event_time_us, minutes=t.utc_offset_minutes)
        match f["op"]:
            case "amount":
                return MISSING if t.amount_minor is None else Value(t.amount_minor / self.scale)
            case "number":
                number = t.numbers.get(self.plan["numbers"][f["number"]])
                return MISSING if number is None else Value(number)
            case "hour":
                return Value(float(local.hour))
            case "weekday":
                return Value(float(local.weekday()))
            case "weekend":
                return Value(float(local.weekday() >= 5))
            case "night":
                return Value(float(local.hour <= f["through_hour"]))
        raise AssertionError(f["op"])

    def _aggregate(self, f: dict[str, Any], t: Transaction) -> Value:
        entity, kinds = self.plan["entities"][f["entity"]], f["where"]["kinds"]
        key, kept = t.entities.get(entity), self.kept[entity]
        if key is None:
            return MISSING
        if f["op"] in ("since_last", "since_first"):
            if (time := kept.when(f["op"], key, kinds, t.event_time_us)) is None:
                return INCOMPLETE
            return Value((t.event_time_us - time) / 1e6) if time > -(2**63) else MISSING

        end = t.event_time_us - f["delay_us"]
        begin = end - f["window_us"]
        if begin < max(self.complete_since_us, kept.evicted_through):
            return INCOMPLETE
        within, is_cut = kept.events(key, begin, end)
        events = [e for e in within if e.kind in kinds]
        if f["op"] == "risk":
            labels, also_cut = kept.frauds(key, begin, end)
            frauds = [label for label in labels if label.kind in kinds]
            return Value(len(frauds) / len(events) if events else 0.0, "a" if is_cut or also_cut else " ")
        if f["inclusive"] and t.kind in kinds:
            events.append(t)
        if (value := self._summary(f["op"], events)) is None:
            return MISSING
        return Value(value, "a" if is_cut else " ")

    def _summary(self, op: str, events: Iterable[Transaction]) -> float | None:
        events = list(events)
        amounts = [e.amount_minor for e in events if e.amount_minor is not None]
        match op:
            case "count":
                return float(len(events))
            case "sum":
                return sum(amounts) / self.scale
            case "mean":
                return sum(amounts) / (len(amounts) * self.scale) if amounts else None
            case "min":
                return min(amounts) / self.scale if amounts else None
            case "max":
                return max(amounts) / self.scale if amounts else None
        raise AssertionError(op)
