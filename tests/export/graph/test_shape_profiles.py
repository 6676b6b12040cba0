"""Lists of `dynamic_shapes`: the hull that is exported, and the range of each profile."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.export import Dim

from torchtrt_ws import ProgramError
from torchtrt_ws.blob import ProfileBounds, TensorFacts
from torchtrt_ws.export.graph.shape_profiles import are_profiles, read_profiles, refuse_profiles


class Pair(torch.nn.Module):
    def forward(self, x: torch.Tensor, more: Any = None) -> torch.Tensor:
        return x


X = torch.ones(4, 8)


def rows(low: int | None, high: int | None, name: str = "rows") -> Dim:
    return Dim(name, min=low, max=high)


def read(given: list[dict[str, Any]], *inputs: Any, **keywords: Any) -> Any:
    return read_profiles("forward", Pair(), inputs or (X,), keywords, given)


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        (None, False),
        ({"x": {0: rows(1, 8)}}, False),
        (({0: rows(1, 8)},), False),
        ([{0: rows(1, 8)}], False),  # torch.export's: one for each argument
        ([{0: rows(1, 8)}, None], False),
        ([{"a": {0: rows(1, 8)}}], False),  # the dimensions of an argument that is a dict
        ([{"x": {0: rows(1, 8)}}], True),
        ([{}, {"x": {0: rows(1, 8)}}], True),
        ([{"wrong": {}}, {"x": {0: rows(1, 8)}}], True),
        ([], True),
    ],
)
def test_what_is_a_list_of_profiles(given: Any, answer: bool) -> None:
    assert are_profiles(Pair(), given) == answer
    if not answer:
        refuse_profiles("forward", Pair(), given, "a host engine")
        return
    with pytest.raises(ProgramError, match=rf"a list of {len(given)} .* for a host engine.*tensorrt_rtx"):
        refuse_profiles("forward", Pair(), given, "a host engine")


def test_the_hull_and_the_ranges() -> None:
    profiles = read([{"x": {0: rows(4, 8)}}, {"x": (rows(1, 2), None)}, {"x": {0: 16, 1: 8}}])
    assert profiles.ranges == (({0: (4, 8)},), ({0: (1, 2)},), ({0: (16, 16)},))
    dim = profiles.hull["x"][0]
    assert profiles.hull["x"] == {0: dim, 1: 8}
    assert (dim.__name__, dim.min, dim.max) == ("rows", 1, 16)


def test_a_fixed_size_in_all_of_them_is_static() -> None:
    profiles = read([{"x": {0: rows(1, 2), 1: 8}}, {"x": {0: rows(4, 8), 1: 8}}])
    assert profiles.hull["x"][1] == 8
    assert profiles.ranges == (({0: (1, 2)},), ({0: (4, 8)},))


def test_one_dim_stays_one() -> None:
    given = [{"x": {0: rows(low, high)}, "more": {1: rows(low, high)}} for low, high in ((1, 2), (4, 8))]
    profiles = read(given, X, torch.ones(8, 4))
    assert profiles.hull["x"][0] is profiles.hull["more"][1]


def test_names_of_later_profiles_may_differ() -> None:
    profiles = read([{"x": {0: rows(1, 2, "few")}}, {"x": {0: rows(4, 8, "many")}}])
    assert profiles.hull["x"][0].__name__ == "few"
    assert profiles.ranges == (({0: (1, 2)},), ({0: (4, 8)},))


def test_hints_with_bounds() -> None:
    profiles = read([{"x": {0: Dim.AUTO(min=1, max=2)}}, {"x": {0: Dim.AUTO(max=8), 1: Dim.STATIC}}])
    hint = profiles.hull["x"][0]
    assert (hint.type.name, hint.min, hint.max) == ("AUTO", 0, 8)


def test_nested_arguments_and_keywords() -> None:
    given = [{"more": {"a": [None, {1: rows(low, high)}]}} for low, high in ((1, 2), (4, 8))]
    profiles = read(given, X, more={"a": [X, X], "b": X})
    assert profiles.ranges == (({}, {}, {1: (1, 2)}, {}), ({}, {}, {1: (4, 8)}, {}))
    assert profiles.hull["x"] is None and profiles.hull["more"]["b"] is None
    assert profiles.hull["more"]["a"][0] is None and profiles.hull["more"]["a"][1][1].max == 8


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "an empty list"),
        ([{"x": {0: rows(1, 2)}}, {}], r"\[1\]\['x'\]\[0\]: found nothing, and it is dynamic in dynamic_shapes\[0\]"),
        ([{"x": {}}, {"x": {0: rows(1, 2)}}], r"\[0\]\['x'\]\[0\]: found nothing.*dynamic in dynamic_shapes\[1\]"),
        ([{"x": {0: rows(1, 2)}}, {"x": {0: rows(4, 8), 1: rows(1, 8, "n")}}], r"\[0\]\['x'\]\[1\]: found nothing"),
        ([{"x": {0: 4}}, {"x": {0: 8}}], "4, and it is of other sizes elsewhere"),
        ([{"x": {0: rows(1, 2)}}, {"y": {0: rows(1, 2)}}], r"dynamic_shapes\[1\]: found 'y'.*'x'"),
        ([{"x": {0: rows(1, None)}}], "no upper bound"),
        ([{"x": {0: Dim.DYNAMIC}}], "no upper bound"),
        ([{"x": {0: 2 * rows(1, 4)}}], "follows from another"),
        ([{"x": {2: rows(1, 2)}}], "dimensions from 0 to 1"),
        ([{"x": {-1: rows(1, 2)}}], "dimensions from 0 to 1"),
        ([{"x": {0: "rows"}}], "Dims and numbers"),
        ([{"x": {0: True}}], "Dims and numbers"),
        ([{"x": 4}], "dimension numbers to Dims"),
        ([{"x": {0: rows(1, 4), 1: rows(1, 4)}}, {"x": {0: rows(1, 4), 1: rows(1, 8)}}], "the same Dim"),
    ],
)
def test_refused(given: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(ProgramError, match=words):
        read(given)


def test_refused_structures_and_inputs() -> None:
    with pytest.raises(ProgramError, match="structure of the example inputs"):
        read([{"x": None, "more": 7}], X, {"a": X})
    with pytest.raises(ProgramError, match="too many positional"):
        read([{"x": {0: rows(1, 2)}}], X, X, X)


def test_bound_to_the_exported_inputs() -> None:
    facts = (TensorFacts("x", "float32", (-1, 8), (1, 8), (16, 8)), TensorFacts("m", "bool", (3,), (3,), (3,)))
    profiles = read([{"x": {0: rows(None, 8)}}, {"x": {0: 16}}], X, torch.ones(3))
    static = ProfileBounds("m", (3,), (3,), (3,))
    assert profiles.bind("forward", facts) == (
        (ProfileBounds("x", (1, 8), (8, 8), (8, 8)), static),
        (ProfileBounds("x", (16, 8), (16, 8), (16, 8)), static),
    )


@pytest.mark.parametrize(("low", "high"), [(2, 16), (1, 15), (4, 4), (17, 32)])
def test_a_range_that_the_export_does_not_take(low: int, high: int) -> None:
    facts = (TensorFacts("x", "float32", (-1, 8), (low, 8), (high, 8)),)
    profiles = read([{"x": {0: rows(4, 8)}}, {"x": {0: rows(1, 16)}}])
    with pytest.raises(ProgramError, match=rf"input 'x', dimension 0: found .* from {low} to {high}"):
        profiles.bind("forward", facts)
