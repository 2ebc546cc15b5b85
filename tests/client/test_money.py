"""Amounts are exact, by the number of digits of each currency."""

import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudgate.money import DIGITS, minor_units

ROOT = Path(__file__).parents[2]


def test_client_and_engine_know_the_same_currencies() -> None:
    table = (ROOT / "engine/core/src/currency.rs").read_text()
    engine = {code: int(digits) for code, digits in re.findall(r'\(\*b"([A-Z]{3})", (\d)\)', table)}
    assert engine == DIGITS


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("57.16", "EUR", 5716),
        ("57", "JPY", 57),
        ("0.001", "BHD", 1),
        ("1.0000", "UYW", 10_000),
        ("57.1600", "EUR", 5716),
        ("-0.00", "EUR", 0),
        ("1e3", "EUR", 100_000),
        (Decimal("0.1") + Decimal("0.2"), "EUR", 30),
        ("1000000000000.00", "EUR", 10**14),
    ],
)
def test_an_amount_becomes_minor_units(amount: str | Decimal, currency: str, minor: int) -> None:
    assert minor_units(amount, currency) == minor


@given(minor=st.integers(0, 10**14), currency=st.sampled_from(sorted(DIGITS)))
def test_every_amount_survives(minor: int, currency: str) -> None:
    assert minor_units(Decimal(minor).scaleb(-DIGITS[currency]), currency) == minor


@pytest.mark.parametrize("amount", [57.16, 57, True, None])
def test_what_cannot_be_exact_or_clear_is_refused(amount: object) -> None:
    with pytest.raises(TypeError, match=r"give text or Decimal in major units"):
        minor_units(amount, "EUR")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("amount", "currency", "told"),
    [
        ("1.005", "EUR", "finer than the minor unit of EUR, which has 2"),
        ("0.5", "JPY", "finer than the minor unit of JPY, which has 0"),
        ("1e-999999", "EUR", "finer"),
        ("-1", "EUR", "negative"),
        ("NaN", "EUR", "not finite"),
        ("Infinity", "EUR", "not finite"),
        ("1000000000000.01", "EUR", "over"),
        ("1e999999", "EUR", "over"),
        ("1,50", "EUR", "not a decimal number"),
        ("1", "eur", "ISO 4217"),
        ("1", "XXX", "ISO 4217"),
    ],
)
def test_a_wrong_amount_is_refused_without_being_repeated(amount: str, currency: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as raised:
        minor_units(amount, currency)
    assert amount not in str(raised.value) or len(amount) < 3
