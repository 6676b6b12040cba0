"""A program as functions of its memory: budgets, and from these what it takes and how long a call is. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torchtrt_ws.planning.choice import choose
from torchtrt_ws.planning.facts import KnownEngine, Measured, groups_of
from torchtrt_ws.planning.memory import WeightGroup, everything, least, most, needed
from torchtrt_ws.planning.prediction import BOUND, EXTRAPOLATED, MEASURED, Prediction, at_budget, together

__all__ = ["ProgramModel"]

_BISECTIONS = 30  # of the memory: to the byte below 1 GiB, and to a few bytes of what fits on a GPU


class ProgramModel:
    """A program on devices that are not here. Budgets are bytes by the name of the engine that has the weights.

    Args:
        engines: What is known of each engine.
        measured: The profile.
        speed: Bytes a second from the host to the device, for a bound; None if not known.
        margin: Bytes of each device that stay free.
    """

    def __init__(self, engines: Sequence[KnownEngine], measured: Measured, speed: float | None, margin: int) -> None:
        self.engines, self.speed, self.margin = engines, speed, margin
        self.devices = groups_of(engines)
        self.groups = [group for groups in self.devices.values() for group in groups]
        self.overhead = measured.overhead_milliseconds
        self.notes, self.gpus = measured.notes, measured.gpus
        self.is_measured = measured.engines is not None

    def choose(self, memory: int) -> dict[str, int] | None:
        """The best budgets within `memory` bytes of each device; None if none fit."""
        return self._of_all(lambda groups: choose(memory - self.margin, groups))

    def least(self) -> dict[str, int]:
        """The budgets that take the least memory."""
        return self._of_all(least) or {}

    def everything(self) -> dict[str, int]:
        """The budgets that keep all weights on the device."""
        return self._of_all(everything) or {}

    def memory(self, budgets: Mapping[str, int]) -> int:
        """Bytes that `budgets` take, with the margin, of the device that they take most of."""
        return max(needed(budgets, groups) for groups in self.devices.values()) + self.margin

    def budget_of(self, engine: KnownEngine, budgets: Mapping[str, int]) -> int:
        """What `engine` has of `budgets`."""
        return budgets[engine.weights_of or engine.info.name]

    def time_of(self, engine: KnownEngine, budget: int) -> Prediction | None:
        """One call of `engine` with a `budget` in bytes; None if nothing can be told."""
        if engine.points:
            found = at_budget(engine.points, budget)
            reach = EXTRAPOLATED if budget > engine.measured_bytes else MEASURED
            return together([found, Prediction(0.0, engine.basis), Prediction(0.0, reach)])
        streamed = engine.streamable - budget
        return Prediction(streamed / self.speed * 1e3, BOUND) if self.speed is not None and streamed > 0 else None

    def time(self, budgets: Mapping[str, int]) -> Prediction | None:
        """One call of each method with `budgets`. An engine that nothing is known of makes it a bound."""
        each = [self.time_of(engine, self.budget_of(engine, budgets)) for engine in self.engines]
        known = [prediction for prediction in each if prediction is not None]
        if not known or (self.speed is None and not self.is_measured):
            return None
        if len(known) < len(each):
            known.append(Prediction(0.0, BOUND))
        return together([*known, Prediction(self.overhead, MEASURED)])

    def memory_for(self, target: float) -> int | None:
        """The least memory in which the calls take at most `target` milliseconds, in bytes with the margin.

        By bisection, since more memory is never worse. None if there is none, or if times cannot be told.
        """
        if not self.is_measured and self.speed is None:
            return None

        def reached(memory: int) -> int | None:
            """What the best budgets within `memory` take, if they are fast enough."""
            budgets = self.choose(memory)
            found = None if budgets is None else self.time(budgets)
            fast = found is None or found.milliseconds <= target  # nothing is streamed, and nothing known of the rest
            return self.memory(budgets) if budgets is not None and fast else None

        low = self.memory(self.least()) - 1
        high = reached(max(most(groups) for groups in self.devices.values()) + self.margin)
        if high is None:
            return None
        step = max((high - low) >> _BISECTIONS, 1)
        while high - low > step:  # low is too little, high is enough
            middle = (low + high) // 2
            found = reached(middle)
            low, high = (middle, high) if found is None else (low, found)
        return high

    def _of_all(self, solve: Callable[[Sequence[WeightGroup]], dict[str, int] | None]) -> dict[str, int] | None:
        parts = [solve(groups) for groups in self.devices.values()]
        return None if None in parts else {name: value for part in parts if part for name, value in part.items()}
