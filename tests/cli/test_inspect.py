"""`torchtrt-ws inspect`, and what all subcommands share: exit codes, stderr, --debug, start-up."""

from __future__ import annotations

import json
import os
import pty
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from warm_python import python

from torchtrt_ws import __main__ as module_main
from torchtrt_ws import pte
from torchtrt_ws.cli import _render, _render_program, main

HEAVY = {"torch", "executorch", "numpy", "flatbuffers", "cryptography"}


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return python("-m", "torchtrt_ws", *arguments, env={**os.environ, **environment}, timeout=60)


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


def cells(text: str) -> list[list[str]]:
    """The rows of tables."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if "│" in line]


def blocks(text: str) -> dict[str, dict[str, str]]:
    """Headings to the labels below them and what these say; a label twice has both texts."""
    found: dict[str, dict[str, str]] = {}
    for line in filter(None, map(str.rstrip, text.splitlines())):
        if not line.startswith("  "):
            block = found[line] = {}
        elif not line.startswith("   "):
            label, _, rest = line.strip().partition("  ")
            block[label] = block[label] + " " + rest.strip() if label in block else rest.strip()
        else:
            block[label] += line.strip()  # folded
    return found


def test_table(pte_folder: Path) -> None:
    result = run("inspect", pte_folder / "several.pte", COLUMNS="120")
    assert (result.returncode, result.stderr) == (0, "")
    rows = cells(result.stdout)
    assert ["tower-a", "forward", "tensorrt", "4.00 KiB", "3.91 KiB", "100%"] in rows
    assert ["last", "decode", "later", "4.00 KiB", "about 7 B", "none"] in rows
    assert ["engine4", "forward", "tensorrt", "4.00 KiB", "unknown", "0 B"] in rows
    assert ["encode", "float32[2x3]", "float32[2x3]"] in rows
    (about,) = (block for heading, block in blocks(result.stdout).items() if "several.pte: " in heading)
    assert about == {
        "built by": "unknown (2), tensorrt-rtx 0.0.0.0 (3)",
        "streamable": "unknown: not recorded, torchtrt-ws annotate adds an estimate",
        "set-budget": "may write the file anew, once",
    }
    assert ["forward", "float32[2x3]", "float32[2x3] on cuda:1"] in cells(run("inspect", pte_folder / "one.pte").stdout)


def test_shares(pte_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = pte.read(pte_folder / "one.pte")
    (engine,) = report.engines
    engines = tuple(
        replace(engine, name=f"e{i}", streamable_bytes=size, engine_offset=i) for i, size in enumerate((2048, 6144))
    )
    _render_program.program(replace(report, engines=engines))
    rows = cells(capsys.readouterr().out)
    assert [row[4] for row in rows if row[0] in ("e0", "e1")] == ["2.00 KiB (25%)", "6.00 KiB (75%)"]


def test_what_lies_beside_the_file(pte_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.pte"
    path.write_bytes((pte_folder / "apart.pte").read_bytes())
    assert "no file with the tensor 'scale'" in " ".join(run("inspect", path).stdout.split())
    (tmp_path / "weights.ptd").write_bytes((pte_folder / "weights.ptd").read_bytes())
    (tmp_path / "m.pte.sig").write_text("signed")
    pte.set_budget(path, 7)
    shown = run("inspect", path, COLUMNS="200").stdout
    (about,) = (block for heading, block in blocks(shown).items() if "m.pte: " in heading)
    assert about == {
        "built by": "tensorrt-rtx 0.0.0.0",
        "streamable": "3.91 KiB",
        "set-budget": "in place",
        "elsewhere": "1 tensor in data files: scale",
        "data files": str(tmp_path / "weights.ptd"),
        "signature": f"{path}.sig, not checked",
    }


def test_details(pte_folder: Path) -> None:
    result = run("inspect", pte_folder / "several.pte", "-d", COLUMNS="120")
    assert (result.returncode, result.stderr) == (0, "")
    found = blocks(result.stdout)
    assert len(found) == 5
    ours = found["engine tower-a, method forward"]
    assert ours["inputs"] == "x:float32[1..2x3]" and ours["outputs"] == "y:float32[1..2x3]"
    assert ours["profile 0"] == "x[1x3], optimized for x[1x3]"
    assert ours["profile 1"] == "x[1..2x3], optimized for x[2x3]"
    assert ours["size"] == "4.00 KiB (4096 bytes)"
    assert ours["SHA-256"] == pte.read(pte_folder / "several.pte").engines[3].sha256
    assert ours["CRC-32C"] == "not recorded" and ours["compile spec"] == "tag = a"
    assert ours["target device"].startswith("none")
    theirs = found["engine engine4, method forward"]
    assert (theirs["inputs"], theirs["SHA-256"], theirs["streamable"]) == ("input_0", "not recorded", "unknown")


def test_details_of_a_file_of_others(pte_folder: Path) -> None:
    result = run("inspect", pte_folder / "theirs.pte", "--engine", "engine0", COLUMNS="200")
    ((_, found),) = blocks(result.stdout).items()
    assert found["built by"] == "tensorrt-rtx 1.6.1.120"
    assert found["in place"] == "output_0 is input_0 (kv_cache_update)"
    assert found["target device"] == "cuda:3"
    assert found["built for"] == "linux_x86_64, device 3, hardware compatible"
    bits = "bits = 256 bytes " + bytes(range(48)).hex() + "..."
    escaped = "\\x1b[2J\\n = 1"  # what would clear the screen
    assert found["compile spec"] == f"tag = i note = [bold]two words {bits} {escaped}"
    assert "\x1b" not in result.stdout


def test_some_engines(pte_folder: Path) -> None:
    path = pte_folder / "several.pte"
    result = run("inspect", path, "--engine", "last", "--engine", "encoder")
    assert list(blocks(result.stdout)) == ["engine last, method decode", "engine encoder, method encode"]
    result = run("inspect", path, "--engine", "nothing")
    assert (result.returncode, result.stdout) == (1, "")
    expected = "found no engine 'nothing'; expected one of engine0, last, encoder, tower-a, engine4."
    assert expected in result.stderr


@pytest.mark.parametrize("view", [[], ["--details"], ["--digest"], ["--streaming"]], ids=lambda view: "".join(view))
def test_forty_columns(pte_folder: Path, view: list[str]) -> None:
    """Nothing is cut, and no line is longer."""
    shown = run("inspect", pte_folder / "several.pte", *view, COLUMNS="40").stdout
    shown = "\n".join(map(str.rstrip, shown.splitlines())) + "\n"
    assert max(map(len, shown.splitlines())) <= 40
    assert "│" not in shown and "…" not in shown
    if view in ([], ["--details"]):
        assert all(words in shown for words in ("tower-a", "tensorrt\n", "3.91 KiB\n", "forward\n", "baked budget"))
    assert blocks(shown)


def test_damage_is_found(pte_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.pte"
    path.write_bytes((pte_folder / "several.pte").read_bytes())
    pte.annotate(path)
    whole = run("inspect", path, "--digest", COLUMNS="120")
    assert (whole.returncode, whole.stderr) == (0, "")
    assert whole.stdout.count(": as recorded") == 5
    engine = pte.read(path).engines[3]
    with path.open("r+b") as file:
        file.seek(engine.engine_offset + 100)
        file.write(b"\x01")
    result = run("inspect", path, "--digest", COLUMNS="120")
    assert (result.returncode, result.stderr) == (1, "")
    found = blocks(result.stdout)
    assert found["engine tower-a: differs"]["recorded"] == f"{engine.sha256} {engine.crc32c}"
    assert found["engine tower-a: differs"]["SHA-256"] != engine.sha256
    assert result.stdout.count(": as recorded") == 4
    result = run("inspect", path, "--digest", "--json")
    assert result.returncode == 1
    answer = json.loads(result.stdout)
    assert answer["digests"] == pte.check_digests(path).as_dict()["engines"]
    assert [each["result"] for each in answer["digests"]].count("differs") == 1
    assert run("inspect", path).returncode == 0  # nobody asked


def test_a_bar_only_where_a_person_looks(pte_folder: Path) -> None:
    command = [sys.executable, "-m", "torchtrt_ws", "inspect", str(pte_folder / "theirs.pte"), "--digest"]
    person, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=terminal, env=environment, text=True) as process:
        os.close(terminal)
        shown = b""
        try:
            while piece := os.read(person, 4096):
                shown += piece
        except OSError:  # the other end is closed
            pass
        os.close(person)
        assert process.stdout is not None
        out = process.stdout.read()
    assert process.returncode == 0
    assert b"digests" in shown
    assert "engine engine0: not recorded" in out and "digests" not in out
    assert run("inspect", pte_folder / "theirs.pte", "--digest").stderr == ""


def peak_memory(*arguments: object) -> tuple[str, int]:
    """What the command line prints, and the most bytes that it had in memory."""
    code = (
        "import sys; from torchtrt_ws.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "finally:\n"
        "    status = dict(line.split(':', 1) for line in open('/proc/self/status'))\n"
        "    print(status['VmHWM'].split()[0], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=60
    )
    return done.stdout, int(done.stderr) * 1024


def test_large_files_take_no_memory(sparse_program: Callable[[int], Path], pte_folder: Path) -> None:
    """To look into them, and to read all of them."""
    _, before = peak_memory("inspect", pte_folder / "one.pte")
    shown, peak = peak_memory("inspect", sparse_program(10_000_000_000))
    assert "9.31 GiB" in shown and peak - before < 16 << 20
    _, before = peak_memory("inspect", pte_folder / "one.pte", "--digest")
    shown, peak = peak_memory("inspect", sparse_program(300_000_000), "--digest")
    assert "engine tower-a: differs" in shown and peak - before < 16 << 20


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
    """Of the processor: what else runs on the machine decides nothing."""

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    def best(*command: str) -> float:
        seconds = []
        for _ in range(5):
            before = spent()
            subprocess.run([sys.executable, *command], check=True, capture_output=True)
            seconds.append(spent() - before)
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
