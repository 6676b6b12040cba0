"""`torchtrt-ws run`: budgets as people give them, and what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch
from warm_python import python

import torchtrt_ws
from torchtrt_ws import pte
from torchtrt_ws.budget.profile import EngineProfile, Point, Profile


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With two.pte: two methods, one linear layer each."""
    folder = tmp_path_factory.mktemp("run")
    layers = {"up": torch.nn.Linear(64, 256), "down": torch.nn.Linear(256, 64)}
    inputs = {"up": (torch.zeros(2, 64),), "down": (torch.zeros(2, 256),)}
    torchtrt_ws.save(layers, folder / "two.pte", arg_inputs=inputs)
    return folder


def run(
    folder: Path, *arguments: object, before: tuple[str, ...] = (), cache: Path | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TORCHTRT_WS_CACHE": str(cache or folder / "cache")}
    command = list(map(str, ("-m", "torchtrt_ws", *before, "run", folder / "two.pte", *arguments)))
    if before:  # said before the runtime is imported, which a warm process has done
        return subprocess.run([sys.executable, *command], text=True, capture_output=True, env=environment, timeout=120)
    return python(*command, env=environment)


def test_quiet_and_verbose(folder: Path) -> None:
    one = ("--method", "up", "--weight-streaming-budget-per-engine", "up=1GiB")  # clipped, which is a line at info
    assert "INFO torchtrt_ws.engines: engine 'up'" in run(folder, *one, before=("--verbose",)).stderr
    assert "torchtrt_ws.engines" not in run(folder, *one).stderr
    silent = run(folder, *one, before=("-q",))
    assert (silent.returncode, silent.stderr) == (0, "")
    both = run(folder, *one, before=("-q", "-v"))
    assert both.returncode == 2
    assert "contradict" in both.stderr


def test_a_budget_for_one_engine(folder: Path) -> None:
    np.save(folder / "x.npy", np.ones((2, 64), np.float32))
    options = ("--method", "up", "--input", folder / "x.npy", "--output", folder / "out", "--repeat", 3, "--json")
    done = run(folder, *options, "--weight-streaming-budget-per-engine", "up=4096")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["outputs"] == [{"dtype": "float32", "shape": [2, 256]}]
    budgets = {engine["name"]: (engine["budget_bytes"], engine["source"]) for engine in report["engines"]}
    assert budgets["up"] == (4096, "load-time (engine)")
    assert budgets["down"][1] == "automatic"
    assert np.load(folder / "out" / "output0.npy").shape == (2, 256)


def test_bfloat16_in_and_out(tmp_path: Path) -> None:
    """What is written can be read again, by numpy and as an input."""

    class Doubled(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + x

    torchtrt_ws.save(Doubled(), tmp_path / "two.pte", arg_inputs=(torch.zeros(2, 3, dtype=torch.bfloat16),))
    x = np.arange(6).reshape(2, 3).astype(ml_dtypes.bfloat16)
    np.save(tmp_path / "x.npy", x.view("V2"))
    done = run(tmp_path, "--input", tmp_path / "x.npy", "--output", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outputs"] == [{"dtype": "bfloat16", "shape": [2, 3]}]
    written = np.load(tmp_path / "out" / "output0.npy").view(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(written.astype(np.float32), 2 * x.astype(np.float32))
    again = run(tmp_path, "--input", tmp_path / "out" / "output0.npy", "--output", tmp_path / "out", "--json")
    assert again.returncode == 0, again.stderr
    written = np.load(tmp_path / "out" / "output0.npy").view(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(written.astype(np.float32), 4 * x.astype(np.float32))
    assert run(tmp_path, "--json").returncode == 0, "zeros"


def test_a_margin_goes_to_load(folder: Path) -> None:
    done = run(folder, "--method", "up", "--margin", "8192T", "--json")
    assert done.returncode == 0, done.stderr
    budgets = [(engine["budget_bytes"], engine["source"]) for engine in json.loads(done.stdout)["engines"]]
    assert budgets == [(0, "automatic")] * 2, "no device is that large"
    refused = run(folder, "--method", "up", "--margin", "5%")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "weight_streaming_margin: found '5%'" in refused.stderr


def test_a_split_by_a_profile(folder: Path) -> None:
    """All of "down" saves more than all of "up", and both do not fit."""
    done = run(folder, "--method", "up", "--split", "latency")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(r"split: found no file '.*two\.profile\.json'", done.stderr)
    reported = json.loads(run(folder, "--method", "up", "--json").stdout)["engines"]
    sizes = {engine["name"]: engine["streamable_bytes"] for engine in reported}
    times = {"up": (5.0, 4.0), "down": (9.0, 2.0)}
    Profile(
        tuple(
            EngineProfile(
                engine.name,
                str(engine.sha256),
                sizes[engine.name],
                0,
                tuple(Point(b, b, ms) for b, ms in zip((0, sizes[engine.name]), times[engine.name], strict=True)),
            )
            for engine in pte.read(folder / "two.pte").engines
        )
    ).write(folder / "elsewhere.json")
    options = ("--split", "latency", "--profile", folder / "elsewhere.json", "--weight-streaming-budget")
    done = run(folder, "--method", "up", "--json", *options, sizes["down"])
    assert done.returncode == 0, done.stderr
    budgets = {engine["name"]: engine["budget_bytes"] for engine in json.loads(done.stdout)["engines"]}
    assert budgets == {"up": 0, "down": sizes["down"]}


@pytest.mark.parametrize(
    ("values", "code", "words"),
    [
        (["up=1", "up=2"], 2, "an engine twice"),
        (["up=1", "5"], 2, "NAME=B for each"),
        (["sideways=1"], 1, "no engine named 'sideways'"),
        (["up=50%"], 1, '"0%" or "100%"'),
    ],
    ids=["twice", "mixed", "unknown", "form"],
)
def test_what_is_refused(folder: Path, values: list[str], code: int, words: str) -> None:
    options = [each for value in values for each in ("--weight-streaming-budget-per-engine", value)]
    done = run(folder, *options, "--method", "up")
    assert (done.returncode, done.stdout) == (code, "")
    assert words in " ".join(done.stderr.split())


def test_the_only_method_needs_no_name(folder: Path, tmp_path: Path) -> None:
    torchtrt_ws.save({"only": torch.nn.Linear(8, 8)}, tmp_path / "two.pte", arg_inputs={"only": (torch.zeros(1, 8),)})
    done = run(tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["method"] == "only"
    done = run(folder, "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert "found no method 'forward'; expected one of down, up. Say which (--method, method=)." in done.stderr


def test_files_are_checked_before_the_load(folder: Path, tmp_path: Path) -> None:
    """Nothing was loaded: a load writes packed weights to the cache."""
    arrays: dict[str, np.ndarray] = {
        "good": np.zeros((2, 64), np.float32),
        "wide": np.zeros((2, 65), np.float32),
        "long": np.zeros((2, 64), np.float64),
        "bytes": np.zeros((2, 64), "V4"),
    }
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "text.npy").write_text("text")
    (tmp_path / "empty.npy").write_text("")
    good = ("--input", tmp_path / "good.npy")
    cases: list[tuple[tuple[object, ...], str]] = [
        (
            ("--input", tmp_path / "wide.npy"),
            "wide.npy for input 'input': found float32[2, 65]; expected float32[2, 64]",
        ),
        (("--input", tmp_path / "long.npy"), "found float64[2, 64]; expected float32[2, 64]"),
        ((*good, *good), "method 'up': found 2 inputs; expected 1"),
        (("--input", tmp_path / "text.npy"), "text.npy: found"),
        (("--input", tmp_path / "empty.npy"), "empty.npy: found"),
        (("--input", tmp_path / "none.npy"), "none.npy: found No such file or directory; expected a .npy file"),
        ((*good, "--output", tmp_path / "text.npy"), "which is no folder; expected a folder for the outputs"),
        ((*good, "--output", tmp_path / "text.npy" / "below"), "text.npy', which is no folder"),
        ((*good, "--method", "sideways"), "found a call of method 'sideways'; expected one of down, up"),
    ]
    for arguments, words in cases:
        method = () if "--method" in arguments else ("--method", "up")
        done = run(folder, *method, *arguments, cache=tmp_path / "cache")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
        assert words in done.stderr
    assert not (tmp_path / "cache").exists()
    done = run(folder, "--method", "up", "--input", tmp_path / "bytes.npy", "--output", tmp_path / "a" / "b")
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "a" / "b" / "output0.npy").shape == (2, 256)


def test_an_output_that_cannot_be_written_leaves_the_one_before(folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "output0.npy", np.zeros(3, np.float32))
    # Its log goes to a pipe; the limit is on files alone.
    code = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024)); "
    code += "from torchtrt_ws.cli.main import main; main(sys.argv[1:])"
    arguments = [sys.executable, "-c", code, "run", folder / "two.pte", "--method", "up", "--output", tmp_path]
    environment = {**os.environ, "TORCHTRT_WS_CACHE": str(folder / "cache")}
    done = subprocess.run(list(map(str, arguments)), text=True, capture_output=True, env=environment, timeout=120)
    assert done.returncode == 1
    assert f"error: {tmp_path / 'output0.npy'}: found File too large" in done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["output0.npy"]
    assert np.load(tmp_path / "output0.npy").size == 3


def test_several_arrays_in_one_file_are_refused(folder: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.ones((2, 64), np.float32))
    done = run(folder, "--method", "up", "--input", tmp_path / "x.npz")
    assert done.returncode == 1
    assert "found several arrays (.npz); expected a .npy file" in done.stderr
