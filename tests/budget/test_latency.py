"""torchtrt_ws.budget.latency and spend: which budgets are worth it, and a total where it saves the most time."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchtrt_ws.budget import Auto, Bytes, Percent, Reserve
from torchtrt_ws.budget.latency import TOLERANCE, milliseconds_at, snap, split_by_latency, worth_using
from torchtrt_ws.budget.profile import EngineProfile, Point
from torchtrt_ws.budget.spend import check_split, derived_form, is_automatic, milliseconds, settled, spend
from torchtrt_ws.errors import BudgetError

SCRATCH = 12
# By percent, with the steps that were seen on an H100 (and made-up ones around them).
SEEN = tuple(
    Point(budget, budget + (SCRATCH if budget < 100 else 0), ms)
    for budget, ms in [
        (0, 85.0),
        (25, 70),
        (45, 57),
        (50, 57),
        (70, 33.9),
        (75, 41.1),
        (80, 22.5),
        (95, 22.4),
        (100, 2.9),
    ]
)


def engine(points: tuple[Point, ...], scratch: int = SCRATCH) -> EngineProfile:
    return EngineProfile("e", "0" * 64, points[-1].budget_bytes, scratch, points)


@st.composite
def measured(draw: Any, most: int = 5) -> EngineProfile:
    """An engine with any steps, up and down; full residency needs no scratch."""
    streamable, scratch = draw(st.integers(1, 60)), draw(st.integers(0, 30))
    between = draw(st.sets(st.integers(0, streamable), max_size=most - 2))
    points = [
        Point(budget, budget + (scratch if budget < streamable else 0), draw(st.integers(1, 40)) / 4)
        for budget in sorted({0, *between, streamable})
    ]
    return engine(tuple(points), scratch)


PROGRAMS = st.lists(measured(), min_size=1, max_size=4).map(lambda each: {f"e{i}": e for i, e in enumerate(each)})
TOTALS = st.integers(0, 260)


def points_of(program: dict[str, EngineProfile]) -> dict[str, tuple[Point, ...]]:
    return {name: each.points for name, each in program.items()}


def test_what_is_worth_using() -> None:
    """50 is no faster than 45, 75 slower than 70, 95 takes more of the device than 100."""
    assert [point.budget_bytes for point in worth_using(SEEN)] == [0, 25, 45, 70, 80, 100]


def test_small_steps_are_not_lost() -> None:
    points = [Point(n, n, 100 - n * 0.5) for n in range(101)]
    kept = worth_using(points)
    assert kept[-1].budget_bytes >= 99 and 40 < len(kept) < 101
    assert all(low.milliseconds > high.milliseconds * (1 + TOLERANCE) for low, high in itertools.pairwise(kept))


def test_full_residency_may_be_all_that_is_worth_using() -> None:
    points = (Point(0, 30, 9.0), Point(10, 10, 1.0))  # the scratch is more than the weights
    assert worth_using(points) == [points[1]]
    assert split_by_latency(9, {"e": points}) == {"e": 0}, "it does not fit into the total"


@given(measured(most=8))
def test_worth_using(measured: EngineProfile) -> None:
    kept = worth_using(measured.points)
    assert kept and kept == sorted(kept, key=lambda point: point.budget_bytes)
    for point in kept:
        for other in measured.points:
            if (other.milliseconds, other.device_bytes) != (point.milliseconds, point.device_bytes):
                assert other.milliseconds > point.milliseconds or other.device_bytes > point.device_bytes
    for point in measured.points:
        assert any(other.milliseconds <= point.milliseconds * (1 + TOLERANCE) for other in kept), "its speed is lost"
    for low, high in itertools.pairwise(kept):
        assert low.milliseconds > high.milliseconds * (1 + TOLERANCE)


@pytest.mark.parametrize(
    ("budget", "want"), [(0, 0), (10, 0), (44, 25), (45, 45), (60, 45), (79, 70), (94, 80), (96, 80), (100, 100)]
)
def test_snap(budget: int, want: int) -> None:
    assert snap(budget, SEEN) == want


def test_snap_leaves_what_only_full_residency_betters() -> None:
    points = (Point(0, 12, 85.0), Point(90, 102, 20.0), Point(100, 100, 3.0))
    assert [snap(budget, points) for budget in (89, 90, 99, 100)] == [0, 90, 99, 100]


def test_snap_leaves_what_nobody_measured() -> None:
    """Full residency did not fit where it was measured; here it may, and it may be faster."""
    points = (Point(0, 5, 9.0), Point(50, 55, 8.0), Point(60, 65, 8.0))
    assert [snap(budget, points) for budget in (55, 60, 61, 100)] == [50, 50, 61, 100]


@given(measured(most=8), st.integers(0, 70))
def test_snap_goes_down_and_costs_no_time(measured: EngineProfile, budget: int) -> None:
    snapped = snap(budget, measured.points)
    assert 0 <= snapped <= budget
    fastest = min(point.milliseconds for point in measured.points if point.budget_bytes <= budget)
    if snapped != budget:
        assert milliseconds_at(snapped, measured.points) <= fastest * (1 + TOLERANCE)
        assert snapped in [point.budget_bytes for point in worth_using(measured.points)]


def choices(points: tuple[Point, ...]) -> list[Point]:
    return [point for point in points if point in worth_using(points) or point.budget_bytes == 0]


@given(PROGRAMS, TOTALS)
@settings(max_examples=300)
def test_a_split_is_what_trying_all_finds(program: dict[str, EngineProfile], total: int) -> None:
    parts = split_by_latency(total, points_of(program))
    assert sum(parts.values()) <= total and list(parts) == list(program)
    for name, part in parts.items():
        assert part in [point.budget_bytes for point in choices(program[name].points)]
    least = min(
        sum(point.milliseconds for point in combination)
        for combination in itertools.product(*(choices(each.points) for each in program.values()))
        if sum(point.budget_bytes for point in combination) <= total
    )
    assert milliseconds(parts, program) == pytest.approx(least, rel=1e-9)


@given(PROGRAMS, TOTALS, st.integers(0, 50))
def test_a_larger_total_is_never_slower(program: dict[str, EngineProfile], total: int, more: int) -> None:
    few, many = (split_by_latency(each, points_of(program)) for each in (total, total + more))
    assert milliseconds(many, program) <= milliseconds(few, program) * (1 + 1e-9)


@given(PROGRAMS, TOTALS, st.sampled_from(["latency", None]))
@settings(max_examples=300)
def test_spending_is_never_slower_than_the_proportional_split(
    program: dict[str, EngineProfile], total: int, split: str | None
) -> None:
    given, plain = settled(Bytes(total), program)
    parts = spend(given, plain, program, split)
    assert milliseconds(parts, program) <= milliseconds(plain, program) * (1 + TOLERANCE)
    assert sum(parts.values()) <= max(total, sum(plain.values()))
    if split is None:
        assert all(part <= plain[name] for name, part in parts.items()), "down only"


def test_a_total_goes_where_it_saves_the_most() -> None:
    """Two engines of 100 bytes and a total of 150: proportional is 75 each, which is slower than 70."""
    program = {"a": engine(SEEN), "b": engine(SEEN)}
    total, plain = settled(Bytes(150), program)
    assert plain == {"a": 75, "b": 75}
    assert spend(total, plain, program, None) == {"a": 70, "b": 70}
    parts = spend(total, plain, program, "latency")
    assert sorted(parts.values()) == [70, 80], "56.4 ms where 70 and 70 take 67.8"


def test_a_part_in_the_hole_takes_all() -> None:
    total, plain = settled(Percent(95), {"e": engine(SEEN)})
    assert (total, plain) == (95, {"e": 100})
    assert spend(total, plain, {"e": engine(SEEN)}, "latency") == {"e": 100}


def test_all_of_it() -> None:
    program = {"a": engine(SEEN), "b": engine(SEEN, scratch=0)}
    for form in (Percent(100), Bytes(200), Bytes(2**63 - 1)):
        assert settled(form, program)[1] == {"a": 100, "b": 100}


def test_an_engine_without_a_measurement_of_0() -> None:
    with pytest.raises(BudgetError, match="'e'"):
        split_by_latency(10, {"e": SEEN[1:]})


def test_many_points_of_many_engines_take_no_time() -> None:
    """Equal steps are the worst case of pruning: nothing tells which bytes save more."""
    points = tuple(Point(n * 10**7, n * 10**7, 40.0 - n) for n in range(40))
    started = time.process_time()
    parts = split_by_latency(30 * 39 * 10**7 // 2, {f"e{i}": points for i in range(30)})
    assert time.process_time() - started < 20, "it was 0.3 s"
    assert sum(parts.values()) == 30 * 39 * 10**7 // 2, "each byte saves as much as any other"


@pytest.mark.parametrize(
    ("budget", "each", "split", "engines", "want"),
    [
        (None, None, None, 2, Auto()),
        ("free-1M", None, None, 1, Reserve(2**20)),
        ("1K", None, None, 2, Bytes(1024)),
        ("1K", None, None, 1, None),
        ("1K", None, "latency", 1, Bytes(1024)),
        ("50%", None, None, 1, Percent(50)),
        (None, "50%", None, 2, Percent(50)),
        (None, "1K", None, 2, None),
        (None, {"a": 1}, None, 2, None),
    ],
)
def test_what_is_derived(budget: Any, each: Any, split: str | None, engines: int, want: object) -> None:
    form = derived_form(budget, each, split, engines)
    assert form == want
    assert is_automatic(form) == isinstance(want, Auto | Reserve)


@pytest.mark.parametrize(
    ("split", "each", "profile", "words"),
    [
        ("fastest", None, None, '"latency" or "proportional"'),
        ("latency", "50%", None, "a total to split"),
        ("proportional", None, {}, "the profile"),
    ],
)
def test_a_split_that_makes_no_sense(split: str, each: Any, profile: Any, words: str) -> None:
    with pytest.raises(BudgetError, match=words):
        check_split(split, each, profile)
