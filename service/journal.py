"""What `fraudgate journal` does: the engine reads and computes, this finds keys and models for it."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import engine
from service.config import Config
from service.models_at_hand import ModelsAtHand

# A snapshot is written at the pace of the disk.
_SNAPSHOT_S = 3_600.0


class Look:
    """The journal of a configuration. Raises ValueError where the configuration names none."""

    def __init__(self, config: Config) -> None:
        if config.journal is None:
            raise ValueError("the configuration has no [journal]")
        self.config = config
        self._folder = str(config.journal.folder)
        self._key = _secret(config.journal.key)
        self._hash_key = _secret(config.keys.hash_key)
        self._known_ids = config.server.known_ids
        self._ahead_s = config.server.ahead_s
        self._models = [program.model for program in config.program.values() if program.model is not None]

    def info(self) -> Any:
        """The segments, as their headers say."""
        return json.loads(engine.journal_info(self._folder))

    def verify(self) -> Any:
        """What there is. Raises ValueError, saying what is lost, where it is damaged."""
        return json.loads(engine.journal_verify(self._folder, self._key))

    def tail(self, inputs: int) -> Iterator[Any]:
        """The last inputs, oldest first."""
        yield from json.loads(engine.journal_tail(self._folder, self._key, inputs))

    def show(self, program: str, id: str, models: Iterable[Path]) -> Any:
        """One transaction, and how it comes out again with a model from the configuration or the folders `models`.

        Raises ValueError when it is not journaled.
        """
        told = json.loads(
            engine.journal_show(
                self._folder,
                self._key,
                self._hash_key,
                program,
                id,
                str(engine.onnxruntime_library()),
                ModelsAtHand([*self._models, *models]),
            )
        )
        if told is None:
            raise ValueError(f"no transaction of that id is journaled in program {program}")
        return told

    def replay(self, models: Iterable[Path] | None, progress: Callable[[int, int], object]) -> Any:
        """All of it again, compared: the rows, and where `models` is not None the assessments."""
        runtime = None if models is None else str(engine.onnxruntime_library())
        find = None if models is None else ModelsAtHand([*self._models, *models])
        return json.loads(engine.journal_replay(self._folder, self._key, self._known_ids, runtime, find, progress))

    def snapshot(self) -> int:
        """Take the journal in as a start does, and write a snapshot; the sequence of the newest input that is in it.

        Raises ValueError when a scorer has the journal open: that one takes them by itself.
        """
        from service import serving

        return serving.prepared(self.config).snapshot(_SNAPSHOT_S)

    def repair(self, *, really: bool) -> Any:
        """What is damaged and what is lost with it; `really` sets it aside. The scorer must not run.

        Raises ValueError where another process has the journal open, and for what cannot be set aside.
        """
        # Where an event may lie any time ahead, nothing bounds what is lost but the clock.
        through_us = time.time_ns() // 1_000 + round(1_000_000 * (self._ahead_s or 0))
        return json.loads(engine.journal_repair(self._folder, self._key, through_us, really))

    def rotate(self, key: Path) -> int:
        """Wrap all keys under the one in a file; how many there were."""
        return engine.journal_rotate(self._folder, self._key, _secret(key))


def differs(replayed: Any) -> bool:
    """Whether something in what `Look.replay` gives came out otherwise."""
    return any(replayed[kind]["differing"] for kind in ("features", "assessments"))


def is_same(shown: Any) -> bool:
    """Whether all that can be computed of what `Look.show` gives came out the same, and nothing could not be."""
    return all(again["result"] == "same" for again in shown.get("again", {}).values())


def _secret(path: Path) -> bytes:
    return bytes.fromhex(path.read_text().strip())
