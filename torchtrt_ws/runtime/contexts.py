"""The contexts of one program: native programs on one copy of the weights, of which each call takes one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torchtrt_ws.runtime.native import _native, translated

__all__ = ["Contexts"]


class Contexts:
    """As many calls at the same time as there are native programs; further ones wait, in the order of arrival.

    Args:
        natives: Programs of one file, loaded with the same options, their methods in the same order; at least one.
    """

    def __init__(self, natives: Sequence[_native.Program]) -> None:
        self._natives = tuple(natives)
        self._single = self._natives[0] if len(self._natives) == 1 else None
        self._lock = threading.Lock()  # guards the two below; held for moments only
        self._free = list(reversed(self._natives))  # the last one first: its memory is warm, and its graphs captured
        self._waiting: deque[_Waiter] = deque()

    def __len__(self) -> int:
        return len(self._natives)

    @contextmanager
    def taken(self) -> Iterator[_native.Program]:
        """One of them for a `with` block."""
        native = self.take()
        try:
            yield native
        finally:
            self.give_back(native)

    def take(self) -> _native.Program:
        """One of them, for `give_back`. A single one is always free: its calls take turns by its own lock."""
        if self._single is not None:
            return self._single
        with self._lock:
            if self._free:
                return self._free.pop()
            waiter = _Waiter()
            self._waiting.append(waiter)
        try:
            waiter.called.acquire()
        except BaseException:  # Ctrl-C: what was handed over meanwhile goes to the next
            with self._lock:
                if waiter.native is None:
                    self._waiting.remove(waiter)
            if waiter.native is not None:
                self.give_back(waiter.native)
            raise
        assert waiter.native is not None
        return waiter.native

    def give_back(self, native: _native.Program) -> None:
        """Gives `native` to who waits longest, directly: a call that comes later cannot overtake it."""
        if self._single is not None:
            return
        with self._lock:
            if not self._waiting:
                self._free.append(native)
                return
            waiter = self._waiting.popleft()
            waiter.native = native
            waiter.called.release()

    def close(self) -> None:
        """Unloads all, each after the calls that came before. Later ones are refused."""
        for native in self._natives:
            native.close()

    def refit(self, weights: list[tuple[str, str, int, Any]], engine: str | None) -> None:
        """Gives engines other weights while no call is in flight in any of them; see `Program.refit`.

        Args:
            weights: From `new_weights`.
            engine: Which engine; None: the one that knows each weight.
        """
        with translated():
            _native.refit(list(self._natives), weights, engine or "")

    def engine_ids(self) -> list[int]:
        """Ids of the engines of the first context, in loading order."""
        return _ids(self._natives[0])

    def ids_of(self, position: int) -> list[int]:
        """Ids of one engine in all contexts, the first's first. `position`: in loading order."""
        return [_ids(native)[position] for native in self._natives]

    def all_ids(self) -> list[int]:
        """Ids of the engines of all contexts."""
        return [identifier for native in self._natives for identifier in _ids(native)]

    def beside_the_first(self) -> set[int]:
        """Ids of the engines of all other contexts."""
        return {identifier for native in self._natives[1:] for identifier in _ids(native)}

    def with_budgets(self, ids: Sequence[int]) -> list[int]:
        """`ids`, of engines of the first context, and those of the same engines elsewhere that have their own budgets.

        TensorRT's contexts share weights and budget, so a change of the first's is for all. Host engines map the same
        pages, but each keeps them in memory by itself.
        """
        positions = [position for position, identifier in enumerate(self.engine_ids()) if identifier in ids]
        more = [identifier for position in positions for identifier in self.ids_of(position)[1:]]
        return [*ids, *(each for each in more if set(ids).isdisjoint(_native.engine_report(each)["shared_with"]))]


def _ids(native: _native.Program) -> list[int]:
    with translated():  # it may be closed
        return native.engine_ids()


class _Waiter:
    """A call without a context."""

    def __init__(self) -> None:
        self.native: _native.Program | None = None
        self.called = threading.Lock()  # a semaphore: released by whoever hands a context over
        self.called.acquire()
