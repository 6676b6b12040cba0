"""torchtrt_ws.measuring.sweep: which budget is measured next, on curves that are made up."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchtrt_ws.measuring.sweep import MIB, Range, Seen, next_budget, resolution_of

Curve = Callable[[int], float]
S = 512 * MIB


def steps(*corners: tuple[int, float]) -> Curve:
    """The milliseconds of the last corner (MiB, milliseconds) that a budget reaches."""

    def curve(budget: int) -> float:
        return [milliseconds for start, milliseconds in corners if start * MIB <= budget][-1]

    return curve


def sweep(
    curve: Curve, span: Range, memory: Callable[[int], int] = lambda budget: budget, most: int = 1000
) -> list[int]:
    """What is measured of a curve, in order."""
    seen: list[Seen] = []
    while (budget := next_budget(seen, span)) is not None:
        assert budget not in {each.budget_bytes for each in seen}, "a budget twice"
        seen.append(Seen(budget, memory(budget), (curve(budget),)))
        assert len(seen) <= most
    return [each.budget_bytes for each in seen]


def test_it_begins_with_the_ends_and_leaves_full_residency_for_last() -> None:
    """What is on the device leaves it slowly, so it goes there once."""
    span = Range(S, scratch=64 * MIB, resolution=8 * MIB, first=(100 * MIB,))
    order = sweep(steps((0, 10), (200, 4), (512, 1)), span)
    assert order[:3] == [0, span.high, 100 * MIB]
    assert order[-1] == S


def test_steps_are_found_to_the_resolution_in_less_than_a_grid_takes() -> None:
    curve = steps((0, 30), (100, 20), (301, 12), (512, 1))
    span = Range(S, scratch=64 * MIB, resolution=4 * MIB)
    found = sorted(sweep(curve, span))
    for corner in (100 * MIB, 301 * MIB):
        below, above = max(b for b in found if b < corner), min(b for b in found if b >= corner)
        assert above - below <= span.resolution
    assert len(found) < S // span.resolution / 4


def test_a_flat_curve_is_looked_at_now_and_then() -> None:
    """It is not monotonic: between equal times there may be another one."""
    found = sorted(sweep(lambda budget: 7.0, Range(S, scratch=0, resolution=resolution_of(S))))
    assert found[0] == 0 and found[-1] == S
    assert max(high - low for low, high in pairwise(found)) <= S // 8
    assert len(found) <= 9


def test_a_hump_between_equal_times_is_found() -> None:
    """70 % 33.9 ms, 75 % 41.1 ms, 80 % 22.5 ms, as on an H100, and as fast on both sides of the hump."""
    curve = steps((0, 40), (256, 33), (350, 41), (430, 33))
    found = sweep(curve, Range(S, scratch=0, resolution=8 * MIB))
    assert {curve(budget) for budget in found} == {40, 33, 41}
    corners = sorted(budget for budget in found if curve(budget) == 41)
    assert corners[0] - 350 * MIB < 8 * MIB and 430 * MIB - corners[-1] <= 8 * MIB


def test_memory_that_the_budget_does_not_explain_is_a_step_too() -> None:
    """Scratch that a budget needs and a smaller one does not."""
    span = Range(S, scratch=0, resolution=4 * MIB)
    found = sorted(sweep(lambda b: 5.0, span, lambda b: b + (40 * MIB if b >= 333 * MIB else 0)))
    below, above = max(b for b in found if b < 333 * MIB), min(b for b in found if b >= 333 * MIB)
    assert above - below <= span.resolution


def test_times_within_their_errors_are_equal() -> None:
    ends = [Seen(0, 0, (5.5,), (0.4,)), Seen(S // 8, S // 8, (5.0,), (0.3,))]
    span = Range(S, scratch=S - S // 8 - 1, resolution=MIB)
    assert span.high == S // 8
    assert next_budget(ends, span) == S
    sure = [Seen(each.budget_bytes, each.device_bytes, each.milliseconds, (0.1,)) for each in ends]
    assert next_budget(sure, span) == S // 16


def test_one_of_several_times_that_differs_is_enough() -> None:
    """Of two batches, or two engines on the same weights."""
    span = Range(S, scratch=S - S // 8 - 1, resolution=MIB)
    assert next_budget([Seen(0, 0, (5.0, 9.0)), Seen(S // 8, S // 8, (5.0, 8.0))], span) == S // 16


def test_the_largest_doubt_comes_first() -> None:
    """A time limit then leaves small steps out, not large ones."""
    curve = steps((0, 100), (256, 50), (400, 49))
    order = sweep(curve, Range(S, scratch=0, resolution=MIB))
    near = [index for index, budget in enumerate(order) if abs(budget - 256 * MIB) <= 8 * MIB]
    small = [index for index, budget in enumerate(order) if abs(budget - 400 * MIB) <= 2 * MIB]
    assert near[0] < small[0]


def test_nothing_is_measured_where_full_residency_takes_less() -> None:
    span = Range(S, scratch=100 * MIB, resolution=MIB, first=(500 * MIB,))
    found = sweep(steps((0, 30), (100, 20), (512, 1)), span)
    assert all(budget + span.scratch < S for budget in found if budget != S)
    assert span.taken(500 * MIB) == S and span.taken(100 * MIB) == 100 * MIB


def test_scratch_as_large_as_the_weights() -> None:
    assert sweep(steps((0, 3), (512, 1)), Range(S, scratch=2 * S, resolution=MIB)) == [0, S]


@pytest.mark.parametrize("scratch", [MIB, 100 * MIB])
def test_the_most_that_fits_is_found(scratch: int) -> None:
    """What failed is a bound from then on, and is not asked for again."""
    most, fits = 299 * MIB + 12345, None
    seen: list[Seen] = []
    asked: list[int] = []
    while (budget := next_budget(seen, Range(S, scratch, 4 * MIB, fits))) is not None:
        assert budget not in asked
        asked.append(budget)
        if budget > most:
            assert fits is None or budget < fits
            fits = budget
        else:
            seen.append(Seen(budget, budget, (1e9 / (budget + 1),)))
    found = sorted(each.budget_bytes for each in seen)
    assert found[0] == 0 and most - 4 * MIB <= found[-1] <= most
    assert max(high - low for low, high in pairwise(found)) <= S // 8


@pytest.mark.parametrize("streamable", [0, 1, 4095, 4096, MIB])
def test_small_engines_have_ends_only(streamable: int) -> None:
    found = sweep(lambda budget: float(budget + 1), Range(streamable, 0, resolution_of(streamable)))
    assert sorted(found) == sorted({0, streamable})


@given(
    st.integers(0, 2**34),
    st.integers(0, 2**30),
    st.lists(st.tuples(st.integers(0, 2**34), st.floats(0.01, 1e3)), max_size=8),
)
def test_it_ends_with_every_step_that_it_has_seen_both_sides_of(
    streamable: int, scratch: int, corners: list[tuple[int, float]]
) -> None:
    def curve(budget: int) -> float:
        return next((ms for start, ms in sorted(corners, reverse=True) if start <= budget), 2e3)

    span = Range(streamable, scratch, resolution_of(streamable))
    found = sorted(sweep(curve, span, most=70))
    assert found[0] == 0 and found[-1] == streamable
    for low, high in pairwise(found):
        if high <= span.high and high - low > span.resolution:
            assert abs(curve(low) - curve(high)) <= 0.01 * max(curve(low), curve(high))
