"""Which requests share a call, and whose rows are whose."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchtrt_ws.serve.batching import grouped, joined, rows, shares


def request(count: int, width: int = 3, dtype: str = "float32", name: str = "x") -> dict[str, np.ndarray]:
    return {name: np.zeros((count, width), dtype)}


def test_rows() -> None:
    assert rows(request(4)) == 4
    assert rows({"x": np.zeros((2, 3)), "y": np.zeros((2,))}) == 2
    assert rows({"x": np.zeros((2, 3)), "y": np.zeros((3,))}) is None, "they disagree"
    assert rows({"x": np.zeros(())}) is None
    assert rows(request(0)) is None
    assert rows({}) is None


@pytest.mark.parametrize(
    ("requests", "limit", "want"),
    [
        ([request(1)] * 5, 4, [[0, 1, 2, 3], [4]]),
        ([request(1)] * 3, None, [[0], [1], [2]]),
        ([request(3), request(2), request(1)], 4, [[0], [1, 2]]),
        ([request(1), request(1, width=4), request(1)], 4, [[0, 2], [1]]),
        ([request(1), request(1, dtype="int64"), request(1, name="y"), request(1)], 4, [[0, 3], [1], [2]]),
        ([request(9), request(1)], 4, [[0], [1]]),  # too many rows alone: the program says so
        ([{"x": np.zeros((2, 3)), "y": np.zeros((3, 3))}, request(1)], 4, [[0], [1]]),
        ([], 4, []),
    ],
)
def test_grouped(requests: list[dict[str, np.ndarray]], limit: int | None, want: list[list[int]]) -> None:
    assert grouped(requests, limit) == want


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 2)), max_size=20), st.integers(1, 8))
def test_everyone_gets_what_a_call_of_its_own_gives(sizes: list[tuple[int, int]], limit: int) -> None:
    random = np.random.default_rng(0)
    requests = [{"x": random.random((count, width)), "y": random.random((count,))} for count, width in sizes]
    calls = grouped(requests, limit)
    assert sorted(position for call in calls for position in call) == list(range(len(requests)))
    for call in calls:
        inputs = joined([requests[position] for position in call])
        assert len(call) == 1 or len(inputs["x"]) <= limit
        outputs = {"sum": inputs["x"].sum(1) + inputs["y"], "x": inputs["x"]}
        for position, share in zip(call, shares(outputs, [sizes[position][0] for position in call]), strict=True):
            own = requests[position]
            np.testing.assert_array_equal(share["sum"], own["x"].sum(1) + own["y"])
            np.testing.assert_array_equal(share["x"], own["x"])


def test_one_request_is_not_copied() -> None:
    alone = request(2)
    assert joined([alone])["x"] is alone["x"]
