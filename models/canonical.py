"""One spelling for a JSON value, so that its SHA-256 names it."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> bytes:
    """ASCII, keys sorted, no spaces, shortest floats that round-trip, one newline at the end.

    Raises ValueError for NaN and infinities, which JSON cannot say.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.encode("ascii") + b"\n"


def sha256(content: bytes) -> str:
    """64 lower-case hex digits."""
    return hashlib.sha256(content).hexdigest()
