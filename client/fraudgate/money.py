"""Money as text or Decimal in major units in, minor units out: exact by ISO 4217, never through a float."""

from decimal import Decimal, InvalidOperation

# The largest amount, in minor units, that a scorer takes.
MAX_AMOUNT_MINOR = 10**14

# ISO 4217:2015, list one, by the number of decimal digits of the minor unit; codes that carry no money are left out.
_CODES_BY_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """
        AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF
        CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG
        HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR
        MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD
        SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD
        XCG YER ZAR ZMW ZWG
    """,
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

DIGITS = {code: digits for digits, codes in _CODES_BY_DIGITS.items() for code in codes.split()}
"""Decimal digits of the minor unit by ISO 4217 alphabetic code."""


def minor_units(amount: str | Decimal, currency: str) -> int:
    """The amount in minor units of its currency: minor_units("57.16", "EUR") is 5716, minor_units("57", "JPY") is 57.

    Raises TypeError for a float (it cannot hold cents) and an int (major or minor is unclear), ValueError when the
    currency is not in ISO 4217, or the amount is negative, too large, no number, or finer than the minor unit.
    """
    if not isinstance(amount, str | Decimal):
        raise TypeError(
            f"amount is {type(amount).__name__}: give text or Decimal in major units, such as '57.16'; "
            "a float cannot hold cents exactly"
        )
    if currency not in DIGITS:
        raise ValueError("currency is not an ISO 4217 alphabetic code in capitals, such as 'EUR'")
    digits = DIGITS[currency]
    try:
        exact = Decimal(amount)
    except InvalidOperation:
        raise ValueError("amount is not a decimal number in major units, such as '57.16'") from None
    if not exact.is_finite() or (exact.is_signed() and exact != 0):
        raise ValueError("amount is negative or not finite: the kind of transaction says which way money moves")
    # Compared before scaling, so that an exponent such as 1e999999 costs nothing.
    if exact > Decimal(MAX_AMOUNT_MINOR).scaleb(-digits):
        raise ValueError(f"amount is over {MAX_AMOUNT_MINOR} minor units")
    numerator, denominator = _ratio(exact, digits)
    if numerator % denominator:
        raise ValueError(f"amount is finer than the minor unit of {currency}, which has {digits} decimal digits")
    return numerator // denominator


def _ratio(exact: Decimal, digits: int) -> tuple[int, int]:
    """`exact` * 10^digits as a fraction of whole numbers, whatever the decimal context's precision is."""
    if exact == 0:
        return 0, 1
    if exact < Decimal(1).scaleb(-digits):
        return 1, 2  # Smaller than any minor unit, and not nothing: 1e-999999 costs nothing either.
    numerator, denominator = exact.as_integer_ratio()
    return numerator * 10**digits, denominator
