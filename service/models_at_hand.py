"""Finds model bundles in folders by the digest under which the journal names them."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from service.serving import MANIFEST, MODEL, REDUCED_MODEL


class ModelsAtHand:
    """The bundles in folders and their subfolders. Manifests are read once, when the first model is asked for."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = tuple(folders)
        self._found: dict[str, Path] | None = None

    def __call__(self, digest: str) -> tuple[bytes, bytes, bytes | None] | None:
        """Manifest, ONNX, and the second student's ONNX of the model of a digest (64 hex digits), or None."""
        if self._found is None:
            self._found = {
                hashlib.sha256(path.read_bytes()).hexdigest(): path.parent
                for folder in self._folders
                for path in sorted(folder.rglob(MANIFEST))
            }
        bundle = self._found.get(digest)
        if bundle is None:
            return None
        reduced = bundle / REDUCED_MODEL
        return (
            (bundle / MANIFEST).read_bytes(),
            (bundle / MODEL).read_bytes(),
            reduced.read_bytes() if reduced.exists() else None,
        )
