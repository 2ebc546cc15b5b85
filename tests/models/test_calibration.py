"""The tables against exact fractions and brute force; LightGBM is not needed here."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.calibrate import CalibrationError, probability_table, risk_table
from models.table import Table

LOWEST, HIGHEST = -16.0, 16.0
# The leaf grid of a forest whose scores reach 16: what a score can be.
STEP = 2.0**-19


def on_grid(log_odds: np.ndarray) -> np.ndarray:
    return np.round(log_odds / STEP) * STEP


def exact(table: Table, x: float) -> Fraction:
    for x0, x1, y0, y1 in zip(table.log_odds, table.log_odds[1:], table.value, table.value[1:], strict=False):
        if x0 <= x <= x1:
            part = (Fraction(x) - Fraction(x0)) / (Fraction(x1) - Fraction(x0))
            return Fraction(y0) + (Fraction(y1) - Fraction(y0)) * part
    raise AssertionError(f"{x} is outside the table")


def drawn(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and labels whose log-odds is half the score minus one."""
    random = np.random.default_rng(seed)
    scores = on_grid(random.normal(-4.0, 2.5, n).clip(-15.0, 15.0))
    return scores, random.random(n) < 1.0 / (1.0 + np.exp(1.0 - scores / 2.0))


scores_of_a_model = st.integers(int(LOWEST / STEP), int(HIGHEST / STEP) - 1).map(lambda i: i * STEP)


@pytest.fixture(scope="module", params=["probability", "risk"])
def table(request: pytest.FixtureRequest) -> Table:
    scores, fraud = drawn(0, 20_000)
    if request.param == "probability":
        return probability_table(scores, fraud, LOWEST, HIGHEST)
    return risk_table(scores, LOWEST, HIGHEST)


@settings(max_examples=500)
@given(x=scores_of_a_model)
def test_a_table_agrees_with_exact_fractions(table: Table, x: float) -> None:
    largest = table.value[-1]
    assert abs(Fraction(float(table.at(np.float64(x)))) - exact(table, x)) <= Fraction(4 * largest * 2.0**-53)


@settings(max_examples=500)
@given(x=scores_of_a_model)
def test_the_next_higher_score_gets_a_higher_value(table: Table, x: float) -> None:
    lower, higher = table.at(np.array([x, x + STEP]))
    assert lower < higher


def test_a_table_rises_across_each_of_its_knots(table: Table) -> None:
    around = np.array(
        [[np.floor(knot / STEP) * STEP, np.floor(knot / STEP) * STEP + STEP] for knot in table.log_odds[1:-1]]
    )
    assert np.all(table.at(around[:, 0]) < table.at(around[:, 1]))


def test_a_table_gives_its_knots_exactly_and_holds_beyond_its_ends(table: Table) -> None:
    assert table.at(np.array(table.log_odds)).tolist() == list(table.value)
    assert table.at(np.array([-1e9, 1e9])).tolist() == [table.value[0], table.value[-1]]
    assert (table.log_odds[0], table.log_odds[-1]) == (LOWEST, HIGHEST)
    assert len(table.log_odds) <= 512


@pytest.mark.parametrize(
    ("log_odds", "value"),
    [((0.0,), (1.0,)), ((0.0, 0.0), (0.1, 0.2)), ((0.0, 1.0), (0.2, 0.2)), ((0.0, np.inf), (0.1, 0.2))],
)
def test_a_table_that_does_not_rise_is_refused(log_odds: tuple[float, ...], value: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"a table has|strictly increasing"):
        Table(log_odds, value)


def test_the_probability_is_the_share_of_frauds() -> None:
    scores, fraud = drawn(1, 200_000)
    fresh, _ = drawn(2, 50_000)
    probability = probability_table(scores, fraud, LOWEST, HIGHEST)
    true = 1.0 / (1.0 + np.exp(1.0 - fresh / 2.0))
    assert np.abs(probability.at(fresh) - true).mean() < 0.005
    # Isotonic regression keeps the mean; anchors and straightening may move it by 32 rows in 200,000.
    assert abs(probability.at(scores).mean() - fraud.mean()) < 32 / 200_000 + 1e-3


def test_probabilities_stay_between_zero_and_one_where_no_row_fell() -> None:
    scores, fraud = drawn(3, 5_000)
    probability = probability_table(scores, fraud, -1000.0, 1000.0)
    assert 0.0 < probability.value[0] < 1e-6
    assert 1.0 - 1e-6 < probability.value[-1] < 1.0


def test_the_risk_is_twenty_points_a_tenfold_rarity() -> None:
    scores = np.unique(on_grid(np.random.default_rng(4).normal(0.0, 1.0, 1200)))
    risk = risk_table(scores, LOWEST, HIGHEST)
    counted = [20.0 * np.log10((len(scores) + 1) / np.sum(scores >= score)) for score in scores]
    # Between knots the table is a line: a 512th of the range in value off, and a millionth for its strict rise.
    assert np.abs(risk.at(scores) - counted).max() < 100.0 / 512 + 1e-3


@pytest.mark.parametrize("n", [1_000, 500_000])
def test_the_risk_beyond_the_reference_goes_on_rising_up_to_a_hundred(n: int) -> None:
    scores = on_grid(np.random.default_rng(5).exponential(1.0, n).clip(max=15.0))
    risk = risk_table(scores, LOWEST, HIGHEST)
    assert risk.value[-1] <= 100.0
    # An exponential tail is a straight line: 20 log10(e) points a unit of score, as far as the reference reaches.
    top = float(scores.max())
    assert risk.at(np.float64(min(top, 11.0))) == pytest.approx(20 * np.log10(np.e) * min(top, 11.0), rel=0.15)


@pytest.mark.parametrize(
    ("scores", "fraud", "said"),
    [
        ([0.0, 1.0], [False, False], "frauds and genuine"),
        ([0.0, 1.0], [True, True], "frauds and genuine"),
        ([0.0, 17.0], [False, True], "outside"),
        ([0.0, np.nan], [False, True], "outside"),
        ([1.0, 0.0, 0.9, 0.1], [False, True, False, True], "does not rise"),
    ],
)
def test_rows_that_cannot_carry_a_probability_are_refused(scores: list[float], fraud: list[bool], said: str) -> None:
    with pytest.raises(CalibrationError, match=said):
        probability_table(np.array(scores), np.array(fraud), LOWEST, HIGHEST)


@pytest.mark.parametrize(
    ("scores", "said"),
    [(np.zeros(999), "at least 1000"), (np.zeros(1000), "equal"), (np.full(1000, 17.0), "outside")],
)
def test_rows_that_cannot_carry_a_risk_are_refused(scores: np.ndarray, said: str) -> None:
    with pytest.raises(CalibrationError, match=said):
        risk_table(scores, LOWEST, HIGHEST)
