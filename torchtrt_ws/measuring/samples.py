"""What a number of equal calls took: the few numbers that stand for all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Timing", "timing"]


@dataclass(frozen=True)
class Timing:
    """Times of equal calls, in milliseconds.

    Args:
        runs: How many calls.
        milliseconds: The median.
        p99_milliseconds: 99 of 100 calls took no longer (nearest rank: the longest, of less than 100).
        least_milliseconds: The shortest.
        error_milliseconds: What the median would differ by, if the same were measured again: roughly.
    """

    runs: int
    milliseconds: float
    p99_milliseconds: float
    least_milliseconds: float
    error_milliseconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The keys of `torchtrt-ws bench --json`."""
        return {
            "runs": self.runs,
            "milliseconds": self.milliseconds,
            "p99_milliseconds": self.p99_milliseconds,
            "least_milliseconds": self.least_milliseconds,
        }


def timing(seconds: Sequence[float]) -> Timing:
    """Sums up what calls took.

    Args:
        seconds: Of each call, at least one.
    """
    ordered = sorted(seconds)
    count = len(ordered)
    middle = count // 2
    median = ordered[middle] if count % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    # Of a median the error is 1.25 times that of a mean, and half of all calls lie within 1.35 deviations.
    spread = _rank(ordered, 0.75) - _rank(ordered, 0.25)
    error = 1.25 * spread / 1.35 / math.sqrt(count)
    return Timing(count, median * 1e3, _rank(ordered, 0.99) * 1e3, ordered[0] * 1e3, error * 1e3)


def _rank(ordered: Sequence[float], share: float) -> float:
    """The value that `share` of all do not exceed."""
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]
