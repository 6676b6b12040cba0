"""The time that may be spent, and what is told of it meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Clock", "Progress"]

Progress = Callable[[float, float, str], None]  # seconds that went by, seconds in all, what is measured now


class Clock:
    """Counts from when it is made.

    Args:
        seconds: What may be spent.
        progress: Who is told; None: nobody.
    """

    def __init__(self, seconds: float, progress: Progress | None = None) -> None:
        self.seconds = seconds
        self._started = time.perf_counter()
        self._progress = progress

    @property
    def spent(self) -> float:
        """Seconds that went by."""
        return time.perf_counter() - self._started

    def left(self, share: float = 1.0) -> float:
        """Seconds that are left of the first `share` of all; less than 0 when that is over."""
        return self.seconds * share - self.spent

    def tell(self, what: str) -> None:
        """Tells who asked for it `what` is measured now."""
        if self._progress is not None:
            self._progress(self.spent, self.seconds, what)
