"""Lets who makes things run ahead of who takes them, by a few: reading and mapping have a core beside the engine's."""

import queue
import threading
from collections.abc import Iterator
from typing import Final, TypeVar

T = TypeVar("T")
_AHEAD: Final = 2


def ahead(source: Iterator[T]) -> Iterator[T]:
    """What `source` gives, in order; what it raises is raised here. When this is closed, so is `source`."""
    made: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(_AHEAD)
    stopped = threading.Event()

    def put(item: tuple[T | None, BaseException | None]) -> None:
        while not stopped.is_set():
            try:
                made.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def make() -> None:
        try:
            for item in source:
                put((item, None))
                if stopped.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - it is raised where the things are taken
            put((None, error))
        else:
            put((None, StopIteration()))

    thread = threading.Thread(target=make, name="ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = made.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
    finally:
        stopped.set()
        thread.join()
