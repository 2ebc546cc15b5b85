"""What every feature means, in plain Python over plain lists: slow, and there to be checked against.

Nothing is evicted, indexed or summed ahead. Each definition reads as its text in `features/plan.py` does.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

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


class Oracle:
    """The history of one program, and the rows that it gives."""

    def __init__(self, plan: bytes, complete_since_us: int) -> None:
        self.plan: dict[str, Any] = json.loads(plan)
        self.complete_since_us = complete_since_us
        self.scale: int = 10 ** DIGITS[self.plan["currency"]]
        self.folded: list[Transaction] = []
        self.labels: dict[tuple[str, str, str], Label] = {}

    def label(self, label: Label) -> None:
        """The last one stands, for each entity by itself."""
        for entity, key in label.entities.items():
            self.labels[entity, key, label.transaction_id] = label

    def transaction(self, t: Transaction) -> list[float]:
        """The transaction's features before it is folded; then it is, unless it comes too late."""
        newest = max((e.event_time_us for e in self.folded), default=t.event_time_us)
        beyond = t.event_time_us < newest - self.plan["lateness_us"]
        row = []
        for f in self.plan["features"]:
            row.append(self._own(f, t) if "entity" not in f else NAN if beyond else self._aggregate(f, t))
        if not beyond:
            self.folded.append(t)
        return row

    def _own(self, f: dict[str, Any], t: Transaction) -> float:
        local = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=t.event_time_us, minutes=t.utc_offset_minutes)
        match f["op"]:
            case "amount":
                return NAN if t.amount_minor is None else t.amount_minor / self.scale
            case "number":
                return t.numbers.get(self.plan["numbers"][f["number"]], NAN)
            case "hour":
                return float(local.hour)
            case "weekday":
                return float(local.weekday())
            case "weekend":
                return float(local.weekday() >= 5)
            case "night":
                return float(local.hour <= f["through_hour"])
        raise AssertionError(f["op"])

    def _aggregate(self, f: dict[str, Any], t: Transaction) -> float:
        entity, kinds = self.plan["entities"][f["entity"]], f["where"]["kinds"]
        key = t.entities.get(entity)
        if key is None:
            return NAN
        of_key = [e for e in self.folded if e.entities.get(entity) == key and e.kind in kinds]
        if f["op"] in ("since_last", "since_first"):
            times = [e.event_time_us for e in of_key if e.event_time_us <= t.event_time_us]
            newest_or_oldest = max if f["op"] == "since_last" else min
            return (t.event_time_us - newest_or_oldest(times)) / 1e6 if times else NAN

        end = t.event_time_us - f["delay_us"]
        begin = end - f["window_us"]
        if begin < self.complete_since_us:
            return NAN
        events = [e for e in of_key if begin < e.event_time_us <= end]
        if f["op"] == "risk":
            frauds = [
                label
                for (of, whose, _), label in self.labels.items()
                if (of, whose) == (entity, key)
                and label.fraud
                and label.kind in kinds
                and begin < label.event_time_us <= end
            ]
            return len(frauds) / len(events) if events else 0.0
        if f["inclusive"] and t.kind in kinds:
            events.append(t)
        return self._summary(f["op"], events)

    def _summary(self, op: str, events: Iterable[Transaction]) -> float:
        events = list(events)
        amounts = [e.amount_minor for e in events if e.amount_minor is not None]
        match op:
            case "count":
                return float(len(events))
            case "sum":
                return sum(amounts) / self.scale
            case "mean":
                return sum(amounts) / (len(amounts) * self.scale) if amounts else NAN
            case "min":
                return min(amounts) / self.scale if amounts else NAN
            case "max":
                return max(amounts) / self.scale if amounts else NAN
        raise AssertionError(op)
