"""Requests to a number of replicas that stays the same."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import simpy

from benchmarks.cluster.arrivals import Times
from benchmarks.cluster.outcome import Outcome
from benchmarks.cluster.replica import Replica
from benchmarks.cluster.routing import Route
from benchmarks.cluster.served import Service


def serve(arrivals: Times, services: Sequence[Service], route: Route, limit: int) -> Outcome:
    """Runs until each request is answered or refused. It begins and ends with nothing waiting.

    Args:
        arrivals: When requests come, seconds, ascending.
        services: Of each replica: how it answers.
        route: Who gets a request. If that one is full, the request is refused.
        limit: The requests that may wait or run at a replica.
    """
    env = simpy.Environment()
    answers: list[float] = []
    replicas = [Replica(env, each, limit, lambda came, done: answers.append(done - came)) for each in services]
    refused = 0

    def arrive() -> Generator[simpy.Event, Any, None]:
        nonlocal refused
        for at in arrivals.tolist():
            yield env.timeout(max(at - env.now, 0.0))
            refused += not replicas[route(replicas)].offer()

    env.process(arrive())
    env.run()
    busy = tuple(each.busy_seconds for each in replicas)
    return Outcome(len(arrivals), refused, np.asarray(answers), env.now, busy, env.now * len(replicas))
