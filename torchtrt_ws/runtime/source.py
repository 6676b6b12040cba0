"""Where a program is loaded from: a file, bytes in memory, or an open file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from torchtrt_ws.errors import CapacityError, ProgramError
from torchtrt_ws.trust.keys import Key
from torchtrt_ws.trust.opened import by_descriptor, opened_verified, seal

__all__ = ["ProgramSource", "name_of", "opened_source"]

ProgramSource = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO

_CHUNK = 1 << 20  # bytes


def name_of(source: ProgramSource) -> str:
    """What reports and errors call it.

    Args:
        source: As `load` takes it.

    Raises:
        ProgramError: Something else.
    """
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return f"<{len(source)} bytes>" if not isinstance(source, memoryview) else f"<{source.nbytes} bytes>"
    if not hasattr(source, "read"):
        raise ProgramError(
            "path", f"a {type(source).__name__}", "a path, bytes, or a file that is open to read", "Give one of these."
        )
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else f"<{type(source).__name__}>"


@contextmanager
def opened_source(source: ProgramSource, trusted_keys: Iterable[Key] | None, copy: bool) -> Iterator[str]:
    """A path to load from: the file, or what of it was verified. ExecuTorch keeps open what it loads from.

    Bytes, and files that are not regular ones at their start, are copied into memory that nobody can change.

    Args:
        source: As `load` takes it.
        trusted_keys: None: no signature is looked at.
        copy: Of what is verified, as for `opened_verified`.

    Returns:
        The path, while the context lasts.

    Raises:
        ProgramError: Nothing to read; with keys, what is no path, as its signature is the file beside it.
        CapacityError: No memory for the copy.
    """
    if isinstance(source, str | os.PathLike):
        if trusted_keys is None:
            yield os.fspath(source)
            return
        with opened_verified(source, trusted_keys, copy=copy) as file, by_descriptor(source, file.descriptor) as path:
            yield path
        return
    name = name_of(source)
    if trusted_keys is not None:
        raise ProgramError(name, "no path", "one, with the signature beside it", "Write it to a file first.")
    descriptor = _descriptor(source)
    if descriptor is not None:
        with by_descriptor(name, descriptor) as path:
            yield path
        return
    descriptor = _in_memory(source, name)
    try:
        with by_descriptor(name, descriptor) as path:
            yield path
    finally:
        os.close(descriptor)


def _descriptor(source: bytes | bytearray | memoryview | BinaryIO) -> int | None:
    """That of a regular file that was not read from yet."""
    if isinstance(source, bytes | bytearray | memoryview):
        return None
    try:
        descriptor = source.fileno()
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return descriptor if regular and source.tell() == 0 else None
    except (OSError, ValueError, AttributeError):  # io.UnsupportedOperation is both of the first
        return None


def _in_memory(source: bytes | bytearray | memoryview | BinaryIO, name: str) -> int:
    descriptor = -1
    try:
        descriptor = os.memfd_create("torchtrt_ws", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            if isinstance(source, bytes | bytearray | memoryview):
                file.write(source)
            else:
                while chunk := source.read(_CHUNK):
                    file.write(chunk)
        seal(descriptor)
    except BaseException as error:
        if descriptor >= 0:
            os.close(descriptor)
        if isinstance(error, TypeError):
            raise ProgramError(
                name, "a file of text", "one that is open in binary mode", 'Open it with "rb".'
            ) from None
        if isinstance(error, OSError):
            raise CapacityError(name, error.strerror or str(error), "memory for a copy of it", "Free memory.") from None
        raise
    return descriptor
