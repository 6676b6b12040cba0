"""torchtrt_ws.measuring.samples: median, 99th percentile and error."""

from __future__ import annotations

import pytest

from torchtrt_ws.measuring.samples import timing


def test_median_of_odd_and_even_counts() -> None:
    assert timing([0.003, 0.001, 0.002]).milliseconds == pytest.approx(2.0)
    assert timing([0.004, 0.001, 0.002, 0.003]).milliseconds == pytest.approx(2.5)


def test_one_call() -> None:
    one = timing([0.5])
    assert (one.runs, one.milliseconds, one.p99_milliseconds, one.least_milliseconds) == (1, 500, 500, 500)


def test_one_of_a_hundred_may_take_longer() -> None:
    seconds = [0.001] * 198 + [1.0, 2.0]
    assert timing(seconds).p99_milliseconds == pytest.approx(1.0)
    assert timing([*seconds, 3.0]).p99_milliseconds == pytest.approx(1000.0)


def test_few_calls_that_differ_leave_more_doubt() -> None:
    few, many = [0.001, 0.002, 0.003, 0.004], [0.001, 0.002, 0.003, 0.004] * 25
    assert timing(few).error_milliseconds == pytest.approx(5 * timing(many).error_milliseconds)
    assert timing([0.001] * 4).error_milliseconds == 0
