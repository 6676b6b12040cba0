"""`torchtrt-ws set-budget` and `torchtrt-ws annotate`: every option, every error."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from warm_python import python

from torchtrt_ws import pte


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return python("-m", "torchtrt_ws", *arguments, timeout=120)


@pytest.fixture
def several(pte_folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / "m.pte"
    path.write_bytes((pte_folder / "several.pte").read_bytes())
    return path


@pytest.fixture
def one(pte_folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / "m.pte"
    path.write_bytes((pte_folder / "one.pte").read_bytes())
    return path


def baked(path: Path) -> dict[str, int | None]:
    return {engine.name: engine.baked_budget for engine in pte.read(path).engines}


def test_a_total(one: Path) -> None:
    done = run("set-budget", one, "50%")
    assert (done.returncode, done.stdout, done.stderr) == (0, "engine tower-a: 1000 bytes -> 2000 bytes\n", "")
    assert baked(one) == {"tower-a": 2000}
    assert run("set-budget", one, "100%").stdout == "engine tower-a: 2000 bytes -> 100%\n"
    assert run("set-budget", one, "auto").stdout == "engine tower-a: 100% -> none\n"


def test_some_engines(several: Path) -> None:
    done = run("set-budget", several, "1KiB", "--engine", "tower-a", "--engine", "last")
    assert (done.returncode, done.stderr) == (0, "")
    assert "engine tower-a: 100% -> 1024 bytes\n" in done.stdout
    assert "engine encoder: none -> none\n" in done.stdout
    done = run("set-budget", several, "--engine", "tower-a=50%", "--engine", "engine0=7", "--engine", "last=auto")
    assert done.returncode == 0, done.stderr
    assert baked(several) == {"engine0": 7, "last": None, "encoder": None, "tower-a": 2000, "engine4": 0}


def test_clear(several: Path) -> None:
    assert run("set-budget", several, "--clear", "--engine", "engine4").returncode == 0
    assert baked(several)["engine4"] is None and baked(several)["tower-a"] is not None
    assert run("set-budget", several, "--clear").returncode == 0
    assert set(baked(several).values()) == {None}


def test_out_and_json(one: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.pte"
    done = run("set-budget", one, "2KiB", "-o", out, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "file": str(out),
        "in_place": False,
        "engines": [{"name": "tower-a", "before": 1000, "after": 2048}],
        "without_effect": [],
        "stale_signature": None,
    }
    assert (baked(one), baked(out)) == ({"tower-a": 1000}, {"tower-a": 2048})
    assert json.loads(run("set-budget", out, "3KiB", "--json").stdout)["in_place"] is True


def test_a_signature_is_named(one: Path) -> None:
    one.with_name("m.pte.sig").write_text("signed")
    for command in (("set-budget", one, "7"), ("annotate", one)):
        done = run(*command)
        assert done.returncode == 0
        assert done.stderr.startswith(f"warning: {one}.sig is not of the changed file: `torchtrt-ws sign {one} --key ")


def test_an_engine_without_streamable_weights_is_named(tmp_path: Path) -> None:
    plan = tmp_path / "a.plan"
    plan.write_bytes(b"ftrt" + bytes(96))
    tensors = ("--input", "x:float32:4", "--output", "y:float32:4", "--streamable-bytes", "0")
    assert run("wrap", plan, "-o", tmp_path / "a.pte", *tensors).returncode == 0
    done = run("set-budget", tmp_path / "a.pte", "50%")
    assert (done.returncode, done.stdout) == (0, "engine forward: none -> none\n")
    assert done.stderr.startswith("warning: engine 'forward' has no weights that can be streamed")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("1GB",), "found '1GB'; expected"),
        (("free-1GiB",), 'Give "free-N" when the program is loaded'),
        (("50%",), "torchtrt-ws annotate"),
        (("5", "--engine", "nobody"), "no engine named 'nobody'; expected names of engines in the program"),
        (("5", "-o", "/no/such/folder/a.pte", "--engine", "last"), "no folder '/no/such/folder'"),
    ],
)
def test_refused(several: Path, arguments: tuple[str, ...], words: str) -> None:
    contents = several.read_bytes()
    done = run("set-budget", several, *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("error: ") and words in done.stderr
    assert several.read_bytes() == contents


@pytest.mark.parametrize("command", [("set-budget", "5"), ("annotate",)])
def test_files_that_are_refused(pte_folder: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "text.pte").write_text("text")
    for path, words in (
        (tmp_path / "text.pte", "found 4 bytes that start with"),
        (tmp_path / "none.pte", "found no such file or directory"),
        (pte_folder / "xnnpack.pte", "found delegates of other backends only"),
    ):
        done = run(command[0], path, *command[1:])
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert done.stderr.startswith(f"error: {path}: ") and words in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("5", "--clear"),
        ("5", "--engine", "last=7"),
        ("--engine", "last"),
        ("--engine", "last=7", "--engine", "engine0"),
        ("--engine", "last=7", "--engine", "last=8"),
        ("5", "6"),
    ],
)
def test_wrong_usage_is_exit_code_2(several: Path, arguments: tuple[str, ...]) -> None:
    contents = several.read_bytes()
    done = run("set-budget", several, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: torchtrt-ws set-budget" in done.stderr
    assert several.read_bytes() == contents


def test_annotate(several: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.pte"
    contents = several.read_bytes()
    done = run("annotate", several, "-o", out, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    names = ["engine0", "last", "encoder", "tower-a", "engine4"]
    assert json.loads(done.stdout) == {"file": str(out), "engines": names, "stale_signature": None}
    assert several.read_bytes() == contents
    done = run("annotate", several)
    assert (done.returncode, done.stdout) == (0, "".join(f"engine {name}: annotated\n" for name in names))
    assert several.read_bytes() == out.read_bytes()
    done = run("annotate", several)
    assert (done.returncode, done.stdout) == (0, f"{several}: nothing to add\n")
    assert run("annotate").returncode == 2
