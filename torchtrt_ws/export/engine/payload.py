"""Engines where they are, a file, a buffer or a writer: hashed while they are written, never copied as a whole."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from torchtrt_ws.blob import Buffer
from torchtrt_ws.digests import Digests, Hasher
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.export.engine.built_engine import Writable
from torchtrt_ws.export.engine.hashed import Hashed
from torchtrt_ws.plan_header import HEADER_SIZE

__all__ = ["BufferPayload", "FilePayload", "SlicePayload", "StreamedPayload"]

# Bytes that are in memory at a time. Writes of 4 MiB can cost ten times the processor time of these (seen on
# Linux 6: 4 s instead of 0.4 s for 1 GiB).
PIECE = 512 << 10
HASHED = 4 << 20  # bytes that are hashed at a time: the thread that does it waits for the interpreter between two
HEAD = HEADER_SIZE  # bytes that are enough to know what a plan is
SAMPLE = 4096  # bytes of each sample
SAMPLES = 16  # over the whole payload: weights differ everywhere


class BufferPayload(Hashed):
    """An engine in memory.

    Args:
        engine: Its bytes, C-contiguous. They must not change until the program is written.
    """

    def __init__(self, engine: Buffer) -> None:
        super().__init__()
        self._view = memoryview(engine).cast("B")
        self.size = self._view.nbytes

    @property
    def head(self) -> bytes:
        """The first bytes."""
        return bytes(self._view[:HEAD])

    @property
    def sample(self) -> bytes:
        return b"".join(self._view[at : at + SAMPLE] for at in _sampled(self.size))

    def write_to(self, file: Writable) -> None:
        with self._hashed():
            for start in range(0, self.size, PIECE):
                file.write(self._view[start : start + PIECE])
            self._found()

    def _pieces(self) -> Iterator[memoryview]:
        return (self._view[start : start + HASHED] for start in range(0, self.size, HASHED))


class FilePayload(Hashed):
    """An engine in a file. The file is opened once, so what is written is what was looked at.

    Args:
        file: The file's path, or the file: open to be read, without a buffer. Holes in it (sparse files) stay holes
            where the target can have them.
        digests: Of all its bytes, where they are known.

    Raises:
        ProgramError: No such file, not a regular file, or not readable.
    """

    def __init__(self, file: str | os.PathLike[str] | BinaryIO, digests: Digests | None = None) -> None:
        super().__init__()
        self._digests = digests
        if isinstance(file, str | os.PathLike):
            self.path = os.fspath(file)
            self._file = self._open()
        else:
            self.path = str(file.name)
            self._file = file
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
    def sample(self) -> bytes:
        return b"".join(os.pread(self._file.fileno(), SAMPLE, at) for at in _sampled(self.size))

    def write_to(self, file: Writable) -> None:
        """The kernel copies where `file` can have that (`copy_from`): the hash reads the same bytes beside it."""
        skip = getattr(file, "seek", None)  # only a file that seeks can have holes
        with self._hashed():
            for start, end, is_hole in _extents(self._file.fileno(), self.size):
                if is_hole and skip is not None and end - start > 1:
                    skip(end - start - 1, os.SEEK_CUR)
                    file.write(b"\0")  # one real byte, or a file that ends in a hole would be too short
                else:
                    self._copy(file, start, end)
            self._found()
        if self._look() != self._state:  # past a new end, all is a hole: this is where a shorter file shows
            raise self._changed()

    def _copy(self, file: Writable, start: int, end: int) -> None:
        copy_from = getattr(file, "copy_from", None)
        if copy_from is None:
            for piece in self._read(start, end, PIECE):
                file.write(piece)
        elif copy_from(self._file.fileno(), start, end - start) < end - start:
            raise self._changed()

    def _pieces(self) -> Iterator[memoryview]:
        zeros = memoryview(bytes(HASHED))
        for start, end, is_hole in _extents(self._file.fileno(), self.size):
            if is_hole:
                yield from (zeros[: min(HASHED, end - piece)] for piece in range(start, end, HASHED))
            else:
                yield from self._read(start, end, HASHED)

    def _changed(self) -> ProgramError:
        return ProgramError(
            str(self.path),
            f"a file of {self._look()[0]} bytes that was changed while it was read",
            f"the {self.size} bytes it had when the save began",
            "Save again when nothing writes to it.",
        )

    def _read(self, start: int, end: int, size: int) -> Iterator[memoryview]:
        """Some bytes, each piece good until the next one is asked for."""
        buffer = memoryview(bytearray(min(size, end - start)))
        while start < end:
            count = os.preadv(self._file.fileno(), [buffer[: end - start]], start)
            if count == 0:
                raise self._changed()
            yield buffer[:count]
            start += count


class SlicePayload(Hashed):
    """A part of an open file, such as one weight.

    Args:
        path: The file, for errors.
        file: The same, open for as long as this object lives.
        offset: Where the part begins, in bytes.
        size: Its bytes.
    """

    def __init__(self, path: str, file: BinaryIO, offset: int, size: int) -> None:
        super().__init__()
        self.path, self._file, self._offset, self.size = path, file, offset, size

    @property
    def head(self) -> bytes:
        """The first bytes."""
        return os.pread(self._file.fileno(), min(HEAD, self.size), self._offset)

    def read(self) -> bytes:
        """All bytes, in memory."""
        whole = io.BytesIO()  # joined, pieces would all be the last one: they lie in one buffer
        self.write_to(whole)
        return whole.getvalue()

    @property
    def sample(self) -> bytes:
        return b"".join(os.pread(self._file.fileno(), SAMPLE, self._offset + at) for at in _sampled(self.size))

    def write_to(self, file: Writable) -> None:
        for piece in self._read(PIECE):
            file.write(piece)

    def _pieces(self) -> Iterator[memoryview]:
        return self._read(HASHED)

    def _read(self, size: int) -> Iterator[memoryview]:
        """All bytes, each piece good until the next one is asked for."""
        at, end = self._offset, self._offset + self.size
        buffer = memoryview(bytearray(min(size, self.size)))
        while at < end:
            count = os.preadv(self._file.fileno(), [buffer[: end - at]], at)
            if count == 0:
                found = f"a file that ends {end - at} bytes early"
                raise ProgramError(self.path, found, "the file as it was", "Save again when nothing writes to it.")
            yield buffer[:count]
            at += count


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
        self.sample = b""  # the digests are known

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


def _sampled(size: int) -> Iterator[int]:
    """Where samples begin, the first bytes and the last ones among them."""
    last = max(0, size - SAMPLE)
    yield from sorted({last * part // (SAMPLES - 1) for part in range(SAMPLES)})


def _extents(descriptor: int, size: int) -> Iterator[tuple[int, int, bool]]:
    """(start, end, is a hole) of parts that cover the file in order."""
    offset = 0
    while offset < size:
        data = _next(descriptor, offset, os.SEEK_DATA, size)
        hole = _next(descriptor, data, os.SEEK_HOLE, size) if data < size else size
        yield from (part for part in ((offset, data, True), (data, hole, False)) if part[0] < part[1])
        offset = hole


def _next(descriptor: int, offset: int, whence: int, size: int) -> int:
    """Where the next data, or the next hole, begins; the end of the file if there is none."""
    try:
        return min(os.lseek(descriptor, offset, whence), size)
    except OSError as error:
        if error.errno == errno.ENXIO:  # no data past here
            return size
        return offset if whence == os.SEEK_DATA else size  # a file system without holes: all is data
