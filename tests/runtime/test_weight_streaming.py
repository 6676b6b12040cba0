"""Other budgets for the time of a block: what is there in it, and that all is as before after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import torchtrt_ws
from torchtrt_ws.runtime import Program

BEFORE = {
    "automatic": {},
    "a total": {"weight_streaming_budget": "3MiB"},
    "a percent": {"weight_streaming_budget": "30%"},
    "a mapping": {"weight_streaming_budget_per_engine": {"wide": 123457}},
    "nothing": {"weight_streaming_budget": 0},
}


def budgets(program: Program) -> dict[str, tuple[int, str]]:
    return {engine.name: (engine.budget_bytes, engine.source) for engine in program.engines}


def load(three: Path, before: str) -> Program:
    keywords: Any = BEFORE[before]
    return torchtrt_ws.load(three, **keywords)


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize(
    "budget", [0, 1, "1MiB", "50%", "free-8192T", "auto", {"wide": 7}, {"narrow": "100%"}], ids=str
)
def test_all_is_as_before_after_a_block(three: Path, before: str, budget: Any) -> None:
    program = load(three, before)
    had = budgets(program)
    with torchtrt_ws.weight_streaming(program) as ctx:
        ctx.device_budget = budget
        assert ctx.device_budget == sum(bytes for bytes, _ in budgets(program).values())
        (x,) = program.zeros("wide")
        inside = program.run("wide", x + 1)
    assert budgets(program) == had
    np.testing.assert_array_equal(program.run("wide", x + 1), inside)


def test_what_it_tells(three: Path) -> None:
    program = torchtrt_ws.load(three, weight_streaming_budget="1MiB")
    streamable = sum(engine.streamable_bytes for engine in program.engines)
    with torchtrt_ws.weight_streaming(program) as ctx:
        assert ctx.total_device_budget == streamable
        assert 2**20 - 3 * 4096 < ctx.device_budget <= 2**20, "a host engine keeps whole pages"
        before = budgets(program)
        assert ctx.get_automatic_weight_streaming_budget() == streamable, "it fits this machine's memory"
        assert budgets(program) == before, "asking changed something"
        ctx.device_budget = ctx.total_device_budget
        assert ctx.device_budget == streamable
        ctx.device_budget = "auto"
        assert ctx.device_budget == ctx.get_automatic_weight_streaming_budget()


def test_the_automatic_budget_leaves_the_margin_of_load(three: Path) -> None:
    program = torchtrt_ws.load(three, weight_streaming_margin="8192T")
    assert torchtrt_ws.weight_streaming(program).get_automatic_weight_streaming_budget() == 0


@pytest.mark.parametrize("before", BEFORE)
def test_an_exception_goes_on_and_the_budgets_come_back(three: Path, before: str) -> None:
    program = load(three, before)
    had = budgets(program)
    with pytest.raises(KeyError, match="mine"), torchtrt_ws.weight_streaming(program) as ctx:
        ctx.device_budget = "5%"
        raise KeyError("mine")
    assert budgets(program) == had


def test_a_budget_that_cannot_be_read_ends_the_block_as_it_began(three: Path) -> None:
    program = load(three, "automatic")
    had = budgets(program)
    with pytest.raises(torchtrt_ws.BudgetError, match="found -1"), torchtrt_ws.weight_streaming(program) as ctx:
        ctx.device_budget = "5%"
        ctx.device_budget = -1
    assert budgets(program) == had


def test_blocks_in_blocks(three: Path) -> None:
    program = load(three, "automatic")
    had = budgets(program)
    with torchtrt_ws.weight_streaming(program) as outer:
        outer.device_budget = "50%"
        half = budgets(program)
        with torchtrt_ws.weight_streaming(program) as inner:
            inner.device_budget = 0
            assert outer.device_budget == inner.device_budget == 0
        assert budgets(program) == half
        with outer:
            outer.device_budget = "10%"
        assert budgets(program) == half
    assert budgets(program) == had


def test_a_block_that_changes_one_engine(three: Path) -> None:
    program = load(three, "automatic")
    had = budgets(program)
    with torchtrt_ws.weight_streaming(program):
        program.engines[1].set_budget(1)
        assert budgets(program) != had
    assert budgets(program) == had


def test_a_misspelt_budget_is_an_error(three: Path) -> None:
    with torchtrt_ws.weight_streaming(load(three, "automatic")) as ctx, pytest.raises(AttributeError):
        ctx.device_budet = 1  # type: ignore[attr-defined]
