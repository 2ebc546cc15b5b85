"""The honest part of a simulated world: who lives where, and what they pay.

Customers live somewhere in a square of 100 km, in one of three time zones, and pay mostly nearby, by their own rhythm
and purse. They also travel, shop in sprees and buy dear things now and then, so that the unusual is not yet fraud.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

DAY_US: Final = 86_400_000_000
HOUR_US: Final = 3_600_000_000
SIDE_KM: Final = 100.0
ONLINE_SHARE: Final = 0.2
ATM_SHARE: Final = 0.05
NEARBY: Final = 24
FAVOURITES: Final = 8
# How busy the days are, Monday first.
WEEKDAY: Final = np.array([0.95, 0.95, 0.95, 1.0, 1.05, 1.2, 0.9])


class World(NamedTuple):
    """Customers and terminals. Terminals are numbered: first shops, then ATMs, then those online."""

    atms_from: int
    online_from: int
    terminals: int
    utc_offset_minutes: Ints
    payments_a_day: Floats
    purse: Floats
    """The logarithm of a customer's usual amount in minor units."""
    hour: Floats
    """The local hour around which a customer pays."""
    online: Floats
    """The share of a customer's payments that is online."""
    nearby: Ints
    """[customers, NEARBY], the nearest first."""
    favourites: Ints
    """[customers, FAVOURITES], online."""
    terrain: KDTree
    """Shops and ATMs by place, kilometres."""


class Rows(NamedTuple):
    """Transactions in no order, a column each."""

    customer: Ints
    terminal: Ints
    local_us: Ints
    """Microseconds of the customer's local time since the world began."""
    amount: Floats
    """Minor units, before rounding."""
    scenario: npt.NDArray[np.int8]
    """0 where it is genuine."""

    @staticmethod
    def of(customer: Ints, terminal: Ints, local_us: Ints, amount: Floats, scenario: int = 0) -> "Rows":
        """Rows of one scenario."""
        return Rows(customer, terminal, local_us, amount, np.full(len(customer), scenario, np.int8))


def join(parts: list[Rows]) -> Rows:
    """All rows of all parts."""
    return Rows(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def settle(customers: int, terminals: int, draw: np.random.Generator) -> World:
    """A world of that many, from one stream of random numbers."""
    online_from = terminals - max(FAVOURITES, int(terminals * ONLINE_SHARE))
    terrain = KDTree(draw.uniform(0, SIDE_KM, (online_from, 2)))
    home = draw.uniform(0, SIDE_KM, (customers, 2))
    # A few web shops have most of the trade.
    popular = draw.random((customers, FAVOURITES)) ** 2.5
    return World(
        atms_from=online_from - int(terminals * ATM_SHARE),
        online_from=online_from,
        terminals=terminals,
        utc_offset_minutes=60 * np.floor(home[:, 0] * 3 / SIDE_KM).astype(np.int64),
        payments_a_day=draw.gamma(2.0, 0.9, customers),
        purse=np.log(2_500) + draw.normal(0, 0.6, customers),
        hour=draw.normal(14.5, 2.5, customers),
        online=draw.beta(2, 5, customers),
        nearby=terrain.query(home, k=NEARBY)[1],
        favourites=online_from + (popular * (terminals - online_from)).astype(np.int64),
        terrain=terrain,
    )


def everyday(world: World, days: int, first_weekday: int, draw: np.random.Generator) -> Rows:
    """What customers pay at home and on journeys; now and then a dear thing, now and then a bus ride."""
    weekday = (first_weekday + np.arange(days)) % 7
    counts = draw.poisson(world.payments_a_day[:, None] * WEEKDAY[weekday])
    customer, day = np.nonzero(counts)
    times = counts[customer, day]
    customer, day = np.repeat(customer, times), np.repeat(day, times)
    n = len(customer)
    journey, around = _journeys(world, days, draw)
    away = journey[customer, day]

    # Of those nearby, the nearest most of all.
    choice = (draw.random(n) ** 2 * NEARBY).astype(np.int64)
    terminal = np.where(away < 0, world.nearby[customer, choice], around[away, choice])
    online = draw.random(n) < world.online[customer]
    terminal = np.where(online, world.favourites[customer, draw.integers(0, FAVOURITES, n)], terminal)

    amount = np.exp(world.purse[customer] + draw.normal(0, 0.5, n)) * np.where(away < 0, 1.0, 1.5)
    which = draw.random(n)
    amount = np.where(which < 0.012, amount * draw.uniform(4, 12, n), amount)
    amount = np.where(which > 0.97, draw.uniform(80, 400, n), amount)
    hour = draw.normal(world.hour[customer], 3.2) % 24
    return Rows.of(customer, terminal, day * DAY_US + (hour * HOUR_US).astype(np.int64), amount)


def sprees(world: World, days: int, draw: np.random.Generator) -> Rows:
    """Three to eight purchases within two hours, by customers themselves: velocity that is no fraud."""
    customers = len(world.purse)
    n = draw.poisson(customers * days / 150)
    spree = np.repeat(np.arange(n), draw.integers(3, 9, n))
    customer = draw.integers(0, customers, n)[spree]
    start = draw.integers(0, days, n) * DAY_US + (draw.uniform(9, 20, n) * HOUR_US).astype(np.int64)
    terminal = world.nearby[customer, draw.integers(0, NEARBY, len(spree))]
    amount = np.exp(world.purse[customer] + draw.normal(0.3, 0.6, len(spree)))
    return Rows.of(customer, terminal, start[spree] + draw.integers(0, 2 * HOUR_US, len(spree)), amount)


def _journeys(world: World, days: int, draw: np.random.Generator) -> tuple[npt.NDArray[np.int32], Ints]:
    """For each customer and day the number of the journey that they are on, or -1; and where one pays on each."""
    customers = len(world.purse)
    n = max(1, draw.poisson(customers * days / 60))
    customer, first, length = draw.integers(0, customers, n), draw.integers(0, days, n), draw.integers(2, 7, n)
    journey = np.full((customers, days), -1, np.int32)
    for day in range(int(length.max())):
        there = (day < length) & (first + day < days)
        journey[customer[there], first[there] + day] = np.flatnonzero(there)
    around: Ints = world.terrain.query(draw.uniform(0, SIDE_KM, (n, 2)), k=NEARBY)[1]
    return journey, around
