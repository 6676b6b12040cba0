"""The loaded program that is measured: its budgets are changed, its calls are timed, and the samples are kept."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from torchtrt_ws.errors import ProgramError
from torchtrt_ws.measuring.inputs import CallInputs
from torchtrt_ws.measuring.report import EngineAt, Measurement
from torchtrt_ws.measuring.samples import timing
from torchtrt_ws.measuring.surroundings import resident_bytes
from torchtrt_ws.runtime import Engine, Program

__all__ = ["Group", "Samples", "Subject"]

_LEAST_CALLS, _MOST_CALLS = 3, 2000  # of one look; more make no median better


@dataclass(frozen=True)
class Group:
    """Engines on the same weights: one budget, and as a rule one engine.

    Args:
        name: The first one's name.
        engines: All of them.
        methods: Whose they are.
        streamable_bytes: Weights that can be streamed.
    """

    name: str
    engines: tuple[Engine, ...]
    methods: tuple[str, ...]
    streamable_bytes: int


@dataclass
class _EngineSamples:
    budget_bytes: int
    device_bytes: int = 0
    streamed_bytes: int = 0
    seconds: list[float] = field(default_factory=list)


@dataclass
class Samples:
    """Every call that was timed with the same budgets and the same batch, whenever that was. Fields: `Measurement`."""

    batch: int | None
    budget_bytes: int
    device_bytes: int = 0
    host_bytes: int = 0
    calls: list[float] = field(default_factory=list)
    beyond: list[float] = field(default_factory=list)  # of each call, what is not its engines' time
    engines: dict[str, _EngineSamples] = field(default_factory=dict)

    def measurement(self) -> Measurement:
        """What they come to."""
        engines = {
            name: EngineAt(each.budget_bytes, each.device_bytes, each.streamed_bytes, timing(each.seconds))
            for name, each in self.engines.items()
            if each.seconds
        }
        sizes = self.budget_bytes, self.device_bytes, self.host_bytes
        return Measurement(self.batch, *sizes, timing(self.calls), engines)


class Subject:
    """A program under measurement.

    Args:
        program: Loaded.
        methods: Which of its methods are called.
        inputs: What they are given, for each batch.
        warm_up: Calls before those that count, after each change.
    """

    def __init__(self, program: Program, methods: Sequence[str], inputs: Sequence[CallInputs], warm_up: int) -> None:
        self.engines = tuple(engine for engine in program.engines if engine.method in methods)
        self.methods = tuple(methods)
        self.groups = tuple(_groups(self.engines))
        self._program, self._inputs, self._warm_up = program, inputs, warm_up
        self._samples: dict[tuple[object, ...], Samples] = {}

    def streaming_groups(self) -> list[Group]:
        """The groups with weights that can be streamed."""
        return [group for group in self.groups if group.streamable_bytes]

    def set_budget(self, group: Group, budget: int | str) -> int:
        """Gives a group another budget, in the forms of `Engine.set_budget`.

        Returns:
            Bytes that it keeps, as the engine says.

        Raises:
            CapacityError: It does not fit. The old budget stays.
        """
        leader = group.engines[0]
        if budget != leader.budget_bytes:
            leader.set_budget(budget)
        return leader.budget_bytes

    def set_budgets(self, budgets: Mapping[str, int]) -> None:
        """Gives the groups of these names other budgets; those that shrink come first.

        Raises:
            CapacityError: One of `budgets` does not fit. Those before it have changed.
        """
        groups = [group for group in self.groups if group.name in budgets]
        for group in sorted(groups, key=lambda each: budgets[each.name] - each.engines[0].budget_bytes):
            self.set_budget(group, budgets[group.name])

    def look(self, methods: Sequence[str], seconds: float) -> list[Samples]:
        """Times calls with the budgets that are set.

        Args:
            methods: Which are called, in turn, for one call of the program.
            seconds: For the calls that count, of all batches; three of each are made in any case.

        Returns:
            For each batch all samples with these methods and budgets, those of earlier looks among them.

        Raises:
            ProgramError: An engine that the calls do not reach, or inputs that do not fit.
            EngineError: An engine failed.
        """
        return [self._look(methods, inputs, seconds / len(self._inputs)) for inputs in self._inputs]

    def _look(self, methods: Sequence[str], inputs: CallInputs, seconds: float) -> Samples:
        engines = [engine for engine in self.engines if engine.method in methods]
        for _ in range(self._warm_up):
            self._call(methods, inputs)
        samples = self._samples_of(methods, inputs.batch)
        before = {engine.name: engine.as_dict() for engine in engines}
        ends = time.perf_counter() + seconds
        made = 0
        while made < _LEAST_CALLS or (made < _MOST_CALLS and time.perf_counter() < ends):
            call = self._call(methods, inputs)
            made += 1
            in_engines = 0.0
            for engine in engines:
                now, then = engine.as_dict(), before[engine.name]
                before[engine.name] = now
                runs, spent = now["runs"] - then["runs"], now["seconds"] - then["seconds"]
                if not runs:
                    continue  # behind a condition
                mine = samples.engines.setdefault(engine.name, _EngineSamples(now["budget_bytes"]))
                mine.seconds.append(spent / runs)
                mine.streamed_bytes = (now["streamed_bytes"] - then["streamed_bytes"]) // runs
                mine.device_bytes = max(mine.device_bytes, now["device_bytes"])
                in_engines += spent
            samples.calls.append(call)
            samples.beyond.append(call - in_engines)
        for engine in engines:
            if engine.name not in samples.engines:
                found = f"no run of engine {engine.name!r} in {made} calls"
                raise ProgramError("inputs", found, "inputs that reach every engine", "Give others, or another method.")
        samples.host_bytes = resident_bytes()
        samples.device_bytes = max(samples.device_bytes, sum(engine.device_bytes for engine in self._program.engines))
        return samples

    def overhead_milliseconds(self) -> float:
        """What a call of all methods takes beyond its engines' own times: the median of all that were timed."""
        whole = [each for key, each in self._samples.items() if key[0] == self.methods]
        return max(median([beyond for each in whole for beyond in each.beyond]) * 1e3, 0.0) if whole else 0.0

    def _samples_of(self, methods: Sequence[str], batch: int | None) -> Samples:
        budgets = tuple(group.engines[0].budget_bytes for group in self.groups)
        return self._samples.setdefault((tuple(methods), budgets, batch), Samples(batch, sum(budgets)))

    def _call(self, methods: Sequence[str], inputs: CallInputs) -> float:
        started = time.perf_counter()
        for method in methods:
            self._program.run(method, *inputs.of[method])
        return time.perf_counter() - started


def _groups(engines: Sequence[Engine]) -> list[Group]:
    groups: list[Group] = []
    seen: set[str] = set()
    for engine in engines:
        if engine.name in seen:
            continue
        sharing = {engine.name, *engine.shared_with}
        together = tuple(each for each in engines if each.name in sharing)
        seen.update(each.name for each in together)
        methods = tuple(dict.fromkeys(each.method for each in together))
        groups.append(Group(engine.name, together, methods, engine.streamable_bytes))
    return groups
