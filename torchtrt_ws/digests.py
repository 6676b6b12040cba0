"""What a blob records of its engine's bytes: a fast checksum against damage, a digest that nobody can forge.

SHA-256 takes longer than copying (1.8 GB/s with the instructions for it), so it runs in a thread beside that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeAlias

from torchtrt_ws.errors import EngineError

__all__ = ["UNKNOWN", "Digests", "Hasher", "Hashing", "add_to_crc32c"]

Buffer: TypeAlias = "bytes | bytearray | memoryview"


class Digests(NamedTuple):
    """Of one engine: CRC-32C as 8 and SHA-256 as 64 lower-case hexadecimal digits."""

    crc32c: str
    sha256: str


UNKNOWN = Digests("0" * 8, "0" * 64)  # holds their place in a blob until they are known


class Hasher:
    """Takes an engine piece by piece."""

    def __init__(self) -> None:
        self.size = 0  # bytes taken
        self._crc32c = 0
        self._sha256 = hashlib.sha256()

    def update(self, piece: Buffer) -> None:
        """Takes `piece`, the next bytes. An EngineError without the package `crc32c`."""
        self._crc32c = add_to_crc32c(piece, self._crc32c)
        self._sha256.update(piece)
        self.size += memoryview(piece).nbytes

    def digests(self) -> Digests:
        """Of all bytes taken so far."""
        return Digests(f"{self._crc32c:08x}", self._sha256.hexdigest())


class Hashing:
    """A hasher in a thread, beside whatever else is done with the same bytes. `stop` it, or use it as a context.

    Args:
        pieces: All bytes in order, which must not change until `digests` returns.
        pool: The thread that does it, after what it was given before; None for one of its own.
    """

    def __init__(self, pieces: Iterable[Buffer], pool: ThreadPoolExecutor | None = None) -> None:
        self._stopped = False
        self._own_pool = ThreadPoolExecutor(1, "digests") if pool is None else None
        thread = pool or self._own_pool
        assert thread is not None, "one of the two"
        self._pending: Future[Digests] = thread.submit(self._run, pieces)

    def __enter__(self) -> Hashing:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def digests(self) -> Digests:
        """Waits for the last piece. What the iterator of the pieces raises comes out here."""
        return self._pending.result()

    def stop(self) -> None:
        """Gives up after the piece at hand."""
        self._stopped = True
        self._pending.cancel()
        if self._own_pool is not None:
            self._own_pool.shutdown()

    def _run(self, pieces: Iterable[Buffer]) -> Digests:
        hasher = Hasher()
        for piece in pieces:
            if self._stopped:
                break
            hasher.update(piece)
        return hasher.digests()


def add_to_crc32c(piece: Buffer, before: int) -> int:
    """The CRC-32C of some bytes and those that follow them.

    Args:
        piece: What follows.
        before: The CRC-32C of the first ones; 0 for none.

    Raises:
        EngineError: The package `crc32c` is not installed.
    """
    try:
        from crc32c import crc32c  # not at the top: what only reads programs needs no checksums
    except ImportError:
        next_step = "pip install torchtrt-ws[export], or crc32c alone."
        raise EngineError("crc32c", "no such package", "crc32c, for the checksum of each engine", next_step) from None
    return int(crc32c(piece, before))
