"""The declaration of a program's features, and the plan that the engine reads.

A plan is declared once, by names; compiling it resolves names to slots and times to microseconds, and gives canonical
JSON. Its SHA-256 is the plan's identity everywhere: in answers, in models, in training sets.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from features.feature import NO_TIME, Feature, PlanError, microseconds
from features.refused import is_sensitive

CLASSES: Final = (
    "third_party_fraud",
    "first_party_fraud",
    "manipulated_payer",
    "dispute_without_fraud",
    "genuine",
)
"""The classes of label, as protos/fraudgate/v1/feedback.proto defines them."""

FRAUD: Final = ("third_party_fraud", "first_party_fraud", "manipulated_payer")
"""Classes that count as fraud unless a plan says otherwise."""

MAX_FEATURES: Final = 256
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_FEATURE_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")


@dataclass(frozen=True)
class CompiledPlan:
    """A plan as the engine reads it."""

    json: bytes
    """Canonical JSON."""
    features: tuple[str, ...]
    """Names of the features, in the order of a row."""

    @property
    def digest(self) -> str:
        """SHA-256 of `json`, 64 hex digits."""
        return hashlib.sha256(self.json).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A program's features.

    currency: ISO 4217 code of the reference currency, the only one that windows sum.
    entities, numbers, texts: names of what transactions carry, at most 8, 32 and 16; see protos/VOCABULARY.md.
    fraud: classes of label that count as fraud.
    lateness: how late a transaction may come and still be folded; by default as far as the longest feature reaches.
    """

    name: str
    currency: str
    entities: Sequence[str]
    features: Sequence[Feature]
    numbers: Sequence[str] = ()
    texts: Sequence[str] = ()
    fraud: Sequence[str] = FRAUD
    lateness: timedelta | None = None

    def compile(self) -> CompiledPlan:
        """The plan as the engine reads it. Raises PlanError for a plan that cannot be."""
        if not _NAME.fullmatch(self.name):
            raise PlanError(f"name {self.name!r} must be {_NAME_RULE}")
        if not re.fullmatch(r"[A-Z]{3}", self.currency):
            raise PlanError(f"currency {self.currency!r} must be an ISO 4217 alphabetic code such as 'EUR'")
        _check_names("entities", self.entities, 8)
        _check_names("numbers", self.numbers, 32)
        _check_names("texts", self.texts, 16)
        if both := set(self.numbers) & set(self.texts):
            raise PlanError(f"{min(both)!r} is declared as a number and as a text")
        for label in self.fraud:
            if label not in CLASSES:
                raise PlanError(f"fraud: {label!r} is no class of label: {', '.join(CLASSES)}")
        if not 1 <= len(self.features) <= MAX_FEATURES:
            raise PlanError(f"{len(self.features)} features; a plan declares 1 to {MAX_FEATURES}")
        names = tuple(feature.name for feature in self.features)
        for name in names:
            if not _FEATURE_NAME.fullmatch(name):
                raise PlanError(f"feature {name!r}: a name is 1 to 128 letters, digits, '_', '-' or '.'")
            if names.count(name) > 1:
                raise PlanError(f"feature {name!r} is declared twice")
        features = [{"name": f.name, "op": f.op} | f.members(self) for f in self.features]
        lateness = max(feature.reach() for feature in self.features) if self.lateness is None else self.lateness
        compiled = {
            "format": 1,
            "name": self.name,
            "currency": self.currency,
            "entities": list(self.entities),
            "numbers": list(self.numbers),
            "texts": list(self.texts),
            "fraud": [label for label in CLASSES if label in self.fraud],
            "lateness_us": microseconds("lateness", lateness, NO_TIME),
            "features": features,
        }
        text = json.dumps(compiled, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
        return CompiledPlan(text.encode("ascii"), names)


_NAME_RULE: Final = "a lower-case letter, then lower-case letters, digits or '_', at most 64 in all"


def _check_names(member: str, names: Sequence[str], most: int) -> None:
    if isinstance(names, str):
        raise PlanError(f"{member} must be a list of names")
    if len(names) > most:
        raise PlanError(f"{member}: {len(names)} names; a plan declares at most {most}")
    for name in names:
        if not _NAME.fullmatch(name):
            raise PlanError(f"{member}: {name!r} must be {_NAME_RULE}")
        if is_sensitive(name):
            raise PlanError(
                f"{member}: {name!r} names a card verification value, a PIN or track data; "
                "these must not be kept (PCI DSS 3.3)"
            )
        if list(names).count(name) > 1:
            raise PlanError(f"{member}: {name!r} is declared twice")
