"""Files of PEM that are replaced while a process runs: what belongs together is taken over, once, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from service import certificates
from service.pems import LOOK_S, Pems


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_is_renewed_is_taken_over_once_and_what_does_not_belong_together_is_not(tmp_path: Path) -> None:
    folder = certificates.make(tmp_path, clients=["one.example", "two.example"])
    mine, other, clock = folder.client("one.example"), folder.client("two.example"), Clock()
    pems = Pems(mine.certificate, mine.key, folder.ca.certificate, clock)

    def looked_at() -> bool:
        clock.now += LOOK_S
        return pems.have_changed()

    before = pems.content
    assert not looked_at()
    mine.certificate.write_bytes(other.certificate.read_bytes())
    # Not so soon.
    assert not pems.have_changed()
    # The key is still the old one; then it is gone for a moment.
    assert not looked_at()
    mine.key.unlink()
    assert not looked_at()
    assert pems.content == before
    mine.key.write_bytes(other.key.read_bytes())
    assert looked_at()
    assert not looked_at()
    assert (pems.content.certificate, pems.content.key) == (other.certificate.read_bytes(), other.key.read_bytes())
    # Back to what was there: that is a change as well.
    mine.certificate.write_bytes(before.certificate)
    mine.key.write_bytes(before.key)
    assert looked_at()
    folder.ca.certificate.write_bytes(b"no certificate")
    assert not looked_at()
    assert pems.content == before


def test_files_that_are_not_there_at_the_start_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        Pems(tmp_path / "nowhere.pem", tmp_path / "nowhere.key", tmp_path / "ca.pem")
