"""Certificates that are renewed while a PoP asks the cloud at once: they are shown without a restart."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from service import certificates
from tests.cloud.asking import Shown, asking, score
from tests.scorer import Scorer


def test_a_certificate_that_is_renewed_is_shown_without_a_restart_and_one_that_is_half_written_changes_nothing(
    tmp_path: Path,
) -> None:
    def until_told(scorer: Scorer, told: bool, numbers: Iterator[int]) -> None:
        deadline = time.monotonic() + 90
        while score(scorer, next(numbers)).HasField("rescored") != told:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    # The cloud knows the name in the certificate that comes, not that in the one which is there.
    with asking(tmp_path, allow=("dns:scoring.example",)) as (scorer, cloud):
        numbers, shown, new = iter(range(100_000)), Shown(tmp_path), cloud.folder.client("scoring.example")
        assert not any(score(scorer, next(numbers)).HasField("rescored") for _ in range(60))
        assert scorer.server.stats()["hybrid_failed"] == 3
        shown.certificate.write_bytes(new.certificate.read_bytes())
        until_counted(scorer, numbers, "hybrid_certificates_unusable", 1)
        assert scorer.server.stats()["hybrid_certificates_renewed"] == 0
        shown.key.write_bytes(new.key.read_bytes())
        until_told(scorer, True, numbers)
        stats = scorer.server.stats()
        assert (stats["hybrid_certificates_renewed"], stats["hybrid_certificates_unusable"]) == (1, 0)

        # Another authority: the cloud of before is not trusted any more, though the connection to it stands.
        other = certificates.make(tmp_path / "other", clients=["scoring.example"])
        shown.write(other, "scoring.example")
        until_told(scorer, False, numbers)
        cloud.stop()
        cloud.folder = other
        cloud.start()
        until_told(scorer, True, numbers)


def until_counted(scorer: Scorer, numbers: Iterator[int], name: str, value: int) -> None:
    """Asks until it is."""
    deadline = time.monotonic() + 90
    while scorer.server.stats()[name] != value:
        score(scorer, next(numbers))
        assert time.monotonic() < deadline
        time.sleep(0.05)
