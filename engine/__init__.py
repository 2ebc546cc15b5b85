"""The engine: what must be fast and exact, in Rust. `Folder` folds tables."""

from engine._native import Folder

__all__ = ["Folder"]
