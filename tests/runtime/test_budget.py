"""Who decides the budget, and what it does. All is read back from the engine or the system, not from what was asked."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import torchtrt_ws

BAKED = 3 * 2**20
PAGE = 4096
TENSORS = 2  # packed weights of the model


def outcome(path: Path, **keywords: Any) -> tuple[int, str]:
    (engine,) = torchtrt_ws.load(path, **keywords).engines
    return engine.budget_bytes, engine.source


def streamable(path: Path) -> int:
    return torchtrt_ws.load(path).engines[0].streamable_bytes


def resident(cache: Path) -> int:
    """Rss of all mappings of packed files in this process, from /proc/self/smaps."""
    total, ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split()[0] and not line.split()[0].endswith(":"):
            ours = str(cache) in line
        elif ours and line.startswith("Rss:"):
            total += int(line.split()[1]) * 1024
    return total


def test_a_load_time_value_beats_the_baked_one(baked: Path) -> None:
    assert outcome(baked, weight_streaming_budget=2**20) == (2**20, "load-time")
    assert outcome(baked, weight_streaming_budget_per_engine=2**20) == (2**20, "load-time")
    assert outcome(baked, weight_streaming_budget_per_engine={"forward": 2**20}) == (2**20, "load-time (engine)")


def test_the_baked_value_beats_automatic(baked: Path) -> None:
    assert outcome(baked) == (BAKED, "baked")


def test_automatic_keeps_everything_where_memory_allows(plain: Path) -> None:
    assert outcome(plain) == (streamable(plain), "automatic")


def test_auto_at_load_beats_the_baked_value(baked: Path) -> None:
    assert outcome(baked, weight_streaming_budget="auto") == (streamable(baked), "load-time")


def test_a_reserve_larger_than_memory_leaves_nothing(plain: Path) -> None:
    assert outcome(plain, weight_streaming_budget="free-8192T") == (0, "load-time")


@pytest.mark.parametrize("percent", [0, 25, 50, 100])
def test_percent_of_the_streamable_weights(plain: Path, percent: int) -> None:
    asked = streamable(plain) * percent // 100
    assert outcome(plain, weight_streaming_budget=f"{percent}%")[0] == asked // PAGE * PAGE  # what is kept: whole pages


def test_more_than_the_weights_is_clipped(plain: Path) -> None:
    assert outcome(plain, weight_streaming_budget="1T")[0] == streamable(plain)


def test_a_hundred_percent_baked_is_all_of_it(save: Any) -> None:
    path = save("all", weight_streaming_budget="100%")
    assert outcome(path) == (streamable(path), "baked")


@pytest.mark.parametrize("budget", ["100%", "50%", "10%", 0, 1, 123457, 2**20])
def test_resident_weights_after_a_run_are_within_the_budget(
    plain: Path, cache: Path, x: np.ndarray, want: np.ndarray, budget: int | str
) -> None:
    program = torchtrt_ws.load(plain, weight_streaming_budget=budget)
    for _ in range(2):
        (got,) = program(x)
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
        (engine,) = program.engines
        assert engine.budget_bytes - PAGE <= resident(cache) <= engine.budget_bytes + TENSORS * PAGE
        assert engine.device_bytes == resident(cache)


def test_a_change_after_load_moves_memory_down_and_up(
    plain: Path, cache: Path, x: np.ndarray, want: np.ndarray
) -> None:
    program = torchtrt_ws.load(plain)
    (engine,) = program.engines
    for budget in (0, 2**20, "100%", "50%"):
        engine.set_budget(budget)
        (got,) = program(x)
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
        assert engine.budget_bytes - PAGE <= resident(cache) <= engine.budget_bytes + TENSORS * PAGE
        assert engine.source == "load-time"


def test_a_budget_is_what_is_kept(plain: Path) -> None:
    (engine,) = torchtrt_ws.load(plain, weight_streaming_budget=2**20 + 100).engines
    assert (engine.budget_bytes, engine.device_bytes) == (2**20, 2**20), "whole pages"
    engine.set_budget(PAGE - 1)
    assert engine.budget_bytes == 0


RESIDENT = """
import sys
import torchtrt_ws

