"""A disk that is really full: receipts say what holds, what waits is written when there is room again."""

from __future__ import annotations

import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fraudgate.v1 import decision_pb2
from tests.crash.killed import score_all
from tests.crash.served import channel, process, recovered
from tests.server.test_journal import purchase

ROOM = 3 << 20
SEGMENT = 1 << 18
HELD = ("WRITTEN", "MEMORY", "NOT_TAKEN")
DRAIN = 50
"""Transactions that are sent together."""

Full = tuple[Callable[[], None] | None, Callable[[int], None]]
"""What a process does before it begins, and what makes room for it, whose id it is given."""


@contextmanager
def small_disk(folder: Path) -> Iterator[Full]:
    """A file system of its own with little room, most of which a ballast takes.

    Where nobody may mount one, a limit on the size of files, which the kernel answers with EFBIG.
    """
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM},mode=700", "tmpfs", str(folder)]
    if shutil.which("mount") and subprocess.run(mount, capture_output=True, check=False).returncode == 0:
        ballast = folder / "ballast"
        ballast.write_bytes(bytes(ROOM - 5 * SEGMENT))
        try:
            yield None, lambda _: ballast.unlink()
        finally:
            subprocess.run(["umount", str(folder)], check=True)
        return
    least, most = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit() -> None:
        # Python ignores SIGXFSZ, so that a write fails. Room for the certificates, and not for a segment that grows.
        resource.setrlimit(resource.RLIMIT_FSIZE, (SEGMENT, most))

    yield limit, lambda scorer: resource.prlimit(scorer, resource.RLIMIT_FSIZE, (least, most))


def test_what_a_full_disk_does_not_take_waits_and_is_written_when_there_is_room(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    changed = {"segment_bytes": SEGMENT, "buffer_bytes": 1 << 17}
    taken: dict[int, decision_pb2.Decision] = {}
    met: list[int] = []
    with (
        small_disk(folder) as (before, make_room),
        process(tmp_path, before=before, **changed) as life,
    ):
        assert life.port is not None
        with channel(tmp_path, life.port) as open_channel:

            def send(first: int) -> set[int]:
                numbers = range(first, first + DRAIN)
                decisions = score_all(open_channel, [purchase(number) for number in numbers])
                for number, decision in zip(numbers, decisions, strict=True):
                    receipt = decision.receipt
                    not_taken = receipt.durability == decision_pb2.DURABILITY_NOT_TAKEN
                    assert not_taken == (receipt.sequence == 0)
                    assert decision.assessment.HasField("risk_score")
                    met.append(receipt.durability)
                    if not not_taken:
                        taken[number] = decision
                return {decision.receipt.durability for decision in decisions}

            number = 0
            while decision_pb2.DURABILITY_NOT_TAKEN not in send(number):
                number += DRAIN
                assert number < 100_000, "the disk is never full"
            assert len(taken) >= 1_000, "below its load this shows nothing"
            # The first of each comes after the first of the one before.
            first = [met.index(decision_pb2.Durability.Value(f"DURABILITY_{name}")) for name in HELD]
            assert first == sorted(first)
            make_room(life.process.pid)
            for _ in range(200):
                number += DRAIN
                if send(number) <= {decision_pb2.DURABILITY_WRITTEN, decision_pb2.DURABILITY_SYNCED}:
                    break
            else:
                pytest.fail("nothing is written though there is room")
        life.process.kill()
        life.process.wait()
        shutil.copytree(folder, tmp_path / "left", ignore=shutil.ignore_patterns("ballast", "lock"))
    shutil.rmtree(folder)
    shutil.move(tmp_path / "left", folder)

    numbers = sorted(taken, key=lambda number: taken[number].receipt.sequence)
    assert [taken[number].receipt.sequence for number in numbers] == list(range(1, len(taken) + 1))
    sent = [purchase(number) for number in numbers]
    with recovered(tmp_path) as (server, open_channel):
        digest = server.digest()
        assert all(decision.receipt.replayed for decision in score_all(open_channel, sent))
    with recovered(tmp_path, journaled=False) as (fresh, open_channel):
        for number, decision in zip(numbers, score_all(open_channel, sent), strict=True):
            assert decision.assessment == taken[number].assessment
        assert fresh.digest() == digest
