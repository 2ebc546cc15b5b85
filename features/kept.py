"""What is left of one entity's past within the bounds of a state, over plain lists, by counting all there is each time.

What no window can reach is dead. Beyond a budget the oldest bucket of event time goes, of all keys; beyond so many rows
those of a key's oldest moment become a tile, whose events are told apart no more and count at the time of the newest.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol, TypeVar

NEVER: Final = -(2**63)
BUCKETS: Final = 2048
THREE_HOURS_US: Final = 3 * 3_600_000_000


class Bounds(NamedTuple):
    """What bounds a state; see `[memory]` in `service/config.py`."""

    history_bytes: int = 2**64 - 1
    rows_a_key: int = 1 << 16
    tiles_a_key: int = 128


UNBOUNDED: Final = Bounds()


class Costs(NamedTuple):
    """Bytes that a thing is counted with."""

    key: int = 0
    row: int = 0
    blank: int = 0
    fraud: int = 0
    tile: int = 0
    fraud_tile: int = 0


class Timed(Protocol):
    """An event or a label."""

    @property
    def event_time_us(self) -> int: ...

    @property
    def kind(self) -> str: ...


T = TypeVar("T", bound=Timed)


@dataclass
class Key:
    """What is kept of one key."""

    newest: int
    """Event time of the newest thing that it ever held."""
    is_back: bool
    """It may have been there before, and be forgotten."""
    told: list[Any] = field(default_factory=list)
    told_late: list[Any] = field(default_factory=list)
    """Every event since it is known; and those that came when as old ones were evicted already."""
    rows: list[Any] = field(default_factory=list)
    tiles: list[list[Any]] = field(default_factory=list)
    frauds: list[Any] = field(default_factory=list)
    fraud_tiles: list[list[Any]] = field(default_factory=list)


class Kept:
    """All keys of an entity."""

    def __init__(self, features: list[dict[str, Any]], lateness_us: int, bounds: Bounds, costs: Costs) -> None:
        self.bounds, self.costs = bounds, costs
        self.kinds = {kind for f in features for kind in f["where"]["kinds"]}
        of_all = {f["op"] for f in features if set(f["where"]["kinds"]) == self.kinds}
        self.blanks = "mean" in of_all and not of_all & {"min", "max"}
        self.labelled = any(f["op"] == "risk" for f in features)
        self.remembers = any(f["op"].startswith("since") for f in features)
        reach = (f.get("window_us", 0) + f.get("delay_us", 0) for f in features)
        self.retention_us = max(reach, default=0) + lateness_us
        width = max(self.retention_us // 1024, THREE_HOURS_US if self.remembers else 1)
        self.shift = (width - 1).bit_length()
        self.evicted_through = self.dead_through = NEVER
        self.keys: dict[str, Key] = {}

    def fold(self, key: str | None, event: Timed, newest: int) -> None:
        """Take an event of a key in, if any."""
        self._bury(newest)
        if key is None or event.kind not in self.kinds:
            return
        if event.event_time_us > self.evicted_through:
            of = self._begin(key, event.event_time_us)
            of.told.append(event)
            self._tell(of.rows, of.tiles, event)
        elif key in self.keys:
            self.keys[key].told_late.append(event)

    def label(self, key: str, label: Any, newest: int) -> None:
        """Take a label in: the last one for its transaction stands, and only frauds are kept."""
        if not self.labelled:
            return
        self._bury(newest)
        if key in self.keys:
            frauds = self.keys[key].frauds
            frauds[:] = [fraud for fraud in frauds if fraud.transaction_id != label.transaction_id]
        if label.fraud and label.kind in self.kinds and label.event_time_us > self.dead_through:
            of = self._begin(key, label.event_time_us)
            self._tell(of.frauds, of.fraud_tiles, label)

    def events(self, key: str, begin: int, end: int) -> tuple[list[Any], bool]:
        """The events that count in a window, and whether it begins or ends within a tile."""
        of = self.keys.get(key)
        return within(of.rows, of.tiles, begin, end) if of else ([], False)

    def frauds(self, key: str, begin: int, end: int) -> tuple[list[Any], bool]:
        """Likewise."""
        of = self.keys.get(key)
        return within(of.frauds, of.fraud_tiles, begin, end) if of else ([], False)

    def when(self, op: str, key: str, kinds: list[str], now: int) -> int | None:
        """Event time of the newest or the oldest event that is not after now; NEVER, or None: not known."""
        of = self.keys.get(key)
        if now < self.evicted_through or (of is None and self.evicted_through > NEVER):
            return None
        if of is None:
            return NEVER
        times = [e.event_time_us for e in of.told if e.event_time_us <= now and e.kind in kinds]
        # Of one that is back, what is forgotten may be later than what came late, but not than anything else.
        if times or not of.is_back:
            times += [e.event_time_us for e in of.told_late if e.event_time_us <= now and e.kind in kinds]
        if op == "since_first":
            return None if of.is_back else min(times, default=NEVER)
        if (of.tiles and now < newest_of(of.tiles[-1])) or (not times and of.is_back):
            return None
        return max(times, default=NEVER)

    def bytes(self) -> int:
        """What all of it is counted with."""
        return sum(cost for _, cost in self._charges())

    def evict(self, newest: int) -> None:
        """Let the oldest bucket go that holds something."""
        if not self.keys:
            raise AssertionError("the budget holds less than nothing")
        oldest = min(time for time, _ in self._charges())
        bucket = max(oldest >> self.shift, (newest >> self.shift) - BUCKETS + 1)
        through = oldest if oldest > newest else min((bucket + 1 << self.shift) - 1, newest)
        self.evicted_through = max(self.evicted_through, through)
        self.dead_through = max(self.dead_through, through)
        self._bury(newest)

    def _bury(self, newest: int) -> None:
        expired = (newest - self.retention_us + 1 >> self.shift << self.shift) - 1
        dead = self.dead_through = max(self.dead_through, expired)
        for of in self.keys.values():
            of.rows = [row for row in of.rows if row.event_time_us > dead]
            of.frauds = [fraud for fraud in of.frauds if fraud.event_time_us > dead]
            of.tiles = [tile for tile in of.tiles if newest_of(tile) > dead]
            of.fraud_tiles = [tile for tile in of.fraud_tiles if newest_of(tile) > dead]
        forgotten = self.evicted_through if self.remembers else dead
        self.keys = {key: of for key, of in self.keys.items() if of.newest > forgotten}

    def _begin(self, key: str, time: int) -> Key:
        of = self.keys.setdefault(key, Key(time, self.evicted_through > NEVER))
        of.newest = max(of.newest, time)
        return of

    def _tell(self, rows: list[T], tiles: list[list[T]], what: T) -> None:
        time = what.event_time_us
        if tiles and time < newest_of(tiles[-1]):
            next(tile for tile in tiles if newest_of(tile) >= time).append(what)
            return
        rows.insert(bisect_right(rows, time, key=lambda row: row.event_time_us), what)
        if len(rows) <= self.bounds.rows_a_key:
            return
        oldest, now = rows[0].event_time_us, rows[-1].event_time_us
        tiles.append([row for row in rows if row.event_time_us == oldest])
        rows[:] = [row for row in rows if row.event_time_us > oldest]
        if len(tiles) > self.bounds.tiles_a_key:

            def closeness(place: int) -> float:
                begins = oldest_of(tiles[place])
                return (newest_of(tiles[place + 1]) - begins) / (now - begins + 1)

            closest = min(range(len(tiles) - 1), key=closeness)
            tiles[closest] += tiles.pop(closest + 1)

    def _charges(self) -> Iterable[tuple[int, int]]:
        costs = self.costs
        for of in self.keys.values():
            yield of.newest, costs.key
            for row in of.rows:
                yield row.event_time_us, costs.row + (costs.blank if self.blanks and row.amount_minor is None else 0)
            yield from ((newest_of(tile), costs.tile) for tile in of.tiles)
            yield from ((fraud.event_time_us, costs.fraud) for fraud in of.frauds)
            yield from ((newest_of(tile), costs.fraud_tile) for tile in of.fraud_tiles)


def within(rows: list[T], tiles: list[list[T]], begin: int, end: int) -> tuple[list[T], bool]:
    """What counts in a window, and whether it begins or ends within a tile."""
    events = [row for row in rows if begin < row.event_time_us <= end]
    events += [event for tile in tiles if begin < newest_of(tile) <= end for event in tile]
    return events, any(oldest_of(tile) <= bound < newest_of(tile) for tile in tiles for bound in (begin, end))


def oldest_of(tile: list[T]) -> int:
    """Its oldest event time."""
    return min(event.event_time_us for event in tile)


def newest_of(tile: list[T]) -> int:
    """Its newest."""
    return max(event.event_time_us for event in tile)
