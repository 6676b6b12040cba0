"""A replica: one call at a time, with the requests that wait when it begins, as many as fit."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from typing import Any

import simpy

from benchmarks.cluster.served import Service

Answered = Callable[[float, float], None]


class Replica:
    """One engine on one device.

    Args:
        env: The simulation.
        service: How it answers.
        limit: The requests that may wait or run; more are refused.
        answered: Is told of each answer: when its request came, and when it was done.
    """

    def __init__(self, env: simpy.Environment, service: Service, limit: int, answered: Answered) -> None:
        self.service, self.outstanding, self.busy_seconds, self.idle_since = service, 0, 0.0, env.now
        self.began = env.now
        self._env, self._limit, self._answered = env, limit, answered
        self._waiting: deque[float] = deque()  # when each came
        self._called = env.event()  # for the next one that comes to an idle replica
        env.process(self._serve())

    @property
    def full(self) -> bool:
        """True if a request would be refused."""
        return self.outstanding >= self._limit

    def offer(self) -> bool:
        """A request comes. True if it will be answered, False if it is refused."""
        if self.full:
            return False
        self.outstanding += 1
        self._waiting.append(self._env.now)
        if not self._called.triggered:
            self._called.succeed()
        return True

    def _serve(self) -> Generator[simpy.Event, Any, None]:
        seconds = self.service.milliseconds / 1e3
        while True:
            if not self._waiting:
                self._called = self._env.event()
                yield self._called
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self.service.batch))]
            yield self._env.timeout(seconds)
            self.busy_seconds += seconds
            self.outstanding -= len(batch)
            self.idle_since = self._env.now
            for came in batch:
                self._answered(came, self._env.now)
