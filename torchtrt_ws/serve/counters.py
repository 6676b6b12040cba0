"""What a replica counts: requests, calls, rows, failures and time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, fields

__all__ = ["Counters", "summed"]


@dataclass
class Counters:
    """Counts of one replica since it was loaded, or of several (`summed`). Times are nanoseconds.

    Args:
        requests: Answered with outputs.
        refused: Answered with an error.
        rows: Of the requests that were answered; a request of a program whose requests cannot be joined is one.
        calls: Of the program that succeeded. Fewer than `requests` where some were joined.
        queue_ns: Between a request's arrival in the replica and its call, all requests together.
        compute_ns: In calls of the program that succeeded.
        last_ms: When the last call ended, in milliseconds since 1970; 0 before the first.
    """

    requests: int = 0
    refused: int = 0
    rows: int = 0
    calls: int = 0
    queue_ns: int = 0
    compute_ns: int = 0
    last_ms: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def called(self, requests: int, rows: int, queue_ns: int, compute_ns: int) -> None:
        """Counts a call that succeeded.

        Args:
            requests: That it answered.
            rows: That it had.
            queue_ns: What its requests waited, together.
            compute_ns: What it took.
        """
        with self._lock:
            self.requests += requests
            self.rows += rows
            self.calls += 1
            self.queue_ns += queue_ns
            self.compute_ns += compute_ns
            self.last_ms = time.time_ns() // 1_000_000

    def refuse(self) -> None:
        """Counts a request that was answered with an error."""
        with self._lock:
            self.refused += 1

    def as_dict(self) -> dict[str, int]:
        """All of them by name."""
        with self._lock:
            return {each.name: getattr(self, each.name) for each in fields(self) if not each.name.startswith("_")}


def summed(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    """The counts of several replicas: sums, and the latest `last_ms`.

    Args:
        counts: From `Counters.as_dict`.
    """
    total = Counters().as_dict()
    for each in counts:
        for name, value in each.items():
            total[name] = max(total[name], value) if name == "last_ms" else total[name] + value
    return total
