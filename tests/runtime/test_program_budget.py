"""Budgets of a whole program: at load in any order of its methods, and changed as one after it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import torchtrt_ws
from torchtrt_ws import budget, pte
from torchtrt_ws.runtime import Program
from torchtrt_ws.runtime.native import _native

ORDERS = list(itertools.permutations(["narrow", "middle", "wide"]))
MIB = 2**20
PAGE = 4096  # a host engine keeps whole pages, and tells what it keeps


def kept(asked: int) -> int:
    return asked // PAGE * PAGE


def load_in_order(path: Path, order: tuple[str, ...], **keywords: Any) -> dict[str, dict[str, Any]]:
    """Reports of the engines, by name; `load` itself has one order, the file's."""
    names = [engine.name for engine in pte.read(path).engines]
    native = _native.Program(str(path), list(budget.load_options(engine_names=names, **keywords).items()))
    for method in order:
        native.load_method(method)
    reports = [_native.engine_report(identifier) for identifier in native.engine_ids()]
    assert [report["name"] for report in reports] == list(order)
    return {report["name"]: report for report in reports}


def budgets(program: Program) -> dict[str, tuple[int, str]]:
    return {engine.name: (engine.budget_bytes, engine.source) for engine in program.engines}


def check(program: Program) -> None:
    """A layer of ones gives the number of its inputs."""
    for engine in program.engines:
        (x,) = program.zeros(engine.name)
        (y,) = program.run(engine.name, x + 1)
        np.testing.assert_array_equal(y, np.full_like(y, x.shape[1]))


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
@pytest.mark.parametrize("total", [0, 1, 123457, "1MiB", "5MiB"])
def test_the_parts_of_a_total_never_exceed_it(three: Path, order: tuple[str, ...], total: int | str) -> None:
    reports = load_in_order(three, order, weight_streaming_budget=total)
    asked = budget.parse(total).value  # type: ignore[union-attr]
    parts = [report["budget_bytes"] for report in reports.values()]
    assert asked - len(parts) * PAGE < sum(parts) <= asked, "less than a page of each is lost to rounding"
    assert {report["source"] for report in reports.values()} == {"load-time"}


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
@pytest.mark.parametrize(
    ("keywords", "want"),
    [
        ({}, lambda engine: engine["streamable_bytes"]),
        ({"weight_streaming_budget": "auto"}, lambda engine: engine["streamable_bytes"]),
        ({"weight_streaming_budget": "1GiB"}, lambda engine: engine["streamable_bytes"]),
        ({"weight_streaming_budget": "25%"}, lambda engine: kept(engine["streamable_bytes"] // 4)),
        ({"weight_streaming_budget": "free-8192T"}, lambda engine: 0),
        ({"weight_streaming_budget_per_engine": "1MiB"}, lambda engine: min(MIB, engine["streamable_bytes"])),
        ({"weight_streaming_budget_per_engine": "75%"}, lambda engine: kept(engine["streamable_bytes"] * 75 // 100)),
        ({"weight_streaming_budget_per_engine": "free-8192T"}, lambda engine: 0),
    ],
    ids=["nothing", "auto", "more than all", "percent", "reserve", "each", "each percent", "each reserve"],
)
def test_every_form_in_every_loading_order(three: Path, order: tuple[str, ...], keywords: Any, want: Any) -> None:
    for name, engine in load_in_order(three, order, **keywords).items():
        assert engine["budget_bytes"] == want(engine), name


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_a_mapping_in_every_loading_order(three: Path, order: tuple[str, ...]) -> None:
    each = {"narrow": PAGE, "middle": "8K", "wide": "0%"}
    reports = load_in_order(three, order, weight_streaming_budget_per_engine=each)
    assert {name: report["budget_bytes"] for name, report in reports.items()} == {
        "narrow": PAGE,
        "middle": 8192,
        "wide": 0,
    }


@pytest.fixture(scope="module")
def program(three: Path) -> Program:
    return torchtrt_ws.load(three)


@given(total=st.integers(0, 8 * MIB))
@settings(max_examples=60)
def test_a_total_is_split_as_at_save(program: Program, three: Path, total: int) -> None:
    program.set_weight_streaming_budget(total)
    sizes = [budget.EngineSize(e.name, e.streamable_bytes) for e in pte.read(three).engines]
    parts = budget.split(total, sizes)
    assert sum(bytes for bytes, _ in budgets(program).values()) <= total
    for engine in program.engines:
        if total >= sum(size.streamable_bytes or 0 for size in sizes):
            assert engine.budget_bytes == engine.streamable_bytes
        else:
            part = parts[engine.name]
            assert part is not None and engine.budget_bytes in (kept(part), kept(part - 1)), "rounded down, never up"


@pytest.mark.parametrize(
    "keywords",
    [
        {"weight_streaming_budget": "3MiB"},
        {"weight_streaming_budget": "25%"},
        {"weight_streaming_budget": 0},
        {"weight_streaming_budget": "free-8192T"},
        {"weight_streaming_budget": "auto"},
        {"weight_streaming_budget_per_engine": "1MiB"},
        {"weight_streaming_budget_per_engine": {"wide": "1MiB", "narrow": 0, "middle": "100%"}},
    ],
    ids=str,
)
def test_a_change_does_what_a_load_does(three: Path, keywords: Any) -> None:
    loaded = budgets(torchtrt_ws.load(three, **keywords))
    program = torchtrt_ws.load(three, weight_streaming_budget="10%")
    program.set_weight_streaming_budget(**keywords)
    assert budgets(program) == loaded
    check(program)


def test_a_mapping_leaves_the_others(three: Path) -> None:
    program = torchtrt_ws.load(three, weight_streaming_budget="1MiB")
    before = budgets(program)
    program.set_weight_streaming_budget(weight_streaming_budget_per_engine={"wide": PAGE, "narrow": None})
    assert budgets(program) == {**before, "wide": (PAGE, "load-time (engine)")}


def test_a_program_of_one_engine(plain: Path) -> None:
    program = torchtrt_ws.load(plain)
    program.set_weight_streaming_budget("1MiB")
    assert budgets(program) == {"forward": (MIB, "load-time")}


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({}, "found no budget"),
        ({"weight_streaming_budget_per_engine": {}}, "found no budget"),
        ({"weight_streaming_budget": "1 GiB"}, "1 GiB"),
        ({"weight_streaming_budget": -1}, "found -1"),
        ({"weight_streaming_budget": 1, "weight_streaming_budget_per_engine": 1}, "one of the two"),
        ({"weight_streaming_budget_per_engine": {"wider": 1}}, "no engine named 'wider'"),
        ({"weight_streaming_budget_per_engine": {"wide": 0, "narrow": "50%"}}, "50%"),
    ],
    ids=str,
)
def test_what_cannot_be_read_changes_nothing(three: Path, keywords: Any, words: str) -> None:
    program = torchtrt_ws.load(three, weight_streaming_budget="1MiB")
    before = budgets(program)
    with pytest.raises(torchtrt_ws.BudgetError, match=words):
        program.set_weight_streaming_budget(**keywords)
    assert budgets(program) == before


def test_a_margin_that_no_memory_has_leaves_nothing(three: Path) -> None:
    program = torchtrt_ws.load(three, weight_streaming_margin="8192T")
    assert {each for each, _ in budgets(program).values()} == {0}
    program.set_weight_streaming_budget("50%")
    before = budgets(program)
    assert all(each > 0 for each, _ in before.values()), "it is for automatic budgets"
    program.set_weight_streaming_budget("auto")
    assert {each for each, _ in budgets(program).values()} == {0}, "it was given for the program, not for one call"
    check(program)


def test_a_margin_is_no_budget(three: Path) -> None:
    parts = budgets(torchtrt_ws.load(three, weight_streaming_budget="25%", weight_streaming_margin="8192T"))
    assert parts == budgets(torchtrt_ws.load(three, weight_streaming_budget="25%"))


@pytest.mark.parametrize("margin", ["auto", "5%", "free-1MiB", -1, True], ids=str)
def test_a_margin_is_a_size(three: Path, margin: Any) -> None:
    with pytest.raises(torchtrt_ws.BudgetError, match="weight_streaming_margin"):
        torchtrt_ws.load(three, weight_streaming_margin=margin)
