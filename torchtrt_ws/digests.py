"""What a blob records of its engine's bytes: a fast checksum against damage, a digest that nobody can forge.

SHA-256 takes longer than copying, so it runs in a second thread on the piece that is being written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from torchtrt_ws.errors import EngineError

__all__ = ["UNKNOWN", "Digests", "Hasher", "ThreadedHasher"]


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

    def update(self, piece: bytes | bytearray | memoryview) -> None:
        """Takes `piece`, the next bytes. An EngineError without the package `crc32c`."""
        self._crc32c = _crc32c(piece, self._crc32c)
        self._sha256.update(piece)
        self.size += memoryview(piece).nbytes

    def digests(self) -> Digests:
        """Of all bytes taken so far."""
        return Digests(f"{self._crc32c:08x}", self._sha256.hexdigest())


class ThreadedHasher:
    """A hasher in a thread of its own; it does nothing at all where the digests are known.

    Args:
        known: What an earlier run found; None for nothing.
    """

    def __init__(self, known: Digests | None) -> None:
        self._known = known
        self._hasher = Hasher()
        self._pool = ThreadPoolExecutor(1, "digests")

    def __enter__(self) -> ThreadedHasher:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown()

    def start(self, piece: memoryview) -> Callable[[], None]:
        """Begins to hash `piece`; call the result before the piece changes."""
        if self._known is not None:
            return lambda: None
        pending: Future[None] = self._pool.submit(self._hasher.update, piece)
        return pending.result

    def digests(self) -> Digests:
        """Of all pieces, whose results were called."""
        return self._known or self._hasher.digests()


def _crc32c(piece: bytes | bytearray | memoryview, before: int) -> int:
    try:
        from crc32c import crc32c  # not at the top: what only reads programs needs no checksums
    except ImportError:
        next_step = "pip install torchtrt-ws[export], or crc32c alone."
        raise EngineError("crc32c", "no such package", "crc32c, for the checksum of each engine", next_step) from None
    return int(crc32c(piece, before))
