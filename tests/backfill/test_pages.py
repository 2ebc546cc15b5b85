"""Large pages: none while a job runs, and as they were after it."""

from __future__ import annotations

import ctypes
import sys

import pytest

import engine

_PR_GET_THP_DISABLE = 42


def _are_disabled() -> bool:
    return bool(ctypes.CDLL(None).prctl(_PR_GET_THP_DISABLE, 0, 0, 0, 0))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be told")
def test_a_process_gets_no_large_pages_until_the_last_that_asked_is_through() -> None:
    before = _are_disabled()
    with pytest.raises(ValueError, match="on the way"), engine.SmallPages():
        assert _are_disabled()
        with engine.SmallPages():
            assert _are_disabled()
        assert _are_disabled()
        raise ValueError("on the way")
    assert _are_disabled() == before
