"""The machine that a benchmark ran on, and its cores."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def machine() -> dict[str, str | int]:
    """What figures depend on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return {"cpu": model, "cores": len(os.sched_getaffinity(0)), "kernel": platform.release()}


def two_cores() -> tuple[int, int]:
    """One core for the server and one for the load, of different physical cores where there are such.

    Raises RuntimeError on a machine of one core.
    """
    server, *others = sorted(os.sched_getaffinity(0))
    if not others:
        raise RuntimeError("one core: server and load need a core each")
    return server, next((core for core in others if core not in _siblings(server)), others[0])


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Pins this thread, and with it the processes that it starts."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def stolen_s() -> float:
    """Seconds of all cores together that a virtual machine's host kept for others, since the machine started."""
    stolen = Path("/proc/stat").read_text().split(maxsplit=9)[8]
    return int(stolen) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """The resident memory of a process, in 10^6 bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _siblings(core: int) -> set[int]:
    listed = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    if not listed.exists():
        return {core}
    siblings: set[int] = set()
    for part in listed.read_text().strip().split(","):
        first, _, last = part.partition("-")
        siblings.update(range(int(first), int(last or first) + 1))
    return siblings
