"""A program called directly, without a server: what services are compared with."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def floor(
    path: Path, budgets: Sequence[str], rows: Sequence[int], make: Callable[[int], np.ndarray], calls: int
) -> list[dict[str, Any]]:
    """Median seconds of a call.

    Args:
        path: A program of one input, whose first dimension varies.
        budgets: What is loaded, one after the other.
        rows: How many a call has.
        make: The input of so many rows.
        calls: Of which the median is.

    Returns:
        For each `budget` and `rows` the `seconds`.
    """
    import torchtrt_ws

    found = []
    for budget in budgets:
        with torchtrt_ws.load(path, weight_streaming_budget=budget) as program:
            for count in rows:
                x = make(count)
                seconds = []
                for _ in range(calls):
                    began = time.perf_counter()
                    program(x)
                    seconds.append(time.perf_counter() - began)
                found.append({"budget": budget, "rows": count, "seconds": statistics.median(seconds)})
    return found
