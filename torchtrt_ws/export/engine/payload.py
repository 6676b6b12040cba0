"""Engines where they are, a file, a buffer or a writer: hashed while they are written, never copied as a whole."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from typing import Any

from torchtrt_ws.blob import Buffer
from torchtrt_ws.digests import Digests, Hasher, ThreadedHasher
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.export.engine.built_engine import Writable

__all__ = ["BufferPayload", "FilePayload", "StreamedPayload"]

# Bytes; two pieces are in memory at a time. Writes of 4 MiB can cost ten times the processor time of these (seen on
# Linux 6: 4 s instead of 0.4 s for 1 GiB).
PIECE = 512 << 10
HEAD = 32  # bytes that are enough to know what a plan is


class BufferPayload:
    """An engine in memory.

    Args:
        engine: Its bytes, C-contiguous. They must not change until the program is written.
    """

    def __init__(self, engine: Buffer) -> None:
        self._view = memoryview(engine).cast("B")
        self._digests: Digests | None = None
        self.size = self._view.nbytes

    @property
    def head(self) -> bytes:
        """The first bytes."""
        return bytes(self._view[:HEAD])

    @property
    def digests(self) -> Digests:
        if self._digests is None:
            self.write_to(_Nowhere())
        assert self._digests is not None
        return self._digests

    def write_to(self, file: Writable) -> None:
        pieces = (self._view[start : start + PIECE] for start in range(0, self.size, PIECE))
        with ThreadedHasher(self._digests) as hashing:
            for piece in pieces:
                pending = hashing.start(piece)
                file.write(piece)
                pending()  # one piece ahead at most
        self._digests = hashing.digests()


class FilePayload:
    """An engine in a file. The file is opened once, so what is written is what was looked at.

    Args:
        path: The file. Holes in it (sparse files) stay holes where the target can have them.

    Raises:
        ProgramError: No such file, not a regular file, or not readable.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._digests: Digests | None = None
        self._file = self._open()
        self._state = self._look()
        self.size = self._state[0]

    def _look(self) -> tuple[int, int]:
        status = os.fstat(self._file.fileno())
        return status.st_size, status.st_mtime_ns

    def _open(self) -> Any:
        try:
            file = open(self.path, "rb", buffering=0)  # noqa: SIM115  # open as long as this object lives
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return file
            file.close()
            found = "something that is not a regular file"
        except (OSError, ValueError) as error:
            found = getattr(error, "strerror", None) or str(error)
        raise ProgramError(str(self.path), found, "a plan file that can be read", "Correct the path.") from None

    @property
    def head(self) -> bytes:
        """The first bytes."""
        return os.pread(self._file.fileno(), HEAD, 0)

    @property
    def digests(self) -> Digests:
        if self._digests is None:
            self.write_to(_Nowhere())
        assert self._digests is not None
        return self._digests

    def write_to(self, file: Writable) -> None:
        skip = getattr(file, "seek", None)  # only a file that seeks can have holes
        buffers = (memoryview(bytearray(PIECE)), memoryview(bytearray(PIECE)))
        zeros = memoryview(bytes(PIECE))
        pending: list[Callable[[], None]] = [lambda: None, lambda: None]
        with ThreadedHasher(self._digests) as hashing:
            for number, (offset, length, is_hole) in enumerate(_pieces(self._file.fileno(), self.size)):
                turn = number % 2
                pending[turn]()  # the hash may still read this buffer
                piece = zeros[:length] if is_hole else self._read(buffers[turn][:length], offset)
                pending[turn] = hashing.start(piece)
                if is_hole and skip is not None and length > 1:
                    skip(length - 1, os.SEEK_CUR)
                    piece = piece[:1]  # one real byte, or a file that ends in a hole would be too short
                file.write(piece)
        if self._look() != self._state:  # past a new end, all is a hole: this is where a shorter file shows
            raise self._changed()
        self._digests = hashing.digests()

    def _changed(self) -> ProgramError:
        return ProgramError(
            str(self.path),
            f"a file of {self._look()[0]} bytes that was changed while it was read",
            f"the {self.size} bytes it had when the save began",
            "Save again when nothing writes to it.",
        )

    def _read(self, buffer: memoryview, offset: int) -> memoryview:
        done = 0
        while done < buffer.nbytes:
            count = os.preadv(self._file.fileno(), [buffer[done:]], offset + done)
            if count == 0:
                raise self._changed()
            done += count
        return buffer


class StreamedPayload:
    """A payload that a function writes piece by piece; size and digests come from one dry run.

    Args:
        write_to: Writes the engine to a binary file; the same bytes each time.
    """

    def __init__(self, write_to: Callable[[Writable], None]) -> None:
        meter = _Meter()
        write_to(meter)
        self._write_to = write_to
        self.size = meter.hasher.size
        self.digests = meter.hasher.digests()

    def write_to(self, file: Writable) -> None:
        self._write_to(file)


class _Meter:
    """A file that keeps only what a hasher makes of it."""

    def __init__(self) -> None:
        self.hasher = Hasher()

    def write(self, data: Buffer, /) -> int:
        view = memoryview(data).cast("B")
        self.hasher.update(view)
        return view.nbytes


class _Nowhere:
    """For a run that only hashes."""

    def write(self, data: Buffer, /) -> int:
        return memoryview(data).nbytes


def _pieces(descriptor: int, size: int) -> Iterator[tuple[int, int, bool]]:
    """(offset, length, is a hole) of pieces of at most `PIECE` bytes that cover the file in order."""
    offset = 0
    while offset < size:
        data = _next(descriptor, offset, os.SEEK_DATA, size)
        hole = _next(descriptor, data, os.SEEK_HOLE, size) if data < size else size
        for start, end, is_hole in ((offset, data, True), (data, hole, False)):
            for piece in range(start, end, PIECE):
                yield piece, min(PIECE, end - piece), is_hole
        offset = hole


def _next(descriptor: int, offset: int, whence: int, size: int) -> int:
    """Where the next data, or the next hole, begins; the end of the file if there is none."""
    try:
        return min(os.lseek(descriptor, offset, whence), size)
    except OSError as error:
        if error.errno == errno.ENXIO:  # no data past here
            return size
        return offset if whence == os.SEEK_DATA else size  # a file system without holes: all is data
