"""Which file a live engine was loaded from, where `load` loaded it: the engine itself does not know."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from torchtrt_ws.runtime.native import _native

__all__ = ["file_of", "note_file"]

_lock = threading.Lock()  # guards the files; held for moments only
_files: dict[int, str] = {}  # by engine id, which is never used again


def note_file(ids: Iterable[int], file: str) -> None:
    """Notes the file of engines, and forgets those that have gone.

    Args:
        ids: Of the engines (`EngineReport::id`).
        file: What `load` was given.
    """
    alive = set(_native.all_engine_ids())
    with _lock:
        for gone in _files.keys() - alive:
            del _files[gone]
        _files.update(dict.fromkeys(ids, file))


def file_of(identifier: int) -> str:
    """The file; "" for an engine that somebody else loaded: ExecuTorch's own runtime, or C++.

    Args:
        identifier: The engine's id.
    """
    with _lock:
        return _files.get(identifier, "")
