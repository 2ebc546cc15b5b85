"""The Handbook's 15 features in Python, as fast as Python makes them: no numpy, which is slower for one row.

A key's history is a sorted array of times beside an array of running sums, so that a window is two bisections (done in
C) and a subtraction; arrays, because a list's numbers lie scattered over memory. Transactions may come a little out of
order; old ones are cut off now and then, not each time.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right, insort
from itertools import accumulate

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
WEEK_US = 7 * DAY_US
MONTH_US = 30 * DAY_US
DELAY_US = 7 * DAY_US
# 1970-01-01 was a Thursday, 3 days after a Monday.
THURSDAY = 3

# That many transactions past their use are cut off together.
CUT = 64


class _Customer:
    __slots__ = ("sums", "times")

    def __init__(self) -> None:
        self.times = array("q")
        self.sums = array("q", [0])


class _Terminal:
    __slots__ = ("frauds", "times")

    def __init__(self) -> None:
        self.times = array("q")
        self.frauds: list[int] = []


class History:
    """The windows' state."""

    def __init__(self) -> None:
        self._customers: dict[str, _Customer] = {}
        self._terminals: dict[str, _Terminal] = {}

    def label_fraud(self, terminal: str, time: int) -> None:
        """A fraud at a terminal at an event time in microseconds. To be told before a week has passed since."""
        insort(self._terminal(terminal).frauds, time)

    def see(self, customer: str, terminal: str, time: int, amount_minor: int) -> list[float]:
        """The features in the plan's order, once this transaction is folded in. time: its event time, microseconds."""
        days = time // DAY_US
        return [
            amount_minor / 100,
            float((days + THURSDAY) % 7 >= 5),
            float((time - days * DAY_US) // HOUR_US <= 6),
            *self._see_customer(customer, time, amount_minor),
            *self._see_terminal(terminal, time),
        ]

    def _see_customer(self, key: str, time: int, amount_minor: int) -> tuple[float, ...]:
        customer = self._customers.get(key)
        if customer is None:
            customer = self._customers[key] = _Customer()
        times, sums = customer.times, customer.sums
        if not times or time >= times[-1]:
            times.append(time)
            sums.append(sums[-1] + amount_minor)
            end = len(times)
        else:
            end = bisect_right(times, time) + 1
            times.insert(end - 1, time)
            amounts = [
                amount_minor,
                *(after - before for before, after in zip(sums[end - 1 :], sums[end:], strict=False)),
            ]
            sums[end - 1 :] = array("q", accumulate(amounts, initial=sums[end - 1]))
        month = bisect_right(times, time - MONTH_US, 0, end)
        week = bisect_right(times, time - WEEK_US, month, end)
        day = bisect_right(times, time - DAY_US, week, end)
        total = sums[end]
        in_day, in_week, in_month = end - day, end - week, end - month
        seen = (
            in_day,
            (total - sums[day]) / (100 * in_day),
            in_week,
            (total - sums[week]) / (100 * in_week),
            in_month,
            (total - sums[month]) / (100 * in_month),
        )
        if month > CUT:
            del times[:month], sums[:month]
        return seen

    def _see_terminal(self, key: str, time: int) -> tuple[float, ...]:
        terminal = self._terminal(key)
        times, frauds = terminal.times, terminal.frauds
        known = time - DELAY_US
        end = bisect_right(times, known)
        month = bisect_right(times, known - MONTH_US, 0, end)
        week = bisect_right(times, known - WEEK_US, month, end)
        day = bisect_right(times, known - DAY_US, week, end)
        in_day, in_week, in_month = end - day, end - week, end - month
        if not times or time >= times[-1]:
            times.append(time)
        else:
            insort(times, time)
        if month > CUT:
            del times[:month]
        if not frauds:
            return (in_day, 0.0, in_week, 0.0, in_month, 0.0)
        known_frauds = bisect_right(frauds, known)
        month_frauds = known_frauds - bisect_right(frauds, known - MONTH_US)
        if not month_frauds:
            if known_frauds > CUT:
                del frauds[:known_frauds]
            return (in_day, 0.0, in_week, 0.0, in_month, 0.0)
        week_frauds = known_frauds - bisect_right(frauds, known - WEEK_US)
        day_frauds = known_frauds - bisect_right(frauds, known - DAY_US)
        return (
            in_day,
            day_frauds / in_day if in_day else 0.0,
            in_week,
            week_frauds / in_week if in_week else 0.0,
            in_month,
            month_frauds / in_month,
        )

    def _terminal(self, key: str) -> _Terminal:
        terminal = self._terminals.get(key)
        if terminal is None:
            terminal = self._terminals[key] = _Terminal()
        return terminal
