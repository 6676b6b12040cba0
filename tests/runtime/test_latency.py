"""load(split="latency", profile=...): totals by a profile that is made up, of real engines of the host."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import torchtrt_ws
from torchtrt_ws import pte
from torchtrt_ws.budget.profile import EngineProfile, Point, Profile, beside
from torchtrt_ws.runtime import Program

MIB = 2**20
PAGE = 4096  # a host engine keeps whole pages, and tells what it keeps
# Of the four quarters of the weights: half of "middle" is as fast as three quarters, "wide" gains from its last quarter
# alone, and "narrow" (0.5 MiB) from its first.
TIMES = {"narrow": (9, 3, 3, 3, 3), "middle": (20, 12, 10, 10, 2), "wide": (40, 39, 38, 37, 5)}


def sizes(path: Path) -> dict[str, int]:
    return {engine.name: engine.streamable_bytes for engine in torchtrt_ws.load(path, split="proportional").engines}


def quarters(streamable: int, count: int) -> int:
    return streamable * count // 4 // PAGE * PAGE if count < 4 else streamable


def made_up(path: Path, times: Mapping[str, tuple[float, ...]] = TIMES) -> Profile:
    streamable = sizes(path)

    def points(name: str) -> tuple[Point, ...]:
        budgets = [quarters(streamable[name], count) for count in range(5)]
        return tuple(Point(b, b, ms) for b, ms in zip(budgets, times[name], strict=True))

    return Profile(
        tuple(
            EngineProfile(e.name, str(e.sha256), streamable[e.name], 0, points(e.name)) for e in pte.read(path).engines
        )
    )


@pytest.fixture
def measured(three: Path, tmp_path: Path) -> Path:
    """`three` with its profile beside it."""
    path = tmp_path / "measured.pte"
    path.write_bytes(three.read_bytes())
    made_up(path).write(beside(path))
    return path


def budgets(program: Program) -> dict[str, int]:
    return {engine.name: engine.budget_bytes for engine in program.engines}


def check(program: Program) -> None:
    for engine in program.engines:
        (x,) = program.zeros(engine.name)
        (y,) = program.run(engine.name, x + 1)
        np.testing.assert_array_equal(y, np.full_like(y, x.shape[1]))


def test_a_total_goes_where_it_saves_the_most(measured: Path) -> None:
    """4.5 MiB of 6.5: all of "wide" saves 35 ms, a quarter of "narrow" 6; less than a quarter of "middle" is left."""
    streamable = sizes(measured)
    total = streamable["wide"] + quarters(streamable["narrow"], 1)
    program = torchtrt_ws.load(measured, weight_streaming_budget=total, split="latency")
    want = {"narrow": quarters(streamable["narrow"], 1), "middle": 0, "wide": streamable["wide"]}
    assert budgets(program) == want
    assert {engine.source for engine in program.engines} == {"load-time (engine)"}
    check(program)
    proportional = torchtrt_ws.load(measured, weight_streaming_budget=total, split="proportional")
    assert budgets(proportional)["middle"] > 0


@pytest.mark.parametrize(
    ("here", "measured_on", "warns"),
    [
        ("NVIDIA H100", "NVIDIA H200", True),
        ("NVIDIA H200", "NVIDIA H200", False),
        ("", "NVIDIA H200", False),  # no driver tells
        ("NVIDIA H200", "", False),  # an old profile does not
    ],
)
def test_times_of_another_gpu_are_said(
    here: str,
    measured_on: str,
    warns: bool,
    three: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("torchtrt_ws.runtime.spending.gpu_name", lambda device: here)
    made = made_up(three)
    profile = replace(made, engines=tuple(replace(each, gpu=measured_on) for each in made.engines))
    program = torchtrt_ws.load(three, weight_streaming_budget="50%", split="latency", profile=profile)
    program.set_weight_streaming_budget("70%")
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(said) == warns
    if warns:
        assert "another GPU: profile was measured on NVIDIA H200, and this is NVIDIA H100; run" in said[0]


def test_a_change_does_what_a_load_does(measured: Path) -> None:
    program = torchtrt_ws.load(measured, weight_streaming_budget=0, split="proportional")
    program.set_weight_streaming_budget("70%", split="latency")
    loaded = torchtrt_ws.load(measured, weight_streaming_budget="70%", split="latency")
    assert budgets(program) == budgets(loaded)
    assert budgets(program)["wide"] == sizes(measured)["wide"]
    loaded.set_weight_streaming_budget("10%")
    first = {name: quarters(size, 1) for name, size in sizes(measured).items()}
    assert budgets(loaded) == {**first, "wide": 0}, "without a split: as it was loaded"
    check(program)


def test_without_a_split_budgets_only_lose_what_buys_nothing(
    three: Path, measured: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = budgets(torchtrt_ws.load(three, weight_streaming_budget="75%"))
    with caplog.at_level(logging.INFO, "torchtrt_ws"):
        program = torchtrt_ws.load(measured, weight_streaming_budget="75%")
    streamable = sizes(measured)
    assert budgets(program) == {
        **plain,
        "narrow": quarters(streamable["narrow"], 1),
        "middle": quarters(streamable["middle"], 2),
    }
    told = [record for record in caplog.records if record.name != "torchtrt_ws.engines"]
    assert [record.levelname for record in told] == ["INFO"]
    assert "measured.pte: budgets by the profile" in caplog.text
    program.set_weight_streaming_budget("74%")
    assert budgets(program)["middle"] == quarters(streamable["middle"], 2)
    told = [record for record in caplog.records if record.name != "torchtrt_ws.engines"]
    assert len(told) == 1, "once"


def test_bytes_for_one_engine_are_applied_as_asked(measured: Path) -> None:
    each = {"narrow": 8192, "middle": MIB // 2, "wide": MIB}
    assert budgets(torchtrt_ws.load(measured, weight_streaming_budget_per_engine=each)) == each
    program = torchtrt_ws.load(measured, weight_streaming_budget_per_engine="256K")
    assert set(budgets(program).values()) == {2**18}


@pytest.mark.parametrize("budget", [None, "auto"])
def test_an_automatic_budget_is_spent_again(measured: Path, budget: str | None) -> None:
    """Everything fits, and by the profile "narrow" is as fast with a quarter."""
    for split in (None, "latency"):
        program = torchtrt_ws.load(measured, weight_streaming_budget=budget, split=split)
        streamable = sizes(measured)
        assert budgets(program) == {**streamable, "narrow": quarters(streamable["narrow"], 1)}
        check(program)


def test_a_baked_budget_is_a_total_for_latency_alone(measured: Path) -> None:
    torchtrt_ws.set_budget(measured, "4608K")
    baked = budgets(torchtrt_ws.load(measured, split="proportional"))
    assert budgets(torchtrt_ws.load(measured)) == baked
    spent = budgets(torchtrt_ws.load(measured, split="latency"))
    assert spent != baked and sum(spent.values()) <= sum(baked.values())


def test_a_profile_that_is_given(three: Path, measured: Path) -> None:
    keywords: Any = {"weight_streaming_budget": "70%", "split": "latency"}
    want = budgets(torchtrt_ws.load(measured, **keywords))
    assert budgets(torchtrt_ws.load(three, profile=beside(measured), **keywords)) == want
    assert budgets(torchtrt_ws.load(three, profile=made_up(three), **keywords)) == want


def test_no_profile(three: Path) -> None:
    with pytest.raises(torchtrt_ws.BudgetError, match=r"no file '.*three.profile.json'; expected the profile of"):
        torchtrt_ws.load(three, weight_streaming_budget="50%", split="latency")
    program = torchtrt_ws.load(three, weight_streaming_budget="50%")
    before = budgets(program)
    with pytest.raises(torchtrt_ws.BudgetError, match="Measure the program"):
        program.set_weight_streaming_budget("10%", split="latency")
    with pytest.raises(torchtrt_ws.BudgetError, match="a total to split"):
        program.set_weight_streaming_budget(weight_streaming_budget_per_engine="10%", split="latency")
    assert budgets(program) == before


def test_a_profile_out_of_date(three: Path, measured: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who did not ask for it gets the program as without it, and a warning."""
    text = beside(measured).read_text()
    digest = str(pte.read(measured).engines[0].sha256)
    beside(measured).write_text(text.replace(digest, "0" * 64))
    program = torchtrt_ws.load(measured, weight_streaming_budget="75%")
    assert budgets(program) == budgets(torchtrt_ws.load(three, weight_streaming_budget="75%"))
    assert "another engine was measured" in caplog.text
    for keywords in ({"split": "latency"}, {"profile": beside(measured)}):
        with pytest.raises(torchtrt_ws.ProgramError, match="another engine was measured"):
            torchtrt_ws.load(measured, weight_streaming_budget="75%", **keywords)
