"""Measures the engines of one group over their budgets, within a time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from torchtrt_ws.budget.grammar import Bytes, Percent, parse
from torchtrt_ws.budget.latency import worth_using
from torchtrt_ws.budget.profile import Point
from torchtrt_ws.errors import CapacityError
from torchtrt_ws.measuring.clock import Clock
from torchtrt_ws.measuring.report import Unfit
from torchtrt_ws.measuring.samples import timing
from torchtrt_ws.measuring.subject import Group, Samples, Subject
from torchtrt_ws.measuring.sweep import Range, Seen, next_budget, resolution_of

__all__ = ["GroupSweep"]

_LOOKS = 160  # that the time is divided by: 65 budgets at most, and again those that are kept
_MOST_SECONDS = 1.0  # of one look
_FIRST_PASS = 0.6  # of the time
_MORE_PASSES = 2


class GroupSweep:
    """One group's measurements. The other groups stay at the budgets that they have.

    Args:
        subject: The program.
        group: The engines.
        methods: What is called: the group's own methods, or all of them.
        resolution: Bytes between two measurements that have nothing between them; None for the usual ones.
    """

    def __init__(self, subject: Subject, group: Group, methods: Sequence[str], resolution: int | None) -> None:
        self._subject, self._group, self._methods = subject, group, methods
        self._resolution = resolution or resolution_of(group.streamable_bytes)
        self._fits: int | None = None
        self._slice = self._last_look = 0.0  # seconds: for the calls of one look, and what the last one took in all
        self._seen: dict[int, Seen] = {}
        #: Samples by the budget that the engine keeps, and the batch.
        self.samples: dict[int, list[Samples]] = {}
        #: Budgets that did not fit.
        self.unfit: list[Unfit] = []
        #: False if the time was over before the steps were known.
        self.finished = True
        #: Bytes that streaming needs beside the budget.
        self.scratch_bytes = 0

    def run(self, clock: Clock, until: float, budgets: Sequence[int | str] | None, first: Iterable[int]) -> None:
        """Measures; the group keeps the last budget.

        Args:
            clock: The time.
            until: The share of it after which this ends; no budget and full residency are measured in any case.
            budgets: What to measure, in the forms of `Engine.set_budget`; None to look for the steps.
            first: Budgets that are measured before others, if steps are looked for.
        """
        seconds = max(clock.left(until), 0.0)
        ends = clock.spent + seconds
        looks = _LOOKS if budgets is None else 2 * (len(budgets) + 2)
        self._slice = min(seconds / looks, _MOST_SECONDS)
        self._look(0, clock)
        self.scratch_bytes = max(engine.scratch_bytes for engine in self._group.engines)
        if budgets is None:
            self._find_steps(clock, ends - seconds * (1 - _FIRST_PASS), tuple(first))
        else:
            streamable = self._group.streamable_bytes
            wanted = [self._wanted(each) for each in budgets]
            for budget in sorted(wanted, key=lambda each: each == streamable):  # what is on the device leaves slowly
                self._look(budget, clock)
        if self._group.streamable_bytes not in self._seen:
            self._look(self._group.streamable_bytes, clock)
        self._look_again(clock, ends)

    def points(self) -> list[Point]:
        """By budget, the time of all the group's engines together at the first batch."""
        found = []
        for budget, batches in sorted(self.samples.items()):
            mine = [timing(batches[0].engines[engine.name].seconds) for engine in self._group.engines]
            device = sum(batches[0].engines[engine.name].device_bytes for engine in self._group.engines)
            found.append(Point(budget, max(device, budget), sum(each.milliseconds for each in mine)))
        return found

    def _span(self, first: tuple[int, ...] = ()) -> Range:
        return Range(self._group.streamable_bytes, self.scratch_bytes, self._resolution, self._fits, first)

    def _wanted(self, budget: int | str) -> int | str:
        """Bytes where they are known now, as a load would take them; what depends on the device, the engine tells."""
        form, streamable = parse(budget, "budgets"), self._group.streamable_bytes
        if isinstance(form, Bytes):
            return min(form.value, streamable)
        return self._span().taken(streamable * form.value // 100) if isinstance(form, Percent) else budget

    def _find_steps(self, clock: Clock, ends: float, first: tuple[int, ...]) -> None:
        while True:
            budget = next_budget(list(self._seen.values()), self._span(first))
            if budget is None:
                return
            if clock.spent + self._last_look > ends:
                self.finished = False
                return
            self._look(budget, clock)

    def _look_again(self, clock: Clock, ends: float) -> None:
        """What is worth using, and the ends, in other orders: what drifts with time is then in none of them alone."""
        for number in range(_MORE_PASSES):
            kept = {point.budget_bytes for point in worth_using(self.points())}
            kept |= {min(self.samples), max(self.samples)}
            for budget in sorted(kept, reverse=number % 2 == 0):
                if clock.spent + self._last_look > ends:
                    return
                self._look(budget, clock)

    def _look(self, budget: int | str, clock: Clock) -> None:
        share = f"{budget / (self._group.streamable_bytes or 1):.0%}" if isinstance(budget, int) else budget
        clock.tell(f"{self._group.name} at {share}")
        started = time.perf_counter()
        try:
            kept = self._subject.set_budget(self._group, budget)
        except CapacityError as error:
            if budget == 0:
                raise
            if isinstance(budget, int):
                self._fits = min(budget, budget if self._fits is None else self._fits)
                self.unfit.append(Unfit(self._group.name, budget, str(error)))
            return
        samples = self.samples[kept] = self._subject.look(self._methods, self._slice)
        self._last_look = time.perf_counter() - started
        timings = [timing(batch.engines[engine.name].seconds) for batch in samples for engine in self._group.engines]
        self._seen[budget if isinstance(budget, int) else kept] = Seen(
            budget if isinstance(budget, int) else kept,
            sum(samples[0].engines[engine.name].device_bytes for engine in self._group.engines),
            tuple(each.milliseconds for each in timings),
            tuple(each.error_milliseconds for each in timings),
        )
