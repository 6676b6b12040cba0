"""What became of the requests of one run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Outcome:
    """The requests of a run, all of them answered or refused.

    Args:
        offered: The requests that came.
        refused: Those that found too many waiting.
        seconds: Of each answer: from the arrival of its request.
        horizon: When the last of it was done, in seconds.
        busy_seconds: Of each replica: the time in calls.
        gpu_seconds: The time for which GPUs were held.
    """

    offered: int
    refused: int
    seconds: NDArray[np.float64]
    horizon: float
    busy_seconds: tuple[float, ...]
    gpu_seconds: float

    def percentile_ms(self, percent: float) -> float:
        """Milliseconds within which so many of the answers came; NaN without answers.

        Args:
            percent: 50 for the median.
        """
        return float(np.percentile(self.seconds, percent)) * 1e3 if len(self.seconds) else float("nan")

    def missed(self, deadline: float) -> float:
        """The share of all requests that were refused or answered late.

        Args:
            deadline: Seconds from the arrival.
        """
        late = int(np.count_nonzero(self.seconds > deadline))
        return (self.refused + late) / self.offered if self.offered else 0.0

    @property
    def answers_per_second(self) -> float:
        return len(self.seconds) / self.horizon if self.horizon else 0.0

    @property
    def utilization(self) -> float:
        """The share of the GPUs' time that was spent in calls."""
        return sum(self.busy_seconds) / self.gpu_seconds if self.gpu_seconds else 0.0