def pages(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key)) * 1024

torchtrt_ws.load(sys.argv[2], weight_streaming_budget=0)  # what the first load brings in: libraries, XNNPACK
before = pages("VmRSS")
program = torchtrt_ws.load(sys.argv[1], weight_streaming_budget=0)
print(pages("VmRSS") - before, program.engines[0].device_bytes, program.engines[0].streamable_bytes)
"""


@pytest.mark.parametrize("verify", ["checksum", "digest", "off"])
def test_loading_leaves_neither_the_file_nor_the_weights_in_memory(
    tmp_path: Path, plain: Path, fresh: dict[str, str], verify: str
) -> None:
    """Cold, where this process packs the weights, and warm, where they are packed already."""
    model = torch.nn.Sequential(*(torch.nn.Linear(1024, 1024) for _ in range(8)))
    torchtrt_ws.save(model, tmp_path / "large.pte", arg_inputs=(torch.zeros(1, 1024),))
    script = RESIDENT.replace("sys.argv[1], ", f"sys.argv[1], verify={verify!r}, ")
    for which in ("cold", "warm"):
        command = [sys.executable, "-c", script, str(tmp_path / "large.pte"), str(plain)]
        process = subprocess.run(command, env=fresh, text=True, capture_output=True, timeout=120)
        assert process.returncode == 0, process.stderr
        grown, device, total = map(int, process.stdout.split())
        assert total > 32 * 2**20
        assert device == 0
        assert grown < 4 * 2**20, which


def test_a_refused_change_leaves_the_budget(plain: Path) -> None:
    (engine,) = torchtrt_ws.load(plain, weight_streaming_budget=2**20).engines
    with pytest.raises(torchtrt_ws.BudgetError):
        engine.set_budget(-1)
    assert (engine.budget_bytes, engine.source) == (2**20, "load-time")


@pytest.mark.parametrize("value", [None, {}, {"nope": 1}])
def test_a_change_to_nothing_is_refused(plain: Path, value: Any) -> None:
    (engine,) = torchtrt_ws.load(plain, weight_streaming_budget=2**20).engines
    with pytest.raises(torchtrt_ws.BudgetError, match="budget: found"):
        engine.set_budget(value)
    assert engine.budget_bytes == 2**20


def test_an_engine_keeps_its_program_alive(plain: Path) -> None:
    (engine,) = torchtrt_ws.load(plain, weight_streaming_budget=2**20).engines
    assert engine.name == "forward"


def test_two_engines_of_one_file_have_two_budgets(plain: Path, x: np.ndarray) -> None:
    all_of_it = torchtrt_ws.load(plain, weight_streaming_budget="100%")
    none_of_it = torchtrt_ws.load(plain, weight_streaming_budget=0)
    np.testing.assert_array_equal(all_of_it(x)[0], none_of_it(x)[0])
    assert all_of_it.engines[0].device_bytes == all_of_it.engines[0].streamable_bytes
    assert none_of_it.engines[0].device_bytes == 0


def test_changes_beside_threads_that_run(plain: Path, x: np.ndarray) -> None:
    program = torchtrt_ws.load(plain)
    (want,) = program(x)
    wrong: list[object] = []

    def run() -> None:
        for _ in range(50):
            (got,) = program(x)
            if not np.array_equal(got, want):
                wrong.append(got)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for step in range(100):
        program.engines[0].set_budget(f"{step}%")
    for thread in threads:
        thread.join()
    assert not wrong
    assert program.engines[0].runs == 101


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"weight_streaming_budget": -1}, "found -1"),
        ({"weight_streaming_budget": 1.5}, "found 1.5"),
        ({"weight_streaming_budget": True}, "found True"),
        ({"weight_streaming_budget": "1 GiB"}, "1 GiB"),
        ({"weight_streaming_budget": "50%", "weight_streaming_budget_per_engine": 1}, "per_engine"),
        ({"weight_streaming_budget_per_engine": {"encoder": 1}}, "encoder"),
        ({"weight_streaming_budget_per_engine": {"forward": "50%"}}, "50%"),
    ],
    ids=str,
)
def test_a_malformed_budget_is_refused_with_what_is_accepted(plain: Path, keywords: Any, words: str) -> None:
    with pytest.raises(torchtrt_ws.BudgetError, match=words):
        torchtrt_ws.load(plain, **keywords)


# What follows changes limits or races, so it runs in processes of its own.

SCRIPT = """
import sys, numpy as np, torchtrt_ws
x = np.full((2, 1024), 0.5, np.float32)
program = torchtrt_ws.load(sys.argv[1], weight_streaming_budget=sys.argv[2])
y, = program(x)
engine, = program.engines
print(engine.streamable_bytes, engine.budget_bytes, engine.device_bytes, float(y.sum()))
"""


def start(path: Path, budget: str, env: dict[str, str], before: str = "") -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", before + SCRIPT, str(path), budget]
    return subprocess.Popen(arguments, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[str]) -> tuple[list[float], str]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return [float(word) for word in out.split()], err


@pytest.fixture
def fresh(tmp_path: Path) -> dict[str, str]:
    """An environment with an empty cache."""
    import os

    return {**os.environ, "TORCHTRT_WS_CACHE": str(tmp_path / "cache")}


def test_processes_that_start_at_once_share_one_file(plain: Path, fresh: dict[str, str]) -> None:
    results = [finish(process)[0] for process in [start(plain, "50%", fresh) for _ in range(4)]]
    assert all(result == results[0] for result in results)
    assert results[0][0] > 0, "the weights are streamable in every process, not on somebody's heap"
    files = list(Path(fresh["TORCHTRT_WS_CACHE"]).glob("*"))
    assert len([file for file in files if file.suffix == ".packed"]) == 1
    assert all(file.suffix in (".packed", ".lock", ".sum") for file in files), "a temporary file was left"


@pytest.mark.parametrize("damage", ["truncated", "garbage", "emptied index"])
def test_a_damaged_packed_file_is_written_again(plain: Path, fresh: dict[str, str], damage: str) -> None:
    want, _ = finish(start(plain, "50%", fresh))
    (file,) = Path(fresh["TORCHTRT_WS_CACHE"]).glob("*.packed")
    data = file.read_bytes()
    file.write_bytes(
        {"truncated": data[:-1], "garbage": b"x" * len(data), "emptied index": data[:-60] + bytes(40) + data[-20:]}[
            damage
        ]
    )
    got, _ = finish(start(plain, "50%", fresh))
    assert got == want


def test_without_a_cache_folder_it_runs_resident_and_says_so(plain: Path, fresh: dict[str, str]) -> None:
    fresh["TORCHTRT_WS_CACHE"] = "/proc/no/such/folder"
    (total, budget, *_), err = finish(start(plain, "50%", fresh))
    assert (total, budget) == (0, 0)
    assert "cannot stream its weights" in err
    assert "TORCHTRT_WS_CACHE" in err


DROP_LOCK_RIGHT = """
import ctypes, resource
CAP_IPC_LOCK = 14  # root may lock without limit; without this capability RLIMIT_MEMLOCK counts
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
data = (ctypes.c_uint32 * 6)()
libc = ctypes.CDLL(None, use_errno=True)
assert libc.capget(header, data) == 0
data[0] &= ~(1 << CAP_IPC_LOCK)
assert libc.capset(header, data) == 0
resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))
"""


def test_memory_that_cannot_be_locked_is_said_once(plain: Path, fresh: dict[str, str]) -> None:
    again = "program.engines[0].set_budget('75%'); program(x)\n"
    script = DROP_LOCK_RIGHT + SCRIPT + again
    process = subprocess.run(
        [sys.executable, "-c", script, str(plain), "50%"], env=fresh, text=True, capture_output=True, timeout=120
    )
    assert process.returncode == 0, process.stderr
    assert process.stderr.count("could not be locked") == 1
    total, budget, device, _ = (float(word) for word in process.stdout.split())
    assert budget == total // 2
    assert device <= budget + TENSORS * PAGE
