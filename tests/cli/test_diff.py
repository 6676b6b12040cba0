"""`torchtrt-ws diff`: exit codes as those of diff(1), text and JSON."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from warm_python import python

from torchtrt_ws import pte


def run(*arguments: object, columns: int = 300) -> subprocess.CompletedProcess[str]:
    return python("-m", "torchtrt_ws", "diff", *arguments, env={**os.environ, "COLUMNS": str(columns)}, timeout=120)


def lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [" ".join(line.split()) for line in done.stdout.splitlines()]


def test_the_same(pte_folder: Path, tmp_path: Path) -> None:
    a, b = pte_folder / "several.pte", tmp_path / "b.pte"
    b.write_bytes(a.read_bytes())
    done = run(a, b)
    assert (done.returncode, done.stderr) == (0, "")
    assert lines(done)[-1] == "The programs are the same."
    assert "= engine engine0, method decode: by bytes" in lines(done)
    assert "= engine tower-a, method forward: by recorded digests" in lines(done)
    assert all(line.startswith("= ") for line in lines(done)[1:-1])


def test_a_budget(pte_folder: Path, tmp_path: Path) -> None:
    a, b = pte_folder / "several.pte", tmp_path / "b.pte"
    pte.set_budget(a, {"tower-a": 1000, "engine4": None}, output=b)
    done = run(a, b)
    assert (done.returncode, done.stderr) == (1, "")
    found = lines(done)
    at = found.index("~ engine tower-a, method forward")
    assert found[at + 1 : at + 3] == ["baked budget 100% -> 1000 bytes", "contents the same"]
    at = found.index("~ engine engine4, method forward")
    assert found[at + 1] == "baked budget 0 bytes -> none"
    assert "= method encode" in found and found[-1] == "The programs differ."


def test_added_removed_renamed(pte_folder: Path) -> None:
    found = lines(run(pte_folder / "several.pte", pte_folder / "changed.pte"))
    assert {"- method decode", "+ method later"} <= set(found)
    assert "~ engine tower-b, method forward: renamed from tower-a" in found
    assert "~ engine last, method later: renamed from last, method decode" in found
    assert "- engine engine4, method forward: 4.00 KiB" in found


def test_another_plan(pte_folder: Path, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.pte", "b.pte")]
    for path, last in zip(paths, b"ab", strict=True):
        data = bytearray((pte_folder / "theirs.pte").read_bytes())
        (engine,) = pte.read(pte_folder / "theirs.pte").engines
        data[engine.engine_offset + engine.engine_bytes - 1] = last
        path.write_bytes(data)
    assert "contents differ" in lines(run(*paths))
    for path in paths:
        pte.annotate(path)
    a, b = (str(pte.read(path).engines[0].sha256)[:12] for path in paths)
    assert f"contents {a}... -> {b}..." in lines(run(*paths))


def test_metadata(pte_folder: Path, tmp_path: Path) -> None:
    b = tmp_path / "b.pte"
    pte.annotate(pte_folder / "theirs.pte", output=b)
    found = lines(run(pte_folder / "theirs.pte", b))
    assert "streamable bytes none -> 4097 bytes" in found
    assert "inputs input_0 -> input_0:float32[2x3]" in found
    assert "recorded digests none -> sha256, crc32c" in found


def test_forty_columns(pte_folder: Path) -> None:
    shown = run(pte_folder / "one.pte", pte_folder / "xnnpack.pte", columns=40).stdout
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 40
    assert "…" not in shown and "removed" not in shown.partition("rest of the program")[0]


def test_json(pte_folder: Path) -> None:
    a, b = pte_folder / "several.pte", pte_folder / "changed.pte"
    done = run(a, b, "--json")
    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads(done.stdout) == pte.diff(a, b).as_dict()
    done = run(a, a, "--json")
    assert (done.returncode, json.loads(done.stdout)["same"]) == (0, True)


def test_problems_and_wrong_usage(pte_folder: Path, tmp_path: Path) -> None:
    """A problem is exit code 1, as everywhere here, with nothing on stdout."""
    for a, b in (
        (pte_folder / "one.pte", tmp_path / "missing.pte"),
        (tmp_path / "missing.pte", pte_folder / "one.pte"),
    ):
        done = run(a, b)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"error: {tmp_path / 'missing.pte'}: found no such file")
    assert run(pte_folder / "one.pte").returncode == 2
