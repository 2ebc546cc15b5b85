"""A table made ready gives the bits of `Table.at`, whatever the table and wherever the row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.table import MAX_KNOTS, Table
from service.cloud.ready import Ready


def rising(draw: np.random.Generator, knots: int, spread: float) -> tuple[float, ...]:
    """Strictly increasing, the denser in places the larger `spread` is."""
    steps = np.exp(draw.normal(size=knots) * spread)
    return tuple((np.cumsum(steps) - draw.uniform(0, steps.sum())).tolist())


@given(st.integers(0, 1 << 32), st.integers(2, MAX_KNOTS), st.sampled_from([0.0, 0.5, 2.0, 6.0]))
@settings(max_examples=150, deadline=None)
def test_it_gives_the_same_bits_on_knots_beside_them_between_and_beyond(seed: int, knots: int, spread: float) -> None:
    draw = np.random.default_rng(seed)
    x, y = rising(draw, knots, spread), rising(draw, knots, 0.5)
    if np.any(np.diff(x) <= 0):
        return  # so dense that two are one
    table = Table(x, y)
    at = np.array(x)
    rows = np.concatenate(
        [
            at,
            np.nextafter(at, -np.inf),
            np.nextafter(at, np.inf),
            draw.uniform(at[0] - 1, at[-1] + 1, 2_000),
            draw.uniform(at[0], at[-1], 2_000).astype(np.float32).astype(np.float64),
            at[0] + (at[-1] - at[0]) * np.arange(1 << 10) / (1 << 10),
        ]
    )
    found, expected = Ready(table).at(rows), table.at(rows)
    assert found.tobytes() == np.asarray(expected).tobytes()


@pytest.mark.parametrize("knots", [2, 3, MAX_KNOTS])
def test_rows_are_left_as_they_were(knots: int) -> None:
    table = Table(tuple(np.linspace(-5, 5, knots).tolist()), tuple(np.linspace(0, 1, knots).tolist()))
    rows = np.linspace(-6, 6, 1_000)
    before = rows.copy()
    Ready(table).at(rows)
    assert np.array_equal(rows, before)
