"""A .pte that is open to be changed or copied: nobody else changes it meanwhile without being noticed."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from torchtrt_ws.copying import copy_range
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.pte.flatbuffer import FlatbufferError
from torchtrt_ws.pte.layout import PteFile, damaged, map_program

__all__ = ["Source", "is_same_file", "opened_source"]

_PIECE = 1 << 20  # bytes that are read at a time


class Source:
    """An open file: its path as given, its descriptor, and what is in it."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path, self.descriptor = path, descriptor
        self._state = self._look()
        self.program: PteFile = map_program(descriptor, path)

    def _look(self) -> tuple[int, int, int, int]:
        status = os.fstat(self.descriptor)
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns

    def check_unchanged(self) -> None:
        """Refuses to go on with what is no longer in the file, or no longer under its name.

        Raises:
            ProgramError: The file was written to, replaced or removed since it was opened.
        """
        self.check_named()
        if self._look() != self._state:
            raise self._changed()

    def check_named(self) -> None:
        """Refuses a file that is no longer the one that its path names.

        Raises:
            ProgramError: The file was replaced or removed.
        """
        try:
            named = os.stat(self.path)
        except OSError:
            raise self._changed() from None
        if (named.st_dev, named.st_ino) != self._state[:2]:
            raise self._changed()

    def _changed(self) -> ProgramError:
        return ProgramError(
            self.path,
            "a file that was changed or replaced meanwhile",
            "the file as it was when it was read",
            "Run it again when nothing else writes the file.",
        )

    def copy(self, offset: int, size: int, file: BinaryIO) -> None:
        """Appends a part of the file to another one: shared blocks where the file system can, no detour elsewhere.

        Args:
            offset: Where the part begins.
            size: Its bytes.
            file: The other file, at its end.

        Raises:
            ProgramError: The file has become shorter.
        """
        copied = copy_range(self.descriptor, offset, size, file)
        if copied < size:
            self.check_unchanged()
            raise damaged(self.path, f"{offset + copied} of {offset + size} bytes")

    def pieces(self, offset: int, size: int) -> Iterator[bytes]:
        """Reads a part of the file, 1 MiB at a time, and no more of it is in memory at once. Not through the mapping: a
        file that becomes shorter is then an error, and not the end of the process.

        Args:
            offset: Where the part begins.
            size: Its bytes.

        Returns:
            The pieces in order; all but the last are of the same size.

        Raises:
            ProgramError: The file has become shorter.
        """
        end = offset + size
        while offset < end:
            wanted = min(_PIECE, end - offset)
            piece = b""
            while len(piece) < wanted:
                more = os.pread(self.descriptor, wanted - len(piece), offset + len(piece))
                if not more:
                    self.check_unchanged()
                    raise damaged(self.path, f"{offset + len(piece)} of {end} bytes")
                piece += more
            yield piece
            offset += wanted


@contextmanager
def opened_source(path: str | os.PathLike[str], to_change: bool) -> Iterator[Source]:
    """Opens a .pte, for as long as the context lasts.

    Args:
        path: The file.
        to_change: True to write to it; it is then locked (flock) against others that do.

    Returns:
        The open file. Errors of flatbuffers in the context become ProgramErrors.

    Raises:
        ProgramError: Missing, not a regular file, not readable or not writable, locked, or no program.
    """
    name = os.fspath(path)
    wanted = "a .pte that can be written" if to_change else "a readable .pte"
    try:
        # Not blocking: the writer of a pipe may never come.
        descriptor = os.open(name, (os.O_RDWR if to_change else os.O_RDONLY) | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        found = getattr(error, "strerror", None) or str(error)
        next_step = "Check the path and its permissions; -o writes another file." if to_change else "Check the path."
        raise ProgramError(name, found[0].lower() + found[1:], wanted, next_step) from None
    locked = False
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ProgramError(name, "not a regular file", "a .pte", "Give the path of a saved program.")
        if to_change:
            _lock(name, descriptor)
            locked = True
        yield Source(name, descriptor)
    except FlatbufferError as error:
        raise damaged(name, f"a broken program: {error}") from None
    finally:
        if locked:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # the mapping has a copy of the descriptor, and may live longer
        os.close(descriptor)


def _lock(name: str, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ProgramError(
            name, "a file that another process is changing", "a file that nobody writes", "Run it again."
        ) from None
    except OSError as error:  # Lustre without flock, some FUSE
        found = f"a file system without locks ({error.strerror or error})"
        raise ProgramError(
            name, found, "locks, so that two changes do not meet", "-o writes another file instead."
        ) from None


def is_same_file(path: str | os.PathLike[str], other: str | os.PathLike[str]) -> bool:
    """True if both paths name one file that exists.

    Args:
        path: A path.
        other: Another path, or the same.
    """
    return os.path.exists(path) and os.path.exists(other) and os.path.samefile(path, other)
