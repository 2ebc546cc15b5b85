"""The engine: what must be fast and exact, in Rust.

`Server` serves the data plane, `Folder` folds tables as they come and `fold` one that is whole, `Backfill` takes files
down the road that serves, `Apart` one entity of them.

The ONNX Runtime library sends telemetry unless its environment says otherwise before it is loaded, so that is said
here, before anything else.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import importlib.util
from pathlib import Path

from engine._native import (
    Apart,
    Backfill,
    Cursor,
    Folder,
    Forward,
    Mapping,
    Scorer,
    Server,
    SmallPages,
    fold,
    journal_info,
    journal_repair,
    journal_replay,
    journal_rewrite,
    journal_rotate,
    journal_show,
    journal_tail,
    journal_verify,
    words,
)

__all__ = [
    "Apart",
    "Backfill",
    "Cursor",
    "Folder",
    "Forward",
    "Mapping",
    "Scorer",
    "Server",
    "SmallPages",
    "fold",
    "journal_info",
    "journal_repair",
    "journal_replay",
    "journal_rewrite",
    "journal_rotate",
    "journal_show",
    "journal_tail",
    "journal_verify",
    "onnxruntime_library",
    "words",
]


def onnxruntime_library() -> Path:
    """The ONNX Runtime library inside the installed onnxruntime package, which is not imported for it.

    Raises FileNotFoundError when the package is not installed or holds no such library.
    """
    spec = importlib.util.find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the package onnxruntime is not installed")
    folder = Path(spec.origin).parent / "capi"
    libraries = sorted(folder.glob("libonnxruntime.so.*")) or sorted(folder.glob("libonnxruntime.*.dylib"))
    if not libraries:
        raise FileNotFoundError(f"no ONNX Runtime library in {folder}")
    return libraries[-1]
