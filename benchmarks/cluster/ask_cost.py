"""What 1000 requests cost at each budget: one GPU that holds all weights, or smaller ones that stream."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from benchmarks.cluster.arrivals import poisson
from benchmarks.cluster.gpus import Gpu
from benchmarks.cluster.routing import least_outstanding
from benchmarks.cluster.served import Served, Service
from benchmarks.cluster.serving import serve

PERCENTS = (25, 50, 75, 100)


def replicas_needed(service: Service, rate: float, deadline: float, count: int, limit: int, seed: int) -> int | None:
    """The fewest replicas of which 99 in 100 requests are answered in time, none refused.

    Args:
        service: Of each.
        rate: Requests a second.
        deadline: Seconds.
        count: Requests of a run.
        limit: Of those at a replica.
        seed: Of the arrivals.

    Returns:
        Their number; None if a request that does not wait is late already.
    """
    if service.milliseconds > deadline * 1e3:
        return None
    arrivals = poisson(rate, count, seed)
    number = max(math.ceil(rate / service.requests_per_second), 1)
    while True:
        found = serve(arrivals, [service] * number, least_outstanding(), limit)
        if found.refused == 0 and found.percentile_ms(99) <= deadline * 1e3:
            return number
        number += 1


def smallest(gpus: Sequence[Gpu], device_bytes: int) -> Gpu | None:
    """The cheapest GPU that has the memory; of equals the smallest.

    Args:
        gpus: To choose from.
        device_bytes: What the model takes.
    """
    fitting = [each for each in gpus if each.memory >= device_bytes]
    return min(fitting, key=lambda each: (each.price, each.memory), default=None)


def costs(
    served: Served, gpus: Sequence[Gpu], rates: Sequence[float], deadline: float, count: int, limit: int, seed: int
) -> list[dict[str, Any]]:
    """Each batch and budget at each rate, a replica to a GPU.

    Args:
        served: The model.
        gpus: Each replica has the cheapest that holds it.
        rates: Requests a second.
        deadline: Seconds.
        count: Requests of a run.
        limit: Of those at a replica.
        seed: Of the arrivals.

    Returns:
        A row for each. `cost` is that of 1000 requests in the unit of the GPUs' prices. `break_even` is the price of a
        GPU at which it costs what the same batch costs with all weights on the device, in parts of that one's price;
        `break_even_alone` compares with the smallest batch instead, one request a call on a GPU that holds all.
    """
    rows: list[dict[str, Any]] = []
    alone: dict[float, int | None] = {}
    for batch in sorted(served.points):
        for rate in rates:
            part = [_row(served, gpus, batch, percent, rate, deadline, count, limit, seed) for percent in PERCENTS]
            whole = part[-1]["replicas"]
            alone.setdefault(rate, whole)
            for row in part:
                row["break_even"] = _ratio(whole, row["replicas"])
                row["break_even_alone"] = _ratio(alone[rate], row["replicas"])
            rows += part
    return rows


def _ratio(whole: int | None, replicas: int | None) -> float | None:
    return None if whole is None or replicas is None else whole / replicas


def _row(
    served: Served,
    gpus: Sequence[Gpu],
    batch: int,
    percent: int,
    rate: float,
    deadline: float,
    count: int,
    limit: int,
    seed: int,
) -> dict[str, Any]:
    service = served.at_percent(percent, batch)
    gpu = smallest(gpus, service.device_bytes)
    row: dict[str, Any] = {"batch": batch, "percent": percent, "rate": rate, "device_bytes": service.device_bytes}
    if gpu is None:
        return {**row, "gpu": None, "ms": service.milliseconds, "replicas": None, "cost": None}
    service = gpu.scaled(service, served)
    number = replicas_needed(service, rate, deadline, count, limit, seed)
    cost = None if number is None else 1000 * number * gpu.price / (3600 * rate)
    return {**row, "gpu": gpu.name, "ms": service.milliseconds, "replicas": number, "cost": cost}
