"""torchtrt_ws_run: the C++ way, through Module::load(LoadBackendOptionsMap)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torchtrt_ws import _native

RUNNER = Path(_native.__file__).parent / "bin" / "torchtrt_ws_run"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(RUNNER), *map(str, arguments)], text=True, capture_output=True, timeout=120)


def report(*arguments: object) -> dict[str, Any]:
    done = run(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_inputs_and_outputs(plain: Path, x: np.ndarray, want: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", x)
    found = report(plain, "--input", tmp_path / "x.npy", "--output", tmp_path / "out", "--repeat", 3)
    np.testing.assert_allclose(np.load(tmp_path / "out" / "output0.npy"), want, rtol=1e-4, atol=1e-4)
    assert found["outputs"] == [{"dtype": "float32", "shape": [2, 1024]}]
    assert found["engines"][0]["runs"] == 3


@pytest.mark.parametrize(
    ("options", "budget", "source"),
    [
        ([], 3 * 2**20, "baked"),
        (["--weight-streaming-budget", 2**20], 2**20, "load-time"),
        (["--option", f"weight_streaming_budget.forward={2**20}"], 2**20, "load-time (engine)"),
        (["--option", "weight_streaming_budget="], 3 * 2**20, "baked"),
        (["--load-mode", "file"], 3 * 2**20, "baked"),
    ],
    ids=["baked", "load-time", "engine", "empty", "file"],
)
def test_precedence(baked: Path, options: list[object], budget: int, source: str) -> None:
    (engine,) = report(baked, *options)["engines"]
    assert (engine["budget_bytes"], engine["source"]) == (budget, source)
    assert engine["device_bytes"] <= budget + 2 * 4096


def test_one_line_at_load_says_it_all(baked: Path) -> None:
    lines = [line for line in run(baked).stderr.splitlines() if "requested=" in line]
    assert len(lines) == 1
    for word in ("requested=3145728", "source=baked", "resolved=3145728", "actual=3145728", "streamable=", "scratch=0"):
        assert word in lines[0]


def test_an_empty_option_warns(baked: Path) -> None:
    assert "warning: weight_streaming_budget" in run(baked, "--weight-streaming-budget", "").stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--weight-streaming-budget", "1GiB"], 1, "1GiB"),
        (["--weight-streaming-budget", "-1"], 1, "-1"),
        (["--option", "weight_streaming_percent=101"], 1, "101"),
        (["--option", "weight_streaming_percent=1", "--weight-streaming-budget", "1"], 1, "weight_streaming_percent"),
        (["--option", "x" * 64 + "=1"], 1, "63 bytes"),
        (["--method", "backward"], 1, "backward"),
        (["--input", "/no/such.npy"], 1, "/no/such.npy"),
        (["--option", "nothing"], 2, "KEY=VALUE"),
        (["--nothing", "1"], 2, "--nothing"),
        (["--repeat", "0"], 2, "--repeat"),
        (["--input"], 2, "--input"),
    ],
    ids=lambda value: " ".join(map(str, value))[:40] if isinstance(value, list) else None,
)
def test_what_is_refused(baked: Path, arguments: list[str], code: int, words: str) -> None:
    done = run(baked, *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr


def test_wrong_npy_files_are_refused(plain: Path, x: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "good.npy", x)
    data = (tmp_path / "good.npy").read_bytes()
    np.save(tmp_path / "complex.npy", x.astype(np.complex64))
    np.save(tmp_path / "fortran.npy", np.asfortranarray(x))
    np.save(tmp_path / "shape.npy", x[:1])
    (tmp_path / "cut.npy").write_bytes(data[:-1])
    (tmp_path / "header.npy").write_bytes(data[:20])
    (tmp_path / "empty.npy").write_bytes(b"")
    for name in ("complex", "fortran", "shape", "cut", "header", "empty"):
        done = run(plain, "--input", tmp_path / f"{name}.npy")
        assert done.returncode == 1, name
        assert "expected" in done.stderr, name


def test_a_missing_program_is_refused() -> None:
    done = run("/no/such.pte")
    assert done.returncode == 1
    assert "/no/such.pte" in done.stderr
