"""Which files of the cache a live process has open or mapped."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

__all__ = ["in_use"]


def in_use(files: Mapping[str, os.stat_result], folder: str) -> set[str]:
    """The names of `files` in `folder` that a process has open or mapped.

    Args:
        files: Name to what `os.stat` says.
        folder: Their folder, without links.

    Returns:
        The names. Processes of other users are seen by root only; nobody else may use this user's files either.
    """
    by_inode = {(info.st_dev, info.st_ino): name for name, info in files.items()}
    by_path = {os.path.join(folder, name).encode(): name for name in files}
    found: set[str] = set()
    if not files:
        return found
    for process in _processes():
        for inode in _open_files(process):
            if name := by_inode.get(inode):
                found.add(name)
        for path in _mapped_paths(process):
            if name := by_path.get(path):
                found.add(name)
    return found


def _processes() -> Iterator[str]:
    try:
        yield from (f"/proc/{name}" for name in os.listdir("/proc") if name.isdigit())
    except OSError:
        return


def _open_files(process: str) -> Iterator[tuple[int, int]]:
    try:
        names = os.listdir(f"{process}/fd")
    except OSError:  # another user's, or gone
        return
    for name in names:
        try:
            info = os.stat(f"{process}/fd/{name}")
        except OSError:
            continue
        yield info.st_dev, info.st_ino


def _mapped_paths(process: str) -> Iterator[bytes]:
    """By path: some file systems show another device in /proc than stat does."""
    try:
        with open(f"{process}/maps", "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return
    for line in lines:
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5].startswith(b"/"):
            yield fields[5]
