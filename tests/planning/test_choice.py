"""torchtrt_ws.planning.choice and memory: within the memory, out of the hole, and never worse with more."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchtrt_ws.budget.latency import TOLERANCE
from torchtrt_ws.budget.profile import Point
from torchtrt_ws.planning.choice import choose
from torchtrt_ws.planning.memory import WeightGroup, everything, in_the_hole, least, most, needed
from torchtrt_ws.planning.prediction import at_budget


@st.composite
def groups(draw: Any, measured: bool) -> list[WeightGroup]:
    found = []
    for index in range(draw(st.integers(1, 4))):
        streamable = draw(st.integers(0, 60))
        scratch = draw(st.integers(0, 70)) if streamable else 0
        context = draw(st.integers(0, 9))
        points: tuple[Point, ...] = ()
        if measured:
            budgets = sorted({0, streamable, *draw(st.sets(st.integers(0, streamable), max_size=4))})
            times = sorted((draw(st.integers(1, 50)) for _ in budgets), reverse=True)
            points = tuple(
                Point(budget, budget + context + (scratch if budget < streamable else 0), time)
                for budget, time in zip(budgets, times, strict=True)
            )
        in_block, whole = draw(st.booleans()), draw(st.booleans())
        fixed = draw(st.integers(0, 5))
        found.append(WeightGroup(f"e{index}", streamable, scratch, context, fixed, in_block, whole, points))
    return found


def milliseconds(budgets: dict[str, int], every: list[WeightGroup]) -> float:
    return sum(at_budget(group.points, budgets[group.name]).milliseconds for group in every)


def check(available: int, every: list[WeightGroup]) -> dict[str, int] | None:
    budgets = choose(available, every)
    if needed(least(every), every) > available:
        assert budgets is None
        return None
    assert budgets is not None and set(budgets) == {group.name for group in every}
    assert needed(budgets, every) <= available, "more than the memory"
    assert needed(budgets, every) <= most(every)
    for group in every:
        budget = budgets[group.name]
        assert 0 <= budget <= group.streamable
        assert not in_the_hole(budget, group)
        assert not group.whole or budget in (0, group.streamable) or group.points
    if needed(everything(every), every) <= available and not every[0].points:
        assert budgets == everything(every)
    return budgets


@given(groups(measured=True), st.integers(-5, 400), st.integers(0, 60))
def test_measured(every: list[WeightGroup], available: int, more: int) -> None:
    less_memory, more_memory = check(available, every), check(available + more, every)
    if less_memory is not None:
        assert more_memory is not None
        assert milliseconds(more_memory, every) <= milliseconds(less_memory, every) * (1 + 1e-9)
        for group in every:
            assert less_memory[group.name] in {point.budget_bytes for point in group.points}, "not on a step"


@given(groups(measured=True), st.integers(0, 300))
def test_none_is_faster(every: list[WeightGroup], available: int) -> None:
    """Against all combinations of measured budgets; those of `worth_using` may be slower by its tolerance."""
    every = [replace(group, in_block=group.in_block or group.scratch > 0) for group in every]
    budgets = choose(available, every)
    allowed = [[p.budget_bytes for p in g.points if not in_the_hole(p.budget_bytes, g)] for g in every]
    plans = (dict(zip((g.name for g in every), parts, strict=True)) for parts in itertools.product(*allowed))
    fitting = [milliseconds(plan, every) for plan in plans if needed(plan, every) <= available]
    assert (budgets is None) == (not fitting)
    if budgets is not None:
        assert milliseconds(budgets, every) <= min(fitting) * (1 + TOLERANCE)


@given(groups(measured=False), st.integers(-5, 400), st.integers(0, 60))
def test_not_measured(every: list[WeightGroup], available: int, more: int) -> None:
    less_memory, more_memory = check(available, every), check(available + more, every)
    if less_memory is not None:
        assert more_memory is not None
        assert sum(more_memory.values()) >= sum(less_memory.values()), "more is streamed"


@given(groups(measured=False))
def test_the_least_is_the_least(every: list[WeightGroup]) -> None:
    limit = needed(least(every), every)
    assert choose(limit, every) is not None
    assert choose(limit - 1, every) is None


A = WeightGroup("a", 100, scratch=30, context=5)
B = WeightGroup("b", 50, scratch=10, context=5)


@pytest.mark.parametrize(
    ("available", "budgets"),
    [
        (159, {"a": 100, "b": 50}),
        (155, {"a": 100, "b": 50}),
        (154, {"a": 100, "b": 39}),  # a whole makes the block 15 instead of 35
        (35, {"a": 0, "b": 0}),
        (65, {"a": 20, "b": 10}),
    ],
)
def test_in_proportion(available: int, budgets: dict[str, int]) -> None:
    """Scratch and context are there once, as large as the largest."""
    assert choose(available, [A, B]) == budgets


def test_apart_and_fixed() -> None:
    host = [WeightGroup("a", 10, context=3, fixed=2, in_block=False), WeightGroup("b", 10, context=4, in_block=False)]
    assert needed({"a": 1, "b": 2}, host) == 1 + 2 + 2 + 3 + 4
    block = [WeightGroup("a", 10, context=3, fixed=2), WeightGroup("b", 10, context=4)]
    assert needed({"a": 1, "b": 2}, block) == 1 + 2 + 2 + 4


def test_an_engine_that_is_one_weight_has_all_or_nothing() -> None:
    head = WeightGroup("head", 40, scratch=40, whole=True)
    body = WeightGroup("body", 100, scratch=10)
    assert choose(139, [head, body]) == {"head": 40, "body": 89}
    assert choose(60, [head, body]) == {"head": 40, "body": 10}, "whole, it makes the block 10 instead of 40"
    assert choose(49, [head, body]) == {"head": 0, "body": 9}
    assert least([head]) == {"head": 40}, "in the same memory"


def test_many_engines() -> None:
    every = [WeightGroup(f"e{n}", 1000 + n, scratch=50 + n, context=n) for n in range(60)]
    for available in (109, 5000, 61_000, 61_828):
        check(available, every)
