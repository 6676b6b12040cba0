"""Engines that are hashed in a thread: beside the copy, and before it while ExecuTorch lowers the graph around them."""

from __future__ import annotations

import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from torchtrt_ws.digests import Digests, Hashing
from torchtrt_ws.export.engine.built_engine import Payload

__all__ = ["Hashed", "hashed_early"]

_SWITCH_EVERY = 1e-4  # seconds


class Hashed(ABC):
    """What payloads of plain bytes share: digests that are found once, in a thread, and early where there is time."""

    def __init__(self) -> None:
        self._digests: Digests | None = None
        self._hashing: Hashing | None = None

    @property
    def digests(self) -> Digests:
        with self._hashed():
            return self._found()

    def begin(self, pool: ThreadPoolExecutor) -> None:
        """Hashes in the thread of `pool` from now on, until `stop`; nothing if the digests are known."""
        if self._digests is None and self._hashing is None:
            self._hashing = Hashing(self._pieces(), pool)

    def stop(self) -> None:
        """Ends what `begin` began."""
        if self._hashing is not None:
            self._hashing.stop()
            self._hashing = None

    @contextmanager
    def _hashed(self) -> Iterator[None]:
        if self._digests is None and self._hashing is None:
            self._hashing = Hashing(self._pieces())
        try:
            yield
        finally:
            self.stop()

    def _found(self) -> Digests:
        if self._digests is None:
            assert self._hashing is not None, "called within _hashed()"
            self._digests = self._hashing.digests()
        return self._digests

    @abstractmethod
    def _pieces(self) -> Iterator[memoryview]:
        """All bytes, each piece good until the next one is asked for."""


@contextmanager
def hashed_early(payloads: Iterable[Payload]) -> Iterator[None]:
    """Hashes engines while something else is done, one after the other: ExecuTorch lowers with one processor only.

    Args:
        payloads: The engines, in the order in which they will be written.

    Returns:
        A context. What is not hashed at its end is given up.
    """
    hashed = [payload for payload in payloads if isinstance(payload, Hashed)]
    pool = ThreadPoolExecutor(1, "digests")
    with _quick_switches:
        try:
            for payload in hashed:
                payload.begin(pool)
            yield
        finally:
            for payload in hashed:
                payload.stop()
            pool.shutdown()


class _QuickSwitches:
    """Lets a thread that needs the interpreter for a moment, between two pieces, have it at once.

    Python gives it away every 5 ms, and a piece is hashed in 0.6: beside a busy thread hashing would stand still.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0  # under the lock, as _before: saves may overlap, and the last one puts back what was
        self._before = 0.0

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self._before = sys.getswitchinterval()
                sys.setswitchinterval(min(self._before, _SWITCH_EVERY))
            self._users += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                sys.setswitchinterval(self._before)


_quick_switches = _QuickSwitches()
