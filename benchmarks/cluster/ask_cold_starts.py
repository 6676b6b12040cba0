"""What a cold start costs: until the first answer, and in deadlines that an autoscaled service misses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.cluster.arrivals import steps
from benchmarks.cluster.autoscaling import Autoscaler, serve_scaled
from benchmarks.cluster.outcome import Outcome
from benchmarks.cluster.routing import least_outstanding
from benchmarks.cluster.served import Service
from benchmarks.cluster.serving import serve


@dataclass(frozen=True)
class Load:
    """Requests whose rate is low and then high.

    Args:
        low: In replicas that would be busy all of the time.
        high: The same.
        low_seconds: How long the low rate lasts.
        high_seconds: And the high one.
        repeats: How often both come.
        seed: Of the arrivals.
    """

    low: float
    high: float
    low_seconds: float
    high_seconds: float
    repeats: int
    seed: int


def cold_start_costs(
    starts: Sequence[tuple[str, float]], service: Service, load: Load, scaler: Autoscaler, deadline: float, limit: int
) -> list[dict[str, Any]]:
    """Each cold start under the same requests, and as many replicas all of the time as autoscaling may have.

    Args:
        starts: What a node has already, and the seconds until a replica on it takes requests.
        service: Of each replica.
        load: The requests.
        scaler: Decides.
        deadline: Seconds.
        limit: Of the requests at a replica.

    Returns:
        A row for each of `starts`, then one for the fixed number.
    """
    rate = service.requests_per_second
    low, high = (load.low * rate, load.low_seconds), (load.high * rate, load.high_seconds)
    arrivals = steps(low, high, load.repeats, load.seed)
    begin = math.ceil(load.low)
    rows = []
    for found, seconds in starts:
        outcome = serve_scaled(arrivals, service, seconds, scaler, begin, limit)
        rows.append({"found": found, "cold_start_seconds": seconds, **_told(outcome, deadline)})
    outcome = serve(arrivals, [service] * scaler.most, least_outstanding(), limit)
    found = f"no autoscaling, {scaler.most} replicas"
    rows.append({"found": found, "cold_start_seconds": None, **_told(outcome, deadline)})
    return rows


def _told(found: Outcome, deadline: float) -> dict[str, float]:
    return {
        "missed": found.missed(deadline),
        "p50_ms": found.percentile_ms(50),
        "p99_ms": found.percentile_ms(99),
        "gpu_hours": found.gpu_seconds / 3600,
        "utilization": found.utilization,
    }
