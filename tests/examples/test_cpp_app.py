"""examples/cpp_app, built as a stranger would: the C++ way, through Module::load(LoadBackendOptionsMap)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "gpu"))  # cpp_app.py, which tests/gpu/report.py uses too

FEATURES = 1024  # two layers of FEATURES x FEATURES float32: 8 MiB of weights
BAKED = 3 * 2**20
TOTAL, PER_ENGINE = "--weight-streaming-budget", "--weight-streaming-budget-per-engine"


@pytest.fixture(scope="session")
def app(build_project: Callable[..., Path]) -> Path:
    """Of C++20; tests/wheel builds it as C++17."""
    return build_project(ROOT / "examples" / "cpp_app", CMAKE_CXX_STANDARD=20) / "cpp_app"


@pytest.fixture(scope="session")
def model() -> Any:
    import torch

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(
                torch.nn.Linear(FEATURES, FEATURES), torch.nn.ReLU(), torch.nn.Linear(FEATURES, FEATURES)
            )

        def forward(self, x: torch.Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.layers(x), ids + 1  # two dtypes: inputs and outputs keep their order and types

    torch.manual_seed(0)
    return Model()


@pytest.fixture(scope="session")
def save(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    import torch

    import torchtrt_ws

    folder = tmp_path_factory.mktemp("programs")

    def save(name: str, **keywords: Any) -> Path:
        path = folder / f"{name}.pte"
        rows = torch.export.Dim("rows", min=1, max=8)
        arguments = (torch.zeros(2, FEATURES), torch.zeros(3, dtype=torch.int64))
        torchtrt_ws.save(model, path, arg_inputs=arguments, dynamic_shapes=({0: rows}, None), **keywords)
        return path

    return save


@pytest.fixture(scope="session")
def baked(save: Callable[..., Path]) -> Path:
    return save("baked", weight_streaming_budget=BAKED)


@pytest.fixture
def arrays() -> list[np.ndarray]:
    x = np.random.default_rng(0).standard_normal((2, FEATURES)).astype(np.float32)
    return [x, np.array([1, 2, 2**40], np.int64)]


@pytest.fixture
def run(app: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.CompletedProcess[str]]:
    cache = str(tmp_path_factory.getbasetemp() / "cpp_app_cache")
    environment = {**os.environ, "TORCHTRT_WS_CACHE": cache, "CUDA_VISIBLE_DEVICES": ""}

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [str(app), *map(str, arguments)]
        return subprocess.run(command, text=True, capture_output=True, timeout=120, env=environment)

    return run


@pytest.fixture
def report(run: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[..., Any]:
    import cpp_app

    def report(*arguments: object) -> cpp_app.Report:
        done = run(*arguments)
        assert done.returncode == 0, done.stderr
        return cpp_app.Report.read(done.stdout)

    return report


def test_inputs_and_outputs(
    baked: Path, model: Any, arrays: list[np.ndarray], report: Callable[..., Any], tmp_path: Path
) -> None:
    import cpp_app
    import torch

    inputs = cpp_app.input_flags(arrays, tmp_path)
    found = report(baked, *inputs, "--output", tmp_path / "new" / "out", "--repeat", 3)
    with torch.no_grad():
        wanted = model(*map(torch.from_numpy, arrays))
    for position, want in enumerate(wanted):
        got = found.array(position, tmp_path / "new" / "out")
        assert got.dtype == want.numpy().dtype
        np.testing.assert_allclose(got, want.numpy(), rtol=1e-4, atol=1e-4)
    assert found.engines[0]["runs"] == 3
    assert found.method["method"] == "forward"
    assert 0 < found.method["run_seconds"] < 60


def test_without_inputs_the_largest_shape_runs(baked: Path, report: Callable[..., Any]) -> None:
    shapes = [(each["dtype"], each["shape"]) for each in report(baked).outputs]
    assert shapes == [("Float", f"8x{FEATURES}"), ("Long", "3")]


@pytest.mark.parametrize(
    ("options", "budget", "source"),
    [
        ([], BAKED, "baked"),
        ([TOTAL, 2**20], 2**20, "load-time"),
        ([TOTAL, "50%"], None, "load-time"),
        ([TOTAL, "auto"], 2**40, "load-time"),
        ([TOTAL, "free-1"], 2**40, "load-time"),
        ([PER_ENGINE, 2**20], 2**20, "load-time"),
        ([PER_ENGINE, f"forward={2**20}"], 2**20, "load-time (engine)"),
        ([PER_ENGINE, f"forward={2**20}", PER_ENGINE, 2**21], 2**20, "load-time (engine)"),
        (["--option", f"weight_streaming_budget.forward={2**20}"], 2**20, "load-time (engine)"),
        ([TOTAL, ""], BAKED, "baked"),
        (["--option", "weight_streaming_budget="], BAKED, "baked"),
        (["--load-mode", "file"], BAKED, "baked"),
    ],
    ids=lambda value: " ".join(map(str, value))[2:] or "baked" if isinstance(value, list) else "",
)
def test_precedence(
    baked: Path, options: list[object], budget: int | None, source: str, report: Callable[..., Any]
) -> None:
    (engine,) = report(baked, *options).engines
    streamable = engine["streamable_bytes"]
    wanted = streamable // 2 if budget is None else min(budget, streamable)
    assert (engine["engine"], engine["kind"]) == ("forward", "host")
    assert (engine["budget_bytes"], engine["source"]) == (wanted, source)
    assert engine["device_bytes"] <= wanted + 2 * 4096


@pytest.mark.parametrize("then", ["0", "25%", "auto"])
def test_another_budget_after_the_runs(baked: Path, then: str, report: Callable[..., Any]) -> None:
    """The program stays loaded; its engine has the new bytes, and ran on both sides of the change."""
    (engine,) = report(baked, "--then-budget", then, "--repeat", 2).engines
    streamable = engine["streamable_bytes"]
    wanted = {"0": 0, "25%": streamable // 4, "auto": streamable}[then]
    assert wanted - 4096 < engine["budget_bytes"] <= wanted  # whole pages
    assert engine["runs"] == 4


def test_one_line_at_load_says_it_all(baked: Path, run: Callable[..., Any]) -> None:
    lines = [line for line in run(baked).stderr.splitlines() if "requested=" in line]
    assert len(lines) == 1
    for word in ("requested=3145728", "source=baked", "resolved=3145728", "actual=3145728", "streamable=", "scratch=0"):
        assert word in lines[0]


def test_an_empty_option_warns(baked: Path, run: Callable[..., Any]) -> None:
    assert "warning: weight_streaming_total_budget" in run(baked, TOTAL, "").stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([TOTAL, "1GiB"], 1, "1GiB"),
        ([TOTAL, "-1"], 1, "-1"),
        ([TOTAL, "%"], 1, '"%"'),
        ([TOTAL, "101%"], 1, "101"),
        ([TOTAL, "free-"], 1, "free-"),
        ([TOTAL, "free-1GiB"], 1, "1GiB"),
        ([TOTAL, "Auto"], 1, "Auto"),
        ([TOTAL, "1", TOTAL, "2"], 1, "twice"),
        ([TOTAL, "1", PER_ENGINE, "forward=1"], 1, "one of them"),
        ([PER_ENGINE, "50%"], 1, "50%"),
        ([PER_ENGINE, "forward=-1"], 1, "-1"),
        (["--option", "weight_streaming_percent=101"], 1, "101"),
        (["--option", "weight_streaming_percent=1", TOTAL, "1"], 1, "weight_streaming_percent"),
        (["--option", "cuda_graph=maybe"], 1, "auto, on or off"),
        (["--option", "x" * 64 + "=1"], 1, "63 bytes"),
        (["--method", "backward"], 1, "backward"),
        (["--input", "/no/such.bin"], 1, "expected 2"),
        (["--then-budget", "101%"], 1, "101"),
        (["--then-budget", "1GiB"], 1, "1GiB"),
        (["--device", "cuda:0"], 1, "device memory: found "),
        (["--device", "cpu"], 2, "--device 'cpu'"),
        (["--option", "nothing"], 2, "KEY=VALUE"),
        (["--nothing", "1"], 2, "--nothing"),
        (["--repeat", "0"], 2, "--repeat '0'"),
        (["--repeat", "3x"], 2, "--repeat '3x'"),
        (["--load-mode", "tape"], 2, "--load-mode 'tape'"),
        (["--input"], 2, "--input"),
        (["second.pte"], 2, "one PROGRAM.pte"),
    ],
    ids=lambda value: " ".join(map(str, value))[:40] if isinstance(value, list) else None,
)
def test_what_is_refused(baked: Path, arguments: list[str], code: int, words: str, run: Callable[..., Any]) -> None:
    done = run(baked, *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr.partition("cpp_app: ")[2]


def test_help(run: Callable[..., Any]) -> None:
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert PER_ENGINE in done.stdout


def test_wrong_inputs_are_refused(
    baked: Path, arrays: list[np.ndarray], run: Callable[..., Any], tmp_path: Path
) -> None:
    x, ids = tmp_path / "x.bin", tmp_path / "ids.bin"
    arrays[0].tofile(x)
    arrays[1].tofile(ids)
    (tmp_path / "cut.bin").write_bytes(x.read_bytes()[:-1])
    (tmp_path / "empty.bin").write_bytes(b"")
    cases = {
        f"{x}": "found 8192 bytes; expected 32768",
        f"{x}:1x1024": "found 8192 bytes; expected 4096",
        f"{tmp_path / 'cut.bin'}:2x1024": "found 8191 bytes; expected 8192",
        f"{tmp_path / 'empty.bin'}": "found 0 bytes",
        f"{x}:9x1024": "a shape within dtype=Float shape=8x1024",
        f"{x}:4294967298x1024": "a shape within",
        f"{x}:2x1024x1": "a shape within",
        f"{x}:2048": "a shape within",
        f"{x}:": "a shape within",
        f"{tmp_path}": "Is a directory",
        "/no/such.bin": "No such file",
    }
    for text, words in cases.items():
        done = run(baked, "--input", text, "--input", ids)
        assert (done.returncode, done.stdout) == (1, ""), text
        assert words in done.stderr.partition("cpp_app: ")[2], text


def test_a_static_shape_must_match(baked: Path, run: Callable[..., Any], tmp_path: Path) -> None:
    np.zeros((8, FEATURES), np.float32).tofile(tmp_path / "x.bin")
    np.zeros(2, np.int64).tofile(tmp_path / "ids.bin")
    done = run(baked, "--input", tmp_path / "x.bin", "--input", f"{tmp_path / 'ids.bin'}:2")
    assert (done.returncode, done.stdout) == (1, "")
    assert "cpp_app: method 'forward': " in done.stderr


def test_outputs_that_cannot_be_written_are_a_failure(baked: Path, run: Callable[..., Any]) -> None:
    done = run(baked, "--output", "/dev/null/out")
    assert (done.returncode, done.stdout) == (1, "")
    assert "/dev/null/out/output0.bin" in done.stderr


def test_a_missing_or_damaged_program_is_refused(baked: Path, run: Callable[..., Any], tmp_path: Path) -> None:
    data = bytearray(baked.read_bytes())
    (tmp_path / "cut.pte").write_bytes(data[:3000])
    data[64:512] = b"\xff" * 448  # the flatbuffer's tables
    (tmp_path / "torn.pte").write_bytes(data)
    for path in (tmp_path / "no_such.pte", tmp_path / "cut.pte", tmp_path / "torn.pte"):
        done = run(path)
        assert (done.returncode, done.stdout) == (1, ""), path
        assert f"cpp_app: {path}: " in done.stderr, path


def test_device_io_on_the_stand_ins(app: Path, tmp_path: Path) -> None:
    """Inputs go to the device, outputs come back for --output; host tensors would be refused, or crash."""
    import cpp_app

    sys.path.insert(0, str(ROOT / "tests" / "standin"))
    import plan

    import torchtrt_ws

    standins = ROOT / "build" / "dev" / "tests" / "standin" / "lib"
    (library,) = standins.glob("libnvinfer.so.??")
    outputs = (plan.Output("y", {"x": 2.0}, 1.0),)
    text = plan.Plan(weights=bytes(2**22), streamable=2**22, scratch=4096, outputs=outputs)
    program, shape = tmp_path / "device.pte", "float32:1..8x4"
    torchtrt_ws.save_plan(
        plan.write(text), program, inputs=f"x:{shape}", outputs=f"y:{shape}", device="cuda:0", device_io=True
    )
    path = os.pathsep.join(filter(None, [str(standins), os.environ.get("LD_LIBRARY_PATH")]))
    environment = {**os.environ, "LD_LIBRARY_PATH": path, "TORCHTRT_WS_NVINFER": str(library)}
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    flags = [*cpp_app.input_flags([x], tmp_path), "--device", "cuda:0", "--then-budget", "50%", "--output", tmp_path]
    done = subprocess.run(
        [str(app), str(program), *map(str, flags)], text=True, capture_output=True, timeout=120, env=environment
    )
    assert done.returncode == 0, done.stderr
    found = cpp_app.Report.read(done.stdout)
    np.testing.assert_array_equal(found.array(0, tmp_path), 2 * x + 1)
    assert (found.engines[0]["kind"], found.engines[0]["budget_bytes"]) == ("tensorrt", 2**21)


def test_the_probes_of_the_gpu_report_on_the_stand_ins(
    app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tests/gpu/report.py's section, dry: the stand-ins' plans have a checksum of their own, so `off` refuses too."""
    import json

    monkeypatch.syspath_prepend(str(ROOT / "tests" / "standin"))
    import plan
    import report

    import torchtrt_ws
    from torchtrt_ws import pte

    standins = ROOT / "build" / "dev" / "tests" / "standin" / "lib"
    (library,) = standins.glob("libnvinfer.so.??")
    text = plan.Plan(weights=bytes(2**20), streamable=2**20, outputs=(plan.Output("y", {"x": 2.0}, 1.0),))
    shape = "float32:1..8x4"
    program = tmp_path / "small.pte"
    torchtrt_ws.save_plan(plan.write(text), program, inputs=f"x:{shape}", outputs=f"y:{shape}", name="small")
    (engine,) = pte.read(program).engines
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", 2 * x + 1)
    where = {"engine_offset": engine.engine_offset, "engine_bytes": engine.engine_bytes}
    facts = {"small": {"file": program.name, **where, "inputs": ["x.npy"], "expected": "y.npy"}}
    (tmp_path / "programs.json").write_text(json.dumps(facts))
    path = os.pathsep.join(filter(None, [str(standins), os.environ.get("LD_LIBRARY_PATH")]))
    monkeypatch.setenv("LD_LIBRARY_PATH", path)
    monkeypatch.setenv("TORCHTRT_WS_NVINFER", str(library))

    found = report.probe(report.Machine(app.parent, tmp_path, str(library)), "small")
    assert found["unchanged"] == {"checksum": "right", "off": "right"}
    assert found["probes"] == {"checksum": ["refused"] * 24, "off": ["refused"] * 24}
