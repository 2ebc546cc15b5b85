"""Names that no plan may declare: card verification values, PINs and track data.

PCI DSS v4.0.1 requirement 3.3: sensitive authentication data is not kept after authorisation. The result of checking it
may be. The same rule stands in `engine/core/src/plan/attributes.rs`; a test holds the two together.
"""

from typing import Final

RESULT_WORDS: Final = frozenset(
    {"result", "response", "match", "matched", "verified", "present", "presence", "tries", "attempts"}
)
"""Last words of names for the outcome of a check."""

SENSITIVE_WORDS: Final = frozenset(
    {"cav", "cid", "csc", "cvc", "cvn", "cvv", "icvv", "dcvv", "pin", "pins", "pvv", "track", "tracks"}
)
"""Words that make a name sensitive, without trailing digits."""

SENSITIVE_PARTS: Final = (
    "cardpin",
    "cardsecuritycode",
    "cardsecurityvalue",
    "cardverificationcode",
    "cardverificationnumber",
    "cardverificationvalue",
    "cvccode",
    "cvcvalue",
    "cvvcode",
    "cvvvalue",
    "cardcvc",
    "cardcvv",
    "encryptedpin",
    "magneticstripe",
    "magstripedata",
    "pinblock",
    "pincode",
    "pinnumber",
    "pinoffset",
    "securitycode",
    "trackdata",
    "tracktwo",
)
"""Runs of letters that make a name sensitive wherever they stand, underscores and digits left out."""


def is_sensitive(name: str) -> bool:
    """Whether a name is one for sensitive authentication data."""
    words = [word.rstrip("0123456789") for word in name.split("_")]
    if words[-1] in RESULT_WORDS:
        return False
    letters = "".join(letter for letter in name if letter.isascii() and letter.isalpha())
    return any(word in SENSITIVE_WORDS for word in words) or any(part in letters for part in SENSITIVE_PARTS)
