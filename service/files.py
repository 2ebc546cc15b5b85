"""Files that hold secrets: readable by their owner alone from the first byte. And files that must survive."""

import os
import stat
from pathlib import Path


def write_private(path: Path, content: bytes, *, replace: bool = False) -> None:
    """Write a file of mode 0600 that no one else could read at any moment.

    Raises FileExistsError when it is there and may not be replaced. A replacement is complete or does not happen.
    """
    if not replace:
        _create(path, content)
        return
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    _create(fresh, content)
    fresh.replace(path)


def make_private_folder(path: Path) -> None:
    """Make a folder of mode 0700, or close one that is there to everyone but its owner."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, survive the loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_to_others(path: Path) -> bool:
    """Whether anyone but the owner has any right on the file."""
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


def _create(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
