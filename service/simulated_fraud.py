"""The frauds of a simulated world: one function a scenario. Rates are a customer's or a terminal's, a day.

1  compromised terminal   for one to four weeks most of what is paid there is paid with copied cards; amounts stay usual
2  stolen card            for one to three days four to twelve payments far and wide, for two to five times as much
3  account takeover       by night three to eight tests of small amounts online within minutes, then the large ones
"""

from typing import Final

import numpy as np

from service.simulated_world import DAY_US, FAVOURITES, HOUR_US, Rows, World, join

SCENARIOS: Final = ("genuine", "compromised_terminal", "stolen_card", "account_takeover")

COMPROMISES_A_DAY: Final = 2.5e-4
COPIED_SHARE: Final = 0.6
THEFTS_A_DAY: Final = 5e-4
TAKEOVERS_A_DAY: Final = 3e-4
MINUTE_US: Final = 60_000_000


def compromised_terminals(world: World, rows: Rows, days: int, draw: np.random.Generator) -> Rows:
    """Some of the rows become frauds where they were paid."""
    n = draw.poisson(world.online_from * days * COMPROMISES_A_DAY)
    terminal, first = draw.integers(0, world.online_from, n), draw.integers(0, days, n)
    last = first + draw.integers(7, 29, n)
    copied = draw.random(len(rows.terminal)) < COPIED_SHARE
    # By terminal, so that each compromise meets its own rows alone.
    order = np.argsort(rows.terminal, kind="stable")
    begins, ends = (np.searchsorted(rows.terminal[order], terminal, side=side) for side in ("left", "right"))
    scenario = rows.scenario.copy()
    for begin, end, since, until in zip(begins, ends, first * DAY_US, last * DAY_US, strict=True):
        there = order[begin:end]
        hit = copied[there] & (rows.local_us[there] >= since) & (rows.local_us[there] < until)
        scenario[there[hit]] = 1
    return rows._replace(scenario=scenario)


def stolen_cards(world: World, days: int, draw: np.random.Generator) -> Rows:
    """Further rows: a card spent quickly, anywhere."""
    customers = len(world.purse)
    n = draw.poisson(customers * days * THEFTS_A_DAY)
    theft = np.repeat(np.arange(n), draw.integers(4, 13, n))
    customer = draw.integers(0, customers, n)[theft]
    start, length = draw.integers(0, days * DAY_US, n), draw.integers(1, 4, n) * DAY_US
    moment = start[theft] + (draw.random(len(theft)) * length[theft]).astype(np.int64)
    amount = np.exp(world.purse[customer] + draw.normal(0, 0.5, len(theft))) * draw.uniform(2, 5, len(theft))
    return Rows.of(customer, draw.integers(0, world.terminals, len(theft)), moment, amount, 2)


def account_takeovers(world: World, days: int, draw: np.random.Generator) -> Rows:
    """Further rows: tests, then what they were for, at web shops that the ring of fraudsters prefers."""
    customers = len(world.purse)
    n = draw.poisson(customers * days * TAKEOVERS_A_DAY)
    ring = draw.integers(world.online_from, world.terminals, (n, FAVOURITES))
    victim = draw.integers(0, customers, n)
    start = draw.integers(0, days, n) * DAY_US + (draw.normal(3, 2, n) % 24 * HOUR_US).astype(np.int64)

    test = np.repeat(np.arange(n), draw.integers(3, 9, n))
    tests = Rows.of(
        victim[test],
        ring[test, draw.integers(0, FAVOURITES, len(test))],
        start[test] + draw.integers(0, 10 * MINUTE_US, len(test)),
        draw.uniform(50, 500, len(test)),
        3,
    )
    large = np.repeat(np.arange(n), draw.integers(1, 5, n))
    spent = Rows.of(
        victim[large],
        ring[large, draw.integers(0, FAVOURITES, len(large))],
        start[large] + draw.integers(10 * MINUTE_US, 70 * MINUTE_US, len(large)),
        np.exp(world.purse[victim[large]] + draw.normal(0, 0.4, len(large))) * draw.uniform(4, 10, len(large)),
        3,
    )
    return join([tests, spent])
