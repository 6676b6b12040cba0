"""`torchtrt-ws inspect`, and what all subcommands share: exit codes, stderr, --debug, start-up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from torchtrt_ws import __main__ as module_main
from torchtrt_ws import pte
from torchtrt_ws.cli import _render, main

HEAVY = {"torch", "executorch", "numpy", "flatbuffers", "cryptography"}


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torchtrt_ws", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=60)


def test_json_is_the_report(pte_folder: Path) -> None:
    path = pte_folder / "several.pte"
    result = run("inspect", path, "--json")
    assert (result.returncode, result.stderr) == (0, "")
    answer = json.loads(result.stdout)
    assert answer == pte.read(path).as_dict()
    assert {"file", "bytes", "methods", "engines"} <= set(answer)
    profiles = {engine["name"]: engine["optimization_profiles"] for engine in answer["engines"]}
    assert [profile["x"]["opt"] for profile in profiles["tower-a"]] == [[1, 3], [2, 3]]
    assert profiles["encoder"] == profiles["engine0"] == []
    keys = {"name", "method", "kind", "engine_bytes", "streamable_bytes", "baked_budget", "sha256", "inputs", "outputs"}
    assert all(keys <= set(engine) for engine in answer["engines"])


def test_table(pte_folder: Path) -> None:
    result = run("inspect", pte_folder / "several.pte", COLUMNS="120")
    assert (result.returncode, result.stderr) == (0, "")
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines() if "│" in line]
    assert ["tower-a", "forward", "tensorrt", "4.00 KiB", "3.91 KiB", "100%"] in rows
    assert ["last", "decode", "later", "4.00 KiB", "about 7 B", "none"] in rows
    assert ["engine4", "forward", "tensorrt", "4.00 KiB", "unknown", "0 B"] in rows
    assert ["tower-a", "x:float32[1..2x3]", "y:float32[1..2x3]"] in rows
    assert ["engine0", "input_0", "output_0"] in rows
    assert ["encode", "float32[2x3]", "float32[2x3]"] in rows
    assert ["tower-a", "0", "x[1x3]", "x[1x3]"] in rows
    assert ["tower-a", "1", "x[1..2x3]", "x[2x3]"] in rows


def test_no_table_of_profiles_where_none_is_recorded(pte_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = pte.read(pte_folder / "inline.pte")
    for engines, shown in (
        (report.engines, True),
        (tuple(replace(each, optimization_profiles=()) for each in report.engines), False),
    ):
        _render.program(replace(report, engines=engines))
        assert ("optimization profile" in " ".join(capsys.readouterr().out.split())) == shown


def test_a_program_for_another_backend(pte_folder: Path) -> None:
    result = run("inspect", pte_folder / "xnnpack.pte")
    assert (result.returncode, result.stderr) == (0, "")
    assert "No engines: the program has no delegate of backend TensorRTBackend." in result.stdout
    assert "XnnpackBackend (1)" in result.stdout


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, "unknown"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (15 * 2**20, "15.0 MiB"),
        (536870912, "512 MiB"),
        (2**31, "2.00 GiB"),
        (2**63, "8388608 TiB"),
    ],
)
def test_sizes_for_people(size: int | None, text: str) -> None:
    assert _render.bytes_text(size) == text


def test_a_bad_file_is_one_line_on_stderr_and_exit_code_1(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pte"
    bad.write_bytes(b"not a program at all")
    for path, found in [(bad, "20 bytes that start with"), (tmp_path / "missing.pte", "no such file")]:
        result = run("inspect", path)
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.count("\n") == 1
        assert result.stderr.startswith(f"error: {path}: found {found}")


@pytest.mark.parametrize("position", [0, 1, 2])
def test_debug_shows_where_anywhere_on_the_line(tmp_path: Path, position: int) -> None:
    arguments: list[object] = ["inspect", tmp_path / "missing.pte"]
    arguments.insert(position, "--debug")
    result = run(*arguments)
    assert result.returncode == 1
    assert "Traceback" in result.stderr and "ProgramError" in result.stderr


@pytest.mark.parametrize("arguments", [["inspect"], ["inspect", "a", "b"], ["inspect", "--what", "a"], ["nothing"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert "Usage: torchtrt-ws" in result.stderr and "Traceback" not in result.stderr


def test_a_bug_is_one_line_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(path: Path) -> None:
        raise KeyError("oops")

    monkeypatch.setattr(pte, "read", broken)
    with pytest.raises(SystemExit, match="1"):
        main.main(["inspect", "a.pte"])
    assert capsys.readouterr().err == "error: KeyError: 'oops'. `--debug` shows where.\n"


def test_every_subcommand_has_help_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from torchtrt_ws.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        f"finally: print('heavy:', sorted({HEAVY!r} & set(sys.modules)))"
    )
    for command in ([], *([name] for name in main.SUBCOMMANDS)):
        arguments = [sys.executable, "-c", code, *command, "--help"]
        result = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stderr
        assert "Usage: torchtrt-ws" in result.stdout and "heavy: []" in result.stdout
    listed = run("--help").stdout
    assert all(name in listed for name in main.SUBCOMMANDS)


def test_start_up_time() -> None:
    def best(*command: str) -> float:
        seconds = []
        for _ in range(5):
            started = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, capture_output=True)
            seconds.append(time.perf_counter() - started)
        return min(seconds)

    assert best("-c", "import torchtrt_ws") - best("-c", "pass") < 0.1
    assert best("-m", "torchtrt_ws", "--help") < 0.3


def test_import_is_lazy() -> None:
    code = (
        "import sys, torchtrt_ws; assert 'torchtrt_ws.export' not in sys.modules;"
        "assert {'load', 'save', 'save_plan'} <= set(dir(torchtrt_ws));"
        f"assert not {HEAVY!r} & set(sys.modules); print(torchtrt_ws.__version__)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert run("--version").stdout.startswith(f"torchtrt-ws {result.stdout}")
    import torchtrt_ws

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = torchtrt_ws.nothing  # type: ignore[attr-defined]


def test_cmake_prefix_path() -> None:
    result = run("--cmake-prefix-path")
    assert (result.returncode, result.stderr) == (0, "")
    ours, executorch = result.stdout.strip().split(";")
    assert Path(ours, "lib", "cmake", "torchtrt_ws", "torchtrt_ws-config.cmake").is_file()
    assert Path(executorch, "lib", "cmake", "executorch", "executorch-config.cmake").is_file()


def test_cmake_prefix_path_without_executorch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["torchtrt_ws", "--cmake-prefix-path"])
    with pytest.raises(SystemExit) as caught:
        module_main.main()
    assert "pip install --no-deps executorch==1.5.1" in str(caught.value.code)
