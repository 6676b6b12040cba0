"""torchtrt_ws.memory, sleep and wake over host engines. What gives memory to whom is in memory_cases.py: how much of a
machine's memory is free changes while a test looks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import torchtrt_ws
from torchtrt_ws import memory


@pytest.fixture(autouse=True)
def no_headroom() -> Iterator[None]:
    yield
    memory.headroom(0, device="cpu")


def test_a_program_that_sleeps_keeps_nothing_and_wakes_to_what_it_had(
    plain: Path, x: np.ndarray, want: np.ndarray
) -> None:
    program = torchtrt_ws.load(plain, weight_streaming_budget="50%")
    (engine,) = program.engines
    before = engine.budget_bytes
    np.testing.assert_allclose(program(x)[0], want, rtol=1e-4, atol=1e-4)
    program.sleep()
    assert program.asleep
    assert (engine.budget_bytes, engine.wanted_bytes, engine.source) == (0, before, "load-time")
    with pytest.raises(torchtrt_ws.EngineError, match=r"a run while it sleeps.*Call wake\(\) first"):
        program(x)
    with pytest.raises(torchtrt_ws.EngineError, match="a change of budget while it sleeps"):
        engine.set_budget("100%")
    program.sleep()
    program.wake()
    assert not program.asleep
    assert (engine.budget_bytes, engine.source) == (before, "load-time")
    np.testing.assert_allclose(program(x)[0], want, rtol=1e-4, atol=1e-4)


def test_one_engine_sleeps_alone(three: Path) -> None:
    program = torchtrt_ws.load(three, contexts=2)
    wide = next(engine for engine in program.engines if engine.name == "wide")
    wide.sleep()
    assert wide.asleep
    assert not program.asleep
    for _ in range(2):  # in whichever context
        with pytest.raises(torchtrt_ws.EngineError, match="sleeps"):
            program.run("wide", *program.zeros("wide"))
        program.run("narrow", *program.zeros("narrow"))
    program.wake()
    program.run("wide", *program.zeros("wide"))


def test_a_block_may_end_while_the_program_sleeps(plain: Path) -> None:
    program = torchtrt_ws.load(plain, weight_streaming_budget="50%")
    before = program.engines[0].budget_bytes
    with torchtrt_ws.weight_streaming(program) as ctx:
        ctx.device_budget = 0
        program.sleep()
    assert program.engines[0].wanted_bytes == before
    program.wake()
    assert program.engines[0].budget_bytes == before


def test_priorities(three: Path) -> None:
    program = torchtrt_ws.load(three, contexts=2)
    assert program.priority == 0
    program.priority = -7
    assert {report["priority"] for report in memory.engines() if report["name"] in ("narrow", "wide")} == {-7}
    program.engines[0].priority = 3
    assert program.priority == 3
    assert sorted(engine.priority for engine in program.engines) == [-7, -7, 3]
    for value in (2**31, 1.5, True, "high"):
        with pytest.raises(torchtrt_ws.ProgramError, match="an int from"):
            program.priority = value  # type: ignore[assignment]


def test_what_is_free_needs_nobody_to_give_it(plain: Path) -> None:
    program = torchtrt_ws.load(plain)
    before = program.engines[0].as_dict()
    assert memory.make_room("1MiB") == 0
    assert memory.give_back() == 0
    assert program.engines[0].as_dict() == before
    assert program.engines[0].device == "cpu"


def test_more_than_the_machine_has_changes_nothing(plain: Path, x: np.ndarray, want: np.ndarray) -> None:
    program = torchtrt_ws.load(plain)
    before = program.engines[0].budget_bytes, program.engines[0].source
    with pytest.raises(torchtrt_ws.CapacityError, match=r"at most [0-9]+ bytes that can be made free"):
        memory.make_room("1024T")
    assert (program.engines[0].budget_bytes, program.engines[0].source) == before
    np.testing.assert_allclose(program(x)[0], want, rtol=1e-4, atol=1e-4)


def test_headroom_that_cannot_be_kept_takes_all_and_gives_it_back(plain: Path, x: np.ndarray, want: np.ndarray) -> None:
    program = torchtrt_ws.load(plain)
    (engine,) = program.engines
    assert memory.headroom("1024T") == memory.headroom() == 2**50
    assert (engine.budget_bytes, engine.source) == (0, "headroom")
    assert engine.wanted_bytes == engine.streamable_bytes
    late = torchtrt_ws.load(plain, share_engines=False)
    assert late.engines[0].budget_bytes == 0, "a load leaves the headroom free"
    np.testing.assert_allclose(program(x)[0], want, rtol=1e-4, atol=1e-4)
    assert memory.headroom(0) == 0
    assert memory.give_back() >= engine.streamable_bytes - 4096
    assert (engine.budget_bytes, engine.source) == (engine.streamable_bytes, "automatic")
    np.testing.assert_allclose(program(x)[0], want, rtol=1e-4, atol=1e-4)


def test_following_is_a_thread_while_the_block_runs(plain: Path, x: np.ndarray) -> None:
    program = torchtrt_ws.load(plain)
    assert memory.follow() == 0, "no headroom, nothing to look at"
    with memory.following(seconds=0.001), memory.following():
        memory.headroom("1024T")
        program.engines[0].set_budget("100%")  # taken again at once
        program(x)
    assert program.engines[0].source == "headroom"


@pytest.mark.parametrize("call", [memory.make_room, memory.headroom])
@pytest.mark.parametrize("size", ["auto", "50%", "free-1GiB", "1 GiB", -1, 1.5, True])
def test_a_size_is_bytes(plain: Path, call: Callable[..., Any], size: Any) -> None:
    with pytest.raises(torchtrt_ws.BudgetError, match="a number of bytes"):
        call(size, device="cpu")


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan"), float("inf"), "1", True])
def test_seconds_are_seconds(seconds: Any) -> None:
    with pytest.raises(torchtrt_ws.ProgramError, match=r"seconds from 0\.001"), memory.following(seconds):
        raise AssertionError("the block was entered")


def test_a_device_without_engines_is_refused(plain: Path) -> None:
    program = torchtrt_ws.load(plain)
    with pytest.raises(torchtrt_ws.ProgramError, match="no live engine on it; expected one of cpu"):
        memory.make_room(1, device="cuda:7")
    assert memory.headroom(device="cuda:7") == 0
    assert program.engines[0].source == "automatic"


def test_the_lines_of_the_guide(three: Path, plain: Path) -> None:
    text = (Path(__file__).resolve().parent.parent.parent / "docs/guide/running.md").read_text()
    lines = re.search(r"```python\nfrom torchtrt_ws import memory\n(.*?)```", text, re.DOTALL)
    assert lines is not None
    programs = {"assistant": torchtrt_ws.load(three), "indexer": torchtrt_ws.load(plain)}
    exec(lines[1].replace("GiB", "KiB"), {"memory": memory, **programs})  # this machine may not have gigabytes
    assert [program.priority for program in programs.values()] == [1, -1]
    assert not programs["indexer"].asleep
    assert memory.headroom() == 1024
