"""Loads that were told nothing: the process's defaults, the environment, and loaders that cannot pass options."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from warm_python import python

import torchtrt_ws

VARIABLE = "TORCHTRT_WS_WEIGHT_STREAMING_BUDGET"
BAKED = 3 * 2**20  # of the fixture `baked`

# ExecuTorch's own runtime, which passes no options; our package is imported and nothing else of it is called.
STOCK = """
import sys
import numpy as np
import torch
import torchtrt_ws.runtime
from executorch.runtime import Runtime
program = Runtime.get().load_program(sys.argv[1])
method = program.load_method("forward")
shape = method.metadata.input_tensor_meta(0).sizes()
(output,) = method.execute([torch.ones(*shape)])
assert output.isfinite().all()
from torchtrt_ws._native import engine_report
report = engine_report(1)
print(report["budget_bytes"], report["streamable_bytes"], report["source"])
"""


@pytest.fixture(autouse=True)
def no_defaults(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(VARIABLE, raising=False)
    yield
    torchtrt_ws.set_defaults()


def outcome(path: Path, **keywords: Any) -> tuple[int, str]:
    (engine,) = torchtrt_ws.load(path, **keywords).engines
    return engine.budget_bytes, engine.source


def test_each_is_weaker_than_the_one_before(baked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcome(baked) == (BAKED, "baked")
    monkeypatch.setenv(VARIABLE, "1MiB")
    assert outcome(baked) == (2**20, "environment")
    torchtrt_ws.set_defaults(weight_streaming_budget="2MiB")
    assert outcome(baked) == (2**21, "process default")
    assert outcome(baked, weight_streaming_budget=4096) == (4096, "load-time")
    assert outcome(baked, weight_streaming_budget_per_engine={"forward": 8192}) == (8192, "load-time (engine)")


def test_the_last_call_counts(baked: Path) -> None:
    torchtrt_ws.set_defaults(weight_streaming_budget_per_engine=0)
    assert outcome(baked) == (0, "process default")
    torchtrt_ws.set_defaults(weight_streaming_margin="1GiB")
    assert outcome(baked) == (BAKED, "baked")


@pytest.mark.parametrize(("budget", "kept"), [("0%", 0), ("100%", 1), ("auto", 1), ("free-8192T", 0)])
def test_all_forms_travel(baked: Path, monkeypatch: pytest.MonkeyPatch, budget: str, kept: int) -> None:
    (engine,) = torchtrt_ws.load(baked).engines
    monkeypatch.setenv(VARIABLE, budget)
    assert outcome(baked) == (kept * engine.streamable_bytes, "environment")
    monkeypatch.delenv(VARIABLE)
    torchtrt_ws.set_defaults(weight_streaming_budget=budget)
    assert outcome(baked) == (kept * engine.streamable_bytes, "process default")


def test_a_variable_that_cannot_be_read_fails_the_load(baked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1GB")
    with pytest.raises(torchtrt_ws.BudgetError, match=f'{VARIABLE}: found "1GB"; expected auto, a number'):
        torchtrt_ws.load(baked)


def test_a_switch_of_the_load_beats_that_of_the_process(baked: Path) -> None:
    # Damage behind the checksum: only a load that compares nothing takes it.
    damaged = baked.with_name("damaged.pte")
    data = bytearray(baked.read_bytes())
    at = data.index(b'"crc32c":"') + len(b'"crc32c":"')
    data[at] = ord("0") if data[at] != ord("0") else ord("1")
    damaged.write_bytes(data)
    torchtrt_ws.set_defaults(verify="off")
    assert outcome(damaged) == (BAKED, "baked")
    with pytest.raises(torchtrt_ws.ProgramError, match="CRC-32C"):
        torchtrt_ws.load(damaged, verify="checksum")


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"weight_streaming_budget": "1GB"}, "expected"),
        ({"weight_streaming_budget": 1, "weight_streaming_budget_per_engine": 1}, "both"),
        ({"weight_streaming_margin": "auto"}, "bytes to leave free"),
        ({"verify": "twice"}, "checksum"),
        ({"device_id": -1}, "device"),
    ],
)
def test_what_cannot_be_a_default_changes_nothing(baked: Path, keywords: dict[str, Any], words: str) -> None:
    torchtrt_ws.set_defaults(weight_streaming_budget=4096)
    with pytest.raises(torchtrt_ws.WeightStreamingError, match=words):
        torchtrt_ws.set_defaults(**keywords)
    assert outcome(baked) == (4096, "process default")


def stock(path: Path, code: str = STOCK, **environment: str) -> list[str]:
    done = python("-c", code, path, env={**os.environ, **environment}, exports=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split(maxsplit=2)


def test_executorch_s_own_runtime_loads_under_the_environment_s_budget(baked: Path) -> None:
    assert stock(baked)[0::2] == [str(BAKED), "baked\n"]
    budget, streamable, source = stock(baked, **{VARIABLE: "50%"})
    assert abs(int(budget) - int(streamable) // 2) < 4096
    assert source == "environment\n"


def test_executorch_s_own_runtime_loads_under_the_process_s_budget(baked: Path) -> None:
    said = STOCK.replace("program =", "torchtrt_ws.set_defaults(weight_streaming_budget=0)\nprogram =")
    assert stock(baked, said)[0::2] == ["0", "process default\n"]


def test_loads_from_many_threads(baked: Path) -> None:
    wanted = outcome(baked)
    x = np.ones((2, 1024), np.float32)
    (right,) = torchtrt_ws.load(baked)(x)

    def load_and_run(_: int) -> bool:
        program = torchtrt_ws.load(baked)
        (engine,) = program.engines
        return (engine.budget_bytes, engine.source) == wanted and np.array_equal(program(x)[0], right)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(load_and_run, range(200)))
