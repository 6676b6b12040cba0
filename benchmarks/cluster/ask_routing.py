"""GPUs of several sizes: who should get a request? And how many replicas of one size make waiting rare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.cluster.arrivals import poisson
from benchmarks.cluster.outcome import Outcome
from benchmarks.cluster.routing import POLICIES, least_outstanding
from benchmarks.cluster.served import Service
from benchmarks.cluster.serving import serve

LOADS = (0.2, 0.4, 0.6, 0.8)
REPLICAS = (1, 2, 4, 8, 16)


def routing(
    services: Sequence[Service], count: int, limit: int, seed: int, loads: Sequence[float] = LOADS
) -> list[dict[str, Any]]:
    """Each policy at each load.

    Args:
        services: Of each replica.
        count: Requests of a run.
        limit: Of those at a replica.
        seed: Of the arrivals, which are the same for each policy.
        loads: Parts of what all replicas can answer.

    Returns:
        A row for each; times in milliseconds.
    """
    capacity = sum(each.requests_per_second for each in services)
    rows = []
    for load in loads:
        arrivals = poisson(load * capacity, count, seed)
        for policy, route in POLICIES.items():
            found = serve(arrivals, services, route(), limit)
            rows.append({"load": load, "policy": policy, "requests_per_second": load * capacity, **_told(found)})
    return rows


def replicas(service: Service, count: int, limit: int, seed: int) -> list[dict[str, Any]]:
    """Equal replicas at equal load, the more the less waiting.

    Args:
        service: Of each.
        count: Requests of a run.
        limit: Of those at a replica.
        seed: Of the arrivals.

    Returns:
        A row for each number and load; `p99_calls` is p99 in calls.
    """
    rows = []
    for load in LOADS:
        for number in REPLICAS:
            arrivals = poisson(load * number * service.requests_per_second, count, seed)
            found = serve(arrivals, [service] * number, least_outstanding(), limit)
            rows.append({"load": load, "replicas": number, **_told(found)})
            rows[-1]["p99_calls"] = rows[-1]["p99_ms"] / service.milliseconds
    return rows


def _told(found: Outcome) -> dict[str, float]:
    return {
        "p50_ms": found.percentile_ms(50),
        "p99_ms": found.percentile_ms(99),
        "answers_per_second": found.answers_per_second,
        "refused": found.refused / found.offered,
        "utilization": found.utilization,
    }
