"""Budgets by what was measured: which are worth their bytes, and where a total saves the most time.

Time over budget falls in steps and is not monotonic. On an H200 134 MB of a decoder's layers took 0.79 ms with 77 % of
them and 0.93 ms with 78 % (benchmarks/results/bench-h200-decoder.profile.json): the bytes between make it slower.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from torchtrt_ws.budget.profile import Point
from torchtrt_ws.budget.wire import KEY
from torchtrt_ws.errors import BudgetError

__all__ = ["TOLERANCE", "milliseconds_at", "snap", "split_by_latency", "worth_using"]

TOLERANCE = 0.01  # as fast: what medians of the same budget differ by from run to run
_MAX_STATES = 2048  # kept after each engine: measured times need tens. Beyond, the most promising stay


def worth_using(points: Sequence[Point], tolerance: float = TOLERANCE) -> list[Point]:
    """The measurements whose bytes buy something.

    Args:
        points: The measurements of one engine, at least one.
        tolerance: Two times are as fast if the longer exceeds the other by no more than this share.

    Returns:
        By budget; each is faster than all before it by more than `tolerance`, and none takes as much of the device as
        another that is at least as fast: full residency, which needs no scratch, takes less than a budget just under
        it. Of equals the smaller budget stays. 0 may be missing, if even that takes more than full residency.
    """
    # Device memory first: the other rule lets a budget just under full residency stand for it, within the tolerance.
    frontier: list[Point] = []
    for point in sorted(points, key=lambda each: (each.milliseconds, each.device_bytes, each.budget_bytes)):
        if not frontier or point.device_bytes < frontier[-1].device_bytes:
            frontier.append(point)
    kept: list[Point] = []
    for point in sorted(frontier, key=lambda each: each.budget_bytes):
        # Compared with what is kept: many small steps that make a large one are not lost in it.
        if not kept or point.milliseconds * (1 + tolerance) < kept[-1].milliseconds:
            kept.append(point)
    return kept


def milliseconds_at(budget: int, points: Sequence[Point]) -> float:
    """What one call takes at a budget, by the profile: as at the next smaller budget that was measured.

    Args:
        budget: Bytes, 0 or more.
        points: The measurements of one engine, by budget, the first at 0.
    """
    return points[bisect_right(points, budget, key=lambda point: point.budget_bytes) - 1].milliseconds


def snap(budget: int, points: Sequence[Point], tolerance: float = TOLERANCE) -> int:
    """Takes back the bytes of a budget that buy nothing.

    Args:
        budget: Bytes.
        points: The measurements of one engine.
        tolerance: As for `worth_using`.

    Returns:
        The largest budget, at most `budget`, that is worth using and as fast as every measured one up to `budget`. If
        there is none, `budget` itself: it lies where full residency takes less, which is more than may be given here.
        So does one above all that were measured: nobody knows what it buys.
    """
    if budget > max(point.budget_bytes for point in points):
        return budget
    within = [point for point in points if point.budget_bytes <= budget]
    worth = [point for point in worth_using(points, tolerance) if point.budget_bytes <= budget]
    if not worth:
        return budget
    fastest = min(point.milliseconds for point in within)
    return worth[-1].budget_bytes if worth[-1].milliseconds <= fastest * (1 + tolerance) else budget


class _State(NamedTuple):
    """Budgets for the first engines. Sorts by bytes, then by time."""

    bytes: int
    milliseconds: float
    choice: int  # the last engine's budget
    before: _State | None


def split_by_latency(total: int, engines: Mapping[str, Sequence[Point]]) -> dict[str, int]:
    """Splits a total over engines so that by their measurements all calls together take the least time.

    Args:
        total: Bytes for all engines, 0 or more.
        engines: Engine name to its measurements, one with budget 0 among them.

    Returns:
        Engine name to bytes, that sum to `total` at most: each a budget that is worth using, or 0. Exact: a
        multiple-choice knapsack over the frontier of bytes and time, engine by engine.

    Raises:
        BudgetError: An engine without a measurement of 0: the total may be too small for it.
    """
    choices = [_choices(name, points) for name, points in engines.items()]
    frontier = [_State(0, 0.0, 0, None)]
    for done, points in enumerate(choices, 1):
        rest = _Rest(choices[done:])
        states = [
            _State(state.bytes + point.budget_bytes, state.milliseconds + point.milliseconds, point.budget_bytes, state)
            for state in frontier
            for point in points
            if state.bytes + point.budget_bytes <= total
        ]
        frontier = _pruned(_pareto(states), total, rest)
    best: _State | None = min(frontier, key=lambda state: (state.milliseconds, state.bytes))
    parts: list[int] = []
    while best is not None and best.before is not None:
        parts.append(best.choice)
        best = best.before
    return dict(zip(engines, reversed(parts), strict=True))


def _choices(name: str, points: Sequence[Point]) -> list[Point]:
    """What is worth using, and 0: something must fit into any total."""
    least = min(points, key=lambda point: point.budget_bytes, default=None)
    if least is None or least.budget_bytes != 0:
        raise BudgetError(
            KEY, f"an engine {name!r} that was not measured at 0", "a measurement of 0 too", "Measure again."
        )
    worth = worth_using(points)
    return worth if worth[0].budget_bytes == 0 else [least, *worth]


def _pareto(states: Iterable[_State]) -> list[_State]:
    """Those that no other beats in both bytes and time."""
    kept: list[_State] = []
    for state in sorted(states, key=lambda each: each[:2]):
        if not kept or state.milliseconds < kept[-1].milliseconds:
            kept.append(state)
    return kept


def _pruned(states: list[_State], total: int, rest: _Rest) -> list[_State]:
    """Without those that cannot lead to less time than is reached already, even if parts of steps could be bought."""
    bounds = [rest.bounds(total - state.bytes) for state in states]
    reached = [state.milliseconds + above for state, (_, above) in zip(states, bounds, strict=True)]
    best = min(range(len(states)), key=lambda index: reached[index])
    limit = reached[best] * (1 - 1e-12)  # sums in another order differ in their last digits
    kept = [
        index for index, (below, _) in enumerate(bounds) if index == best or states[index].milliseconds + below < limit
    ]
    if len(kept) > _MAX_STATES:
        kept = sorted(sorted(kept, key=lambda index: reached[index])[:_MAX_STATES])
    return [states[index] for index in kept]


class _Rest:
    """The engines that are still to come: what they take at least and at most, from a number of bytes.

    Each engine's measurements have a lower convex hull. Its steps, of all engines together, those first that save most
    for a byte: the whole steps that fit are a choice; with a part of the next one it is what no choice can beat (the
    linear relaxation).
    """

    def __init__(self, choices: Sequence[Sequence[Point]]) -> None:
        self._slowest = sum(points[0].milliseconds for points in choices)
        steps = [step for points in choices for step in _hull_steps(points)]
        steps.sort(key=lambda step: -step[1] / step[0])
        self._bytes, self._saved = [0], [0.0]
        for size, saved in steps:
            self._bytes.append(self._bytes[-1] + size)
            self._saved.append(self._saved[-1] + saved)

    def bounds(self, left: int) -> tuple[float, float]:
        """Least and most milliseconds from `left` bytes."""
        whole = bisect_right(self._bytes, left) - 1
        above = self._slowest - self._saved[whole]
        if whole + 1 == len(self._bytes):
            return above, above
        share = (left - self._bytes[whole]) / (self._bytes[whole + 1] - self._bytes[whole])
        return above - share * (self._saved[whole + 1] - self._saved[whole]), above


def _hull_steps(points: Sequence[Point]) -> list[tuple[int, float]]:
    """Bytes and saved milliseconds from corner to corner of the lower convex hull; the first saves most for a byte."""
    hull: list[Point] = []
    for point in points:
        if hull and point.milliseconds >= hull[-1].milliseconds:
            continue  # 0 beside what is worth using may be the faster one
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) >= _slope(hull[-1], point):
            hull.pop()
        hull.append(point)
    return [
        (high.budget_bytes - low.budget_bytes, low.milliseconds - high.milliseconds) for low, high in pairwise(hull)
    ]


def _slope(low: Point, high: Point) -> float:
    return (high.milliseconds - low.milliseconds) / (high.budget_bytes - low.budget_bytes)
