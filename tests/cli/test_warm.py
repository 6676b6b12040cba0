"""`torchtrt-ws warm`: a load in another process finds what it prepared; real packed weights of real engines."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from warm_python import python

import torchtrt_ws
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.warming import COLD, KEEPS_NOTHING, WARM, warm

LOAD = """
import json, sys, torchtrt_ws
with torchtrt_ws.load(sys.argv[1]) as program:
    print(json.dumps([(engine.cache_hits, engine.cache_misses) for engine in program.engines]))
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("programs")
    rows = torch.export.Dim("rows", min=1, max=8)
    x = (torch.zeros(4, 256),)
    torchtrt_ws.save(torch.nn.Linear(256, 256), folder / "linear.pte", arg_inputs=x, dynamic_shapes=({0: rows},))
    torchtrt_ws.save(torch.nn.ReLU(), folder / "relu.pte", arg_inputs=x)
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def command(*arguments: object, cache: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TORCHTRT_WS_CACHE": str(cache), "COLUMNS": "200"}
    return python("-m", "torchtrt_ws", "warm", *arguments, env=environment, timeout=120)


def answer(*arguments: object, cache: Path) -> list[dict[str, Any]]:
    done = command(*arguments, "--json", cache=cache)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def states(report: dict[str, Any]) -> list[str]:
    return [engine["state"] for engine in report["engines"]]


def test_a_load_finds_what_it_prepared(programs: Path, cache: Path) -> None:
    (report,) = answer(programs / "linear.pte", cache=cache)
    assert (states(report), report["ok"], report["calls"]) == ([WARM], True, 2), "at 1 row and at 8"
    (kept,) = cache.glob("*.packed")
    written = kept.stat()
    environment = {**os.environ, "TORCHTRT_WS_CACHE": str(cache)}
    done = python("-c", LOAD, programs / "linear.pte", env=environment, timeout=120)
    assert json.loads(done.stdout) == [[1, 0]], done.stderr
    assert (kept.stat().st_ino, kept.stat().st_size) == (written.st_ino, written.st_size)
    assert states(answer(programs / "linear.pte", cache=cache)[0]) == [WARM], "and again"


def test_the_command_lists_each_file(programs: Path, cache: Path) -> None:
    done = command(programs / "linear.pte", programs / "relu.pte", cache=cache)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{programs / 'linear.pte'}: loaded in ") and "then 2 calls; now in " in lines[0]
    assert lines[1] == "  engine forward (host): warm"
    assert "then 1 call; now in " in lines[2]
    assert lines[3] == f"  engine forward (host): {KEEPS_NOTHING}"


def test_without_calls(programs: Path, cache: Path) -> None:
    (report,) = answer(programs / "linear.pte", "--no-run", cache=cache)
    assert (report["calls"], states(report)) == (0, [WARM])


def test_an_engine_that_stays_cold(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")  # where the folder should be
    done = command(programs / "linear.pte", "--json", cache=tmp_path / "file")
    report = json.loads(done.stdout)
    assert (done.returncode, states(report), report["ok"]) == (1, [COLD], False)
    assert "cannot stream its weights" in done.stderr, "why"


def test_each_method_is_called(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCHTRT_WS_CACHE", str(cache))
    modules = {"forward": torch.nn.Linear(256, 256), "clamp": torch.nn.ReLU()}
    exported = {name: torch.export.export(module, (torch.zeros(4, 256),)) for name, module in modules.items()}
    torchtrt_ws.save(exported, tmp_path / "both.pte")
    report = warm(tmp_path / "both.pte")
    assert report.calls == 2
    assert {engine.name: engine.state for engine in report.engines} == {"forward": WARM, "clamp": KEEPS_NOTHING}


def test_engines_on_the_same_weights_are_warm_together(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCHTRT_WS_CACHE", str(cache))
    linear, x = torch.nn.Linear(256, 256), (torch.zeros(4, 256),)
    modules = {"plain": linear, "clamped": torch.nn.Sequential(linear, torch.nn.ReLU())}
    exported = {name: torch.export.export(module, x) for name, module in modules.items()}
    torchtrt_ws.save(exported, tmp_path / "both.pte")
    with torchtrt_ws.load(tmp_path / "both.pte") as program:
        sharing = {engine.name: engine.shared_with for engine in program.engines}
    assert sharing == {"plain": ("clamped",), "clamped": ("plain",)}
    assert [engine.state for engine in warm(tmp_path / "both.pte").engines] == [WARM, WARM]


def test_what_a_load_refuses(programs: Path, cache: Path, tmp_path: Path) -> None:
    made = python("-m", "torchtrt_ws", "keygen", tmp_path / "key.pem", timeout=120)
    assert made.returncode == 0, made.stderr
    done = command(programs / "linear.pte", "--trusted-key", tmp_path / "key.pub.pem", cache=cache)
    assert done.returncode == 1 and "signature" in done.stderr
    assert not cache.exists(), "nothing was prepared"
    with pytest.raises(ProgramError):
        warm(tmp_path / "missing.pte")


# Who cannot be another user may lose the right to write: the cache is read-only all the same.
READ_ONLY = """
import os, sys, torchtrt_ws
torchtrt_ws.warm(sys.argv[1])
for root, _, files in os.walk(os.environ["TORCHTRT_WS_CACHE"]):
    for file in files:
        os.chmod(os.path.join(root, file), 0o444)
    os.chmod(root, 0o555)
if os.geteuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
with torchtrt_ws.load(sys.argv[1], weight_streaming_budget="50%") as program:
    (engine,) = program.engines
    print(engine.cache_hits, engine.cache_misses, 2 * engine.budget_bytes <= engine.streamable_bytes)
"""


def test_a_cache_that_may_only_be_read_serves(programs: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # pytest's own are for this user alone
        os.chmod(folder, 0o755)
        copy = shutil.copy(programs / "linear.pte", folder)
        os.chmod(copy, 0o644)
        environment = {**os.environ, "TORCHTRT_WS_CACHE": f"{folder}/cache"}
        done = python("-c", READ_ONLY, copy, env=environment, timeout=120)
        os.chmod(f"{folder}/cache", 0o755)  # to be removed
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["1", "0", "True"], "")
