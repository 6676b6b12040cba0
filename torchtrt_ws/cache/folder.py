"""Where the cache is, and whether it is to be trusted: the rules of cpp/cache/cache_folder.h."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torchtrt_ws.budget.wire import parse_decimal
from torchtrt_ws.errors import BudgetError, EngineError

__all__ = ["LIMIT_VARIABLE", "VARIABLE", "distrusted", "folder", "limit", "opened"]

VARIABLE = "TORCHTRT_WS_CACHE"
LIMIT_VARIABLE = "TORCHTRT_WS_CACHE_LIMIT"
_DEFAULT_LIMIT = 16 << 30


def folder() -> Path:
    """The folder of the cache, whether it is there or not.

    Returns:
        TORCHTRT_WS_CACHE, else $XDG_CACHE_HOME/torchtrt_ws, else ~/.cache/torchtrt_ws.

    Raises:
        EngineError: None of these variables, nor HOME, says anything.
    """
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen)
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg, "torchtrt_ws")
    if home := os.environ.get("HOME"):
        return Path(home, ".cache", "torchtrt_ws")
    raise EngineError("cache folder", f"neither {VARIABLE} nor HOME", "a folder for the cache", f"Set {VARIABLE}.")


def limit() -> int:
    """What the cache may take, in bytes: TORCHTRT_WS_CACHE_LIMIT, or 16 GiB.

    Each engine that writes an entry removes the least recently used of others until they take no more.
    """
    try:
        return parse_decimal(os.environ.get(LIMIT_VARIABLE, ""), LIMIT_VARIABLE)
    except BudgetError:
        return _DEFAULT_LIMIT


def distrusted(info: os.stat_result) -> str | None:
    """Why something of the cache is not to be trusted.

    Args:
        info: What `os.stat` says of it.

    Returns:
        The reason; None if it is this user's or root's, and nobody else's to write.
    """
    if info.st_uid not in (os.geteuid(), 0):
        return f"something that belongs to user {info.st_uid}"
    if info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "something that other users may write"
    return None


@contextmanager
def opened(path: Path) -> Iterator[int | None]:
    """The folder as a descriptor, for what is in it: names cannot lead elsewhere then.

    Args:
        path: The folder.

    Yields:
        The descriptor; None if there is no such folder.

    Raises:
        EngineError: It is no folder, cannot be read, or is not to be trusted.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from None
    try:
        if why := distrusted(os.fstat(descriptor)):
            raise _unusable(path, why)
        yield descriptor
    finally:
        os.close(descriptor)


def _unusable(path: Path, found: str) -> EngineError:
    expected = "a folder of this user that nobody else may write"
    return EngineError(os.fspath(path), found, expected, f"Set {VARIABLE} to one.")
