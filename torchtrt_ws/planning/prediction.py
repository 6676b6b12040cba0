"""How long a call takes, by what was measured, and what that rests on.

Between two measured budgets time is taken to be linear in the budget, as what is streamed is. It falls in steps, so a
single prediction may be off by a step; tests/planning/test_held_out.py has the errors for what was measured on GPUs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torchtrt_ws.budget.profile import BatchPoints, EngineProfile, Point

__all__ = [
    "BOUND",
    "EXTRAPOLATED",
    "INTERPOLATED",
    "MEASURED",
    "Prediction",
    "at_batch",
    "at_budget",
    "together",
    "up_to_all",
]

MEASURED = "measured"  # this budget, at this batch
INTERPOLATED = "interpolated"  # between two that were measured
EXTRAPOLATED = "extrapolated"  # outside of the budgets or batches that were measured
BOUND = "bound"  # it takes at least that long
_BY_TRUST = (MEASURED, INTERPOLATED, EXTRAPOLATED, BOUND)


@dataclass(frozen=True)
class Prediction:
    """What a call takes.

    Args:
        milliseconds: The time.
        basis: "measured", "interpolated", "extrapolated", or "bound": it takes no less.
    """

    milliseconds: float
    basis: str


def at_budget(points: Sequence[Point], budget: int) -> Prediction:
    """What one call of an engine takes at a budget.

    Args:
        points: Its measurements, by budget, from 0 to all of its weights.
        budget: Bytes, at most all of its weights.
    """
    above = bisect_left(points, budget, key=lambda point: point.budget_bytes)
    high = points[above]
    if high.budget_bytes == budget:
        return Prediction(high.milliseconds, MEASURED)
    low = points[above - 1]
    share = (budget - low.budget_bytes) / (high.budget_bytes - low.budget_bytes)
    return Prediction(low.milliseconds + share * (high.milliseconds - low.milliseconds), INTERPOLATED)


def at_batch(engine: EngineProfile, batch: int | None) -> tuple[tuple[Point, ...], str]:
    """The measurements of an engine as they would be at a batch size.

    Args:
        engine: What was measured.
        batch: The size; None for the one of `engine.points`.

    Returns:
        Points by budget, and what they rest on. Between two measured sizes time is linear. Outside of them what a call
        computes is linear in the size, by the two nearest, and what is streamed takes the same time. With one size only
        it is a bound: a larger batch takes no less, a smaller one no less than the streaming alone.
    """
    if batch is None or batch == engine.batch:
        return engine.points, MEASURED
    sizes = sorted(engine.other_batches, key=lambda each: each.batch)
    if engine.batch is not None:
        sizes = sorted([*sizes, BatchPoints(engine.batch, engine.points)], key=lambda each: each.batch)
    for each in sizes:
        if each.batch == batch:
            return each.points, MEASURED
    if len(sizes) < 2:
        grows = bool(sizes) and batch > sizes[0].batch
        return (engine.points if grows else _shifted(engine.points, -engine.points[-1].milliseconds)), BOUND
    after = bisect_left(sizes, batch, key=lambda each: each.batch)
    low, high = sizes[max(min(after, len(sizes) - 1) - 1, 0)], sizes[max(min(after, len(sizes) - 1), 1)]
    share = (batch - low.batch) / (high.batch - low.batch)
    if 0 < share < 1:
        return _between(low.points, high.points, share), INTERPOLATED
    nearest = low if share < 0 else high
    computed = low.points[-1].milliseconds + share * (high.points[-1].milliseconds - low.points[-1].milliseconds)
    return _shifted(nearest.points, max(computed, 0.0) - nearest.points[-1].milliseconds), EXTRAPOLATED


def up_to_all(points: Sequence[Point], all_bytes: int, context: int, speed: float | None) -> tuple[Point, ...]:
    """Measurements that reach full residency, where that did not fit on the machine that made them.

    Args:
        points: The measurements, by budget, from 0.
        all_bytes: All streamable weights.
        context: Bytes of the device beside weights and scratch.
        speed: Bytes a second that streaming was seen to reach; None if not known.

    Returns:
        The same, and a point at `all_bytes` if it is missing: on the line through the first and the last, or through a
        single one at `speed`.
    """
    first, last = points[0], points[-1]
    if last.budget_bytes == all_bytes:
        return tuple(points)
    if last.budget_bytes > first.budget_bytes:
        saved = (first.milliseconds - last.milliseconds) / (last.budget_bytes - first.budget_bytes)
    else:
        saved = 0.0 if speed is None else 1e3 / speed
    milliseconds = last.milliseconds - max(saved, 0.0) * (all_bytes - last.budget_bytes)
    return (*points, Point(all_bytes, all_bytes + context, max(milliseconds, 0.0)))


def together(predictions: Iterable[Prediction]) -> Prediction:
    """Calls one after the other: their time in all, on the weakest basis of them.

    Args:
        predictions: At least one.
    """
    every = list(predictions)
    basis = max((each.basis for each in every), key=_BY_TRUST.index)
    return Prediction(sum(each.milliseconds for each in every), basis)


def _shifted(points: Sequence[Point], milliseconds: float) -> tuple[Point, ...]:
    return tuple(
        Point(each.budget_bytes, each.device_bytes, max(each.milliseconds + milliseconds, 0.0)) for each in points
    )


def _between(low: Sequence[Point], high: Sequence[Point], share: float) -> tuple[Point, ...]:
    """At the budgets of the smaller size, which has been measured at both of its ends."""
    return tuple(
        Point(
            each.budget_bytes,
            each.device_bytes,
            each.milliseconds + share * (at_budget(high, each.budget_bytes).milliseconds - each.milliseconds),
        )
        for each in low
    )
