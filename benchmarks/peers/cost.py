"""What work costs: CPU and elapsed seconds and the most memory, of this process and of those that it began."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

THREADS: Final = len(os.sched_getaffinity(0))
"""As many as there are cores that this process may use: whoever starts it pins it."""


def cost(work: Callable[[], T]) -> tuple[T, dict[str, float]]:
    """What the work gives, and what it cost: cpu_s, elapsed_s, and peak_mb beside the memory from before, before_mb."""
    _forget_peak()
    before = _peak_mb()
    cpu, clock = _cpu_s(), time.perf_counter()
    given = work()
    told = {"cpu_s": _cpu_s() - cpu, "elapsed_s": time.perf_counter() - clock}
    return given, told | {"before_mb": before, "peak_mb": _peak_mb()}


def _cpu_s() -> float:
    """Of this process, and of those that it began, as far as the kernel's clock ticks."""
    stats = [(each / "stat").read_text().rpartition(")")[2].split() for each in _begun_by(os.getpid())]
    ended = os.times()
    running = sum(int(each[11]) + int(each[12]) for each in stats) / os.sysconf("SC_CLK_TCK")
    return time.process_time() + ended.children_user + ended.children_system + running


def _forget_peak() -> None:
    """From here on `_peak_mb` counts anew. `getrusage` would tell the peak of whoever forked this process too."""
    for each in _all():
        (each / "clear_refs").write_text("5")


def _peak_mb() -> float:
    """The most memory that each of them has held, in MB."""
    held = (re.findall(r"VmHWM:\s+(\d+) kB", (each / "status").read_text()) for each in _all())
    # One that ended a moment ago holds nothing.
    return sum(int(kib) * 1024 / 1e6 for found in held for kib in found)


def _all() -> list[Path]:
    return [Path("/proc/self"), *_begun_by(os.getpid())]


def _begun_by(pid: int) -> Iterator[Path]:
    """The processes that one began, and that they did, in /proc."""
    for begun in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in begun.read_text().split():
            yield Path(f"/proc/{child}")
            yield from _begun_by(int(child))
