"""What `fraudgate journal` prints: the engine reads, this finds the keys and lays out what it says."""

import json
from pathlib import Path

import engine
from service.config import Config


class Look:
    """The journal of a configuration. Raises ValueError where the configuration names none."""

    def __init__(self, config: Config) -> None:
        if config.journal is None:
            raise ValueError("the configuration has no [journal]")
        self._folder = str(config.journal.folder)
        self._key = _secret(config.journal.key)
        self._hash_key = _secret(config.keys.hash_key)

    def info(self) -> str:
        """The segments, as their headers say."""
        return _laid_out(engine.journal_info(self._folder))

    def verify(self) -> str:
        """What there is. Raises ValueError, saying what is lost, where it is damaged."""
        return _laid_out(engine.journal_verify(self._folder, self._key))

    def tail(self, inputs: int) -> list[str]:
        """The last inputs, oldest first."""
        return [json.dumps(told) for told in json.loads(engine.journal_tail(self._folder, self._key, inputs))]

    def show(self, program: str, id: str) -> str:
        """One transaction. Raises ValueError when it is not journaled."""
        told = engine.journal_show(self._folder, self._key, self._hash_key, program, id)
        if told == "null":
            raise ValueError(f"no transaction of that id is journaled in program {program}")
        return _laid_out(told)

    def rotate(self, key: Path) -> int:
        """Wrap all keys under the one in a file; how many there were."""
        return engine.journal_rotate(self._folder, self._key, _secret(key))


def _secret(path: Path) -> bytes:
    return bytes.fromhex(path.read_text().strip())


def _laid_out(told: str) -> str:
    return json.dumps(json.loads(told), indent=2)
