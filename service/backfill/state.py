"""The state between two runs of a job, and the one that a server starts warm from: both are the engine's own snapshot.

A job's state is as of a part's end and lies beside its output until that is done, sealed under a key of its own.
"""

import secrets
import shutil
from pathlib import Path

import engine
from service.files import write_private

_STATE = "state-"
_UNFINISHED = ".unfinished"


def drawn_key(work: Path, name: str) -> bytes:
    """A secret of a job that was given none: 32 bytes, the same when it is resumed."""
    path = work / name
    if not path.exists():
        write_private(path, secrets.token_hex(32).encode())
    return bytes.fromhex(path.read_text())


def keep(door: "engine.Backfill", work: Path, transactions: int) -> None:
    """Write the state as of so many transactions; the one before is removed."""
    folder = work / f"{_STATE}{transactions}"
    unfinished = folder.with_name(folder.name + _UNFINISHED)
    door.write_state(str(unfinished), drawn_key(work, "state.key"))
    unfinished.rename(folder)
    for other in work.glob(f"{_STATE}*"):
        if other != folder:
            shutil.rmtree(other)


def take_in(door: "engine.Backfill", work: Path, most: int) -> int:
    """Take in the newest state of at most so many transactions; returns of how many it is, 0 where there is none."""
    found = 0
    for folder in work.glob(f"{_STATE}*"):
        if folder.name.endswith(_UNFINISHED):
            shutil.rmtree(folder)
        elif (transactions := int(folder.name.removeprefix(_STATE))) <= most:
            found = max(found, transactions)
    if found:
        door.read_state(str(work / f"{_STATE}{found}"), drawn_key(work, "state.key"))
    return found


def warm(door: "engine.Backfill", work: Path, journal: Path, key: bytes) -> None:
    """Write the state where a server finds it: as the snapshot of a journal that has not begun.

    Raises ValueError where the journal's folder holds something that this job did not write.
    """
    ours = work / "warmed"
    if not free(journal) and ours.exists():
        return
    unfinished = journal.with_name(f".{journal.name}{_UNFINISHED}")
    shutil.rmtree(unfinished, ignore_errors=True)
    door.write_state(str(unfinished), key)
    if not free(journal):
        raise ValueError(f"{journal} holds a journal: a server starts from it as it is")
    ours.touch()
    unfinished.rename(journal)


def free(journal: Path) -> bool:
    """Whether a journal has not begun."""
    return not journal.exists() or not any(journal.iterdir())
