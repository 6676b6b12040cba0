"""Requests to replicas whose number follows them, as Ray Serve decides it. A new one answers after its cold start."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy

from benchmarks.cluster.arrivals import Times
from benchmarks.cluster.outcome import Outcome
from benchmarks.cluster.replica import Replica
from benchmarks.cluster.routing import least_outstanding
from benchmarks.cluster.served import Service


@dataclass(frozen=True)
class Autoscaler:
    """As in Ray Serve's `AutoscalingConfig`, with its defaults, but for the target and the numbers of replicas.

    Ray Serve's target is 2. A replica that runs one call at a time is busy without a pause then.

    Args:
        target_ongoing: Requests that wait or run, for each replica.
        interval: Seconds between two looks.
        look_back: Seconds over which requests are averaged.
        upscale_delay: Seconds for which more must have been needed.
        downscale_delay: Seconds for which fewer must have done.
        least: Replicas, at least.
        most: Replicas, at most.
    """

    target_ongoing: float = 1.0
    interval: float = 10.0
    look_back: float = 30.0
    upscale_delay: float = 30.0
    downscale_delay: float = 600.0
    least: int = 1
    most: int = 32

    def desired(self, ongoing: float) -> int:
        """How many replicas there should be.

        Args:
            ongoing: Requests that wait or run, on average.
        """
        return min(max(math.ceil(ongoing / self.target_ongoing), self.least), self.most)


def serve_scaled(
    arrivals: Times, service: Service, cold_seconds: float, scaler: Autoscaler, start: int, limit: int
) -> Outcome:
    """Runs until each request is answered or refused.

    A GPU is held from the decision to start a replica until the replica is gone: a last answer, or the last request. A
    replica that goes answers what it has. None goes while one is starting.

    Args:
        arrivals: When requests come, seconds, ascending.
        service: How each replica answers.
        cold_seconds: From the decision until a replica takes requests.
        scaler: Decides.
        start: Replicas that are there at the beginning.
        limit: The requests that may wait or run at a replica.
    """
    run = _Run(service, cold_seconds, scaler, start, limit)
    return run.outcome(arrivals)


class _Run:
    def __init__(self, service: Service, cold_seconds: float, scaler: Autoscaler, start: int, limit: int) -> None:
        self.env = simpy.Environment()
        self.service, self.cold_seconds, self.scaler, self.limit = service, cold_seconds, scaler, limit
        self.answers: list[float] = []
        self.refused, self.starting, self.cold_gpu_seconds = 0, 0, 0.0
        self.ready = [self._replica() for _ in range(start)]
        self.gone: list[tuple[Replica, float]] = []

    def outcome(self, arrivals: Times) -> Outcome:
        self.env.process(self._arrive(arrivals))
        self.env.process(self._scale(float(arrivals[-1])))
        self.env.run()
        end = float(arrivals[-1])
        held = [(each, max(end, each.idle_since)) for each in self.ready]
        held += [(each, max(went, each.idle_since)) for each, went in self.gone]
        seconds = sum(until - each.began for each, until in held) + self.cold_gpu_seconds
        busy = tuple(each.busy_seconds for each, _ in held)
        return Outcome(len(arrivals), self.refused, np.asarray(self.answers), self.env.now, busy, seconds)

    def _replica(self) -> Replica:
        return Replica(self.env, self.service, self.limit, lambda came, done: self.answers.append(done - came))

    def _arrive(self, arrivals: Times) -> Generator[simpy.Event, Any, None]:
        route = least_outstanding()
        for at in arrivals.tolist():
            yield self.env.timeout(max(at - self.env.now, 0.0))
            self.refused += not self.ready[route(self.ready)].offer()

    def _scale(self, end: float) -> Generator[simpy.Event, Any, None]:
        scaler = self.scaler
        seen: deque[int] = deque(maxlen=max(round(scaler.look_back / scaler.interval), 1))
        more = fewer = 0.0  # seconds for which they were called for
        while self.env.now + scaler.interval < end:
            yield self.env.timeout(scaler.interval)
            going = sum(each.outstanding for each, _ in self.gone)
            seen.append(going + sum(each.outstanding for each in self.ready))
            wanted = scaler.desired(sum(seen) / len(seen)) - len(self.ready) - self.starting
            more = more + scaler.interval if wanted > 0 else 0.0
            fewer = fewer + scaler.interval if wanted < 0 else 0.0
            if wanted > 0 and more >= scaler.upscale_delay:
                for _ in range(wanted):
                    self.env.process(self._start(end))
                more = 0.0
            elif wanted < 0 and fewer >= scaler.downscale_delay and not self.starting:
                for _ in range(-wanted):
                    idlest = min(self.ready, key=lambda each: each.outstanding)
                    self.ready.remove(idlest)
                    self.gone.append((idlest, self.env.now))
                fewer = 0.0

    def _start(self, end: float) -> Generator[simpy.Event, Any, None]:
        self.starting += 1
        self.cold_gpu_seconds += min(self.cold_seconds, end - self.env.now)
        yield self.env.timeout(self.cold_seconds)
        self.starting -= 1
        if self.env.now < end:
            self.ready.append(self._replica())
