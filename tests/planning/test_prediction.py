"""torchtrt_ws.planning.prediction: times at budgets and batches that were not measured."""

from __future__ import annotations

import pytest

from torchtrt_ws.budget.profile import BatchPoints, EngineProfile, Point
from torchtrt_ws.planning.prediction import (
    BOUND,
    EXTRAPOLATED,
    INTERPOLATED,
    MEASURED,
    Prediction,
    at_batch,
    at_budget,
    together,
    up_to_all,
)

# Batch 8: 2 ms of computing, and 10 ms of streaming from nothing resident. Batch 16: 4 ms and the same.
AT_8 = (Point(0, 20, 12.0), Point(50, 70, 7.0), Point(100, 105, 2.0))
AT_16 = (Point(0, 25, 14.0), Point(50, 75, 9.0), Point(100, 110, 4.0))


def engine(batch: int | None, *others: BatchPoints) -> EngineProfile:
    return EngineProfile("e", "0" * 64, 100, 10, AT_8, batch=batch, other_batches=others)


TWO = engine(8, BatchPoints(16, AT_16))


@pytest.mark.parametrize(
    ("budget", "milliseconds", "basis"),
    [
        (0, 12.0, MEASURED),
        (25, 9.5, INTERPOLATED),
        (50, 7.0, MEASURED),
        (75, 4.5, INTERPOLATED),
        (99, 2.1, INTERPOLATED),
        (100, 2.0, MEASURED),
    ],
)
def test_budgets(budget: int, milliseconds: float, basis: str) -> None:
    found = at_budget(AT_8, budget)
    assert found.milliseconds == pytest.approx(milliseconds)
    assert found.basis == basis


@pytest.mark.parametrize(
    ("batch", "milliseconds", "basis"),
    [
        (None, [12, 7, 2], MEASURED),
        (8, [12, 7, 2], MEASURED),
        (16, [14, 9, 4], MEASURED),
        (12, [13, 8, 3], INTERPOLATED),
        (4, [11, 6, 1], EXTRAPOLATED),
        (32, [18, 13, 8], EXTRAPOLATED),
    ],
)
def test_batches(batch: int | None, milliseconds: list[float], basis: str) -> None:
    points, found = at_batch(TWO, batch)
    assert [point.milliseconds for point in points] == pytest.approx(milliseconds)
    assert found == basis


def test_nothing_takes_less_than_no_time() -> None:
    steep = engine(8, BatchPoints(9, tuple(Point(p.budget_bytes, p.device_bytes, p.milliseconds + 9) for p in AT_8)))
    points, _ = at_batch(steep, 1)
    assert [point.milliseconds for point in points] == [10.0, 5.0, 0.0], "the streaming stays"


def test_the_two_nearest_of_three_batches_count() -> None:
    three = engine(8, BatchPoints(16, AT_16), BatchPoints(32, (Point(0, 30, 30.0), Point(100, 120, 20.0))))
    points, basis = at_batch(three, 24)
    assert (basis, points[0].milliseconds, points[-1].milliseconds) == (INTERPOLATED, 22.0, 12.0)
    assert points[1].milliseconds == pytest.approx((9.0 + 25.0) / 2), "50 was not measured at 32"
    points, _ = at_batch(three, 64)
    assert points[-1].milliseconds == pytest.approx(20.0 + 32.0)


@pytest.mark.parametrize(
    ("measured", "batch", "milliseconds"),
    [(8, 9, [12, 7, 2]), (8, 4, [10, 5, 0]), (None, 4, [10, 5, 0])],
    ids=["larger", "smaller", "not said"],
)
def test_one_batch_is_a_bound(measured: int | None, batch: int, milliseconds: list[float]) -> None:
    points, basis = at_batch(engine(measured), batch)
    assert [point.milliseconds for point in points] == milliseconds
    assert basis == BOUND


def test_together_is_as_weak_as_its_weakest() -> None:
    every = [Prediction(1.0, basis) for basis in (MEASURED, BOUND, INTERPOLATED, EXTRAPOLATED)]
    assert together(every) == Prediction(4.0, BOUND)
    assert together([every[0], every[2]]) == Prediction(2.0, INTERPOLATED)


@pytest.mark.parametrize(
    ("points", "speed", "milliseconds"),
    [
        (AT_8, None, 2.0),
        (AT_8[:2], None, 2.0),  # 5 ms for 50 bytes
        (AT_8[:1], None, 12.0),
        (AT_8[:1], 20_000.0, 7.0),  # 20 bytes a millisecond
        ((Point(0, 20, 12.0), Point(60, 80, 1.0)), None, 0.0),
        ((Point(0, 20, 12.0), Point(60, 80, 13.0)), None, 13.0),
    ],
)
def test_full_residency_that_did_not_fit(points: tuple[Point, ...], speed: float | None, milliseconds: float) -> None:
    found = up_to_all(points, 100, 5, speed)
    assert found[: len(points)] == points
    assert (found[-1].budget_bytes, found[-1].device_bytes) == (100, 105)
    assert found[-1].milliseconds == pytest.approx(milliseconds)
