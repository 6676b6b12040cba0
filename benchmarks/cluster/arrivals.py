"""When requests come. A seed gives the same times, and the same for each of what is compared."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]


def poisson(rate: float, count: int, seed: int) -> Times:
    """Independent requests.

    Args:
        rate: A second, on average.
        count: How many.
        seed: Of the random numbers.

    Returns:
        Seconds, ascending.
    """
    return np.cumsum(np.random.default_rng(seed).exponential(1 / rate, count))


def steps(low: tuple[float, float], high: tuple[float, float], repeats: int, seed: int) -> Times:
    """Independent requests, whose rate is low and then high, again and again.

    Args:
        low: The first rate, a second, and how many seconds it lasts.
        high: The same of the other.
        repeats: How often both come.
        seed: Of the random numbers.

    Returns:
        Seconds, ascending, up to `repeats` times the seconds of both.
    """
    random = np.random.default_rng(seed)
    parts, begin = [], 0.0
    for rate, seconds in (low, high) * repeats:
        count = random.poisson(rate * seconds)
        parts.append(np.sort(random.uniform(begin, begin + seconds, count)))
        begin += seconds
    return np.concatenate(parts)
