"""clear and prune: what the cache need not keep."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torchtrt_ws.budget.grammar import size
from torchtrt_ws.cache.entries import LEFTOVER, Entry, entries_in
from torchtrt_ws.cache.folder import VARIABLE, folder, limit, opened
from torchtrt_ws.errors import EngineError

__all__ = ["Removal", "clear", "prune"]

_OF_A_LEFTOVER = len(".XXXXXX")


@dataclass(frozen=True)
class Removal:
    """What was removed from the cache.

    Args:
        removed: The entries that are gone.
        in_use: Entries that would have gone, and that a process has open, mapped or locked.
        bytes_left: What the others take on the disk.
    """

    removed: tuple[Entry, ...]
    in_use: tuple[Entry, ...]
    bytes_left: int

    @property
    def bytes_freed(self) -> int:
        """What the removed entries took on the disk."""
        return sum(entry.bytes for entry in self.removed)

    def as_dict(self) -> dict[str, Any]:
        """The report as `cache clear --json` prints it."""
        return {
            "removed": [entry.as_dict() for entry in self.removed],
            "in_use": [entry.as_dict() for entry in self.in_use],
            "bytes_freed": self.bytes_freed,
            "bytes_left": self.bytes_left,
        }


def clear(sha256: Collection[str] | None = None) -> Removal:
    """Removes what is in the cache and not in use. The next load writes what it needs again.

    Args:
        sha256: Digests of engines; only what belongs to these. None is all.

    Returns:
        What was removed.

    Raises:
        EngineError: The folder is not to be trusted, or not this process's to write.
    """
    return _remove(sha256, lambda left: True)


def prune(max_bytes: int | str | None = None) -> Removal:
    """Removes the least recently used entries, but none in use, until the others take at most `max_bytes`.

    Args:
        max_bytes: Bytes, or "10GiB"; None for the limit that engines keep to (`limit`).

    Returns:
        What was removed. `bytes_left` may be more than `max_bytes` if what is left is in use.

    Raises:
        BudgetError: A malformed size.
        EngineError: As `clear`.
    """
    most = limit() if max_bytes is None else size(max_bytes, "max")
    return _remove(None, lambda left: left > most)


def _remove(sha256: Collection[str] | None, wanted: Callable[[int], bool]) -> Removal:
    """Goes through the entries as long as `wanted` says so of the bytes that are left."""
    path = folder()
    with opened(path) as descriptor:
        if descriptor is None:
            return Removal((), (), 0)
        every = entries_in(descriptor, os.path.realpath(path))
        left = sum(entry.bytes for entry in every)
        removed, kept = [], []
        for entry in every:
            if entry.problem is not None or (sha256 is not None and entry.sha256 not in sha256):
                continue
            if not wanted(left):
                break
            if entry.in_use or not _removed(descriptor, path, entry):
                kept.append(entry)
                continue
            removed.append(entry)
            left -= entry.bytes
        return Removal(tuple(removed), tuple(kept), left)


def _removed(descriptor: int, path: os.PathLike[str], entry: Entry) -> bool:
    """False if another process is at the entry: who loads or writes one holds its lock."""
    name = entry.name[:-_OF_A_LEFTOVER] if entry.kind == LEFTOVER else entry.name
    try:
        with _locked(descriptor, f"{name}.lock") as locked:
            if not locked:
                return False
            # Under the lock: an engine that was loaded meanwhile has it open now.
            again = {each.name: each for each in entries_in(descriptor, os.path.realpath(path), [entry.sha256])}
            if entry.name in again and again[entry.name].in_use:
                return False
            for each in (entry.name,) if entry.kind == LEFTOVER else (entry.name, f"{entry.name}.sum"):
                try:
                    os.unlink(each, dir_fd=descriptor)
                except FileNotFoundError:
                    continue
            return True
    except OSError as error:
        raise EngineError(
            os.path.join(path, entry.name),
            error.strerror or str(error),
            "a folder that this process may write",
            f"Run this as its owner, or set {VARIABLE} to a folder of yours.",
        ) from None


@contextmanager
def _locked(descriptor: int, name: str) -> Iterator[bool]:
    """Without waiting. The file of the lock stays, as the C++ side leaves it: another process may wait for it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    lock = os.open(name, flags, 0o600, dir_fd=descriptor)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno != errno.EWOULDBLOCK:
                raise
            yield False
        else:
            yield True
    finally:
        os.close(lock)
