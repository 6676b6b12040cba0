"""Code in the README and the guide runs: Python blocks, and C++ programs with the CMake lines against the installed
package."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from warm_python import python

ROOT = Path(__file__).resolve().parent.parent.parent


PAGES = (ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md")))


def blocks(language: str, pages: Sequence[Path] = PAGES) -> list[str]:
    """The fenced blocks of a language, those of the README first."""
    return [text for page in pages for text in re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)]


def block(language: str, holding: str = "") -> str:
    """The first of them that holds a text."""
    return next(text for text in blocks(language) if holding in text)


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TORCHTRT_WS_CACHE": str(cwd / "cache")}
    if command[0] == sys.executable:
        done = python(*command[1:], cwd=cwd, env=environment, exports=True, timeout=600)
    else:
        done = subprocess.run(
            list(map(str, command)), cwd=cwd, env=environment, text=True, capture_output=True, timeout=600
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the Python block has run."""
    folder = tmp_path_factory.mktemp("readme")
    done = run(sys.executable, "-c", block("python", "torchtrt_ws.save"), cwd=folder)
    assert "2097152 load-time" in done.stdout
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_parses(page: Path) -> None:
    """What needs a GPU or an hour is not run here."""
    for text in blocks("python", [page]):
        ast.parse(text)


def test_python(folder: Path) -> None:
    assert (folder / "model.pte").exists()


def test_what_it_does_can_be_seen(folder: Path) -> None:
    before = (
        "import torch, torchtrt_ws\nx = torch.randn(2, 1024)\nprogram = torchtrt_ws.load('model.pte')\nprogram(x)\n"
    )
    done = run(sys.executable, "-c", before + block("python", "metrics.text") + "print(page)", cwd=folder)
    assert 'torchtrt_ws_engine_runs_total{device="cpu",engine="forward",id="1",program="model.pte"} 1.0' in done.stdout
    done = run(sys.executable, "-c", before + block("python", "Inspector"), cwd=folder)
    for stage in ("verify", "deserialize", "budget", "context", "execute", "page out"):
        assert stage in done.stdout, done.stdout


def test_calls(folder: Path) -> None:
    done = run(sys.executable, "-c", block("python", "program(input=x)"), cwd=folder)
    assert "input float32 (2, 1024)" in done.stdout


def test_measure(folder: Path) -> None:
    done = run(sys.executable, "-c", "import torchtrt_ws\n" + block("python", "torchtrt_ws.bench"), cwd=folder)
    assert "'budget_bytes': 0" in done.stdout
    assert (folder / "model.profile.json").exists()


def test_quantized_weights(folder: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="pip install torchtrt-ws[rtx]")
    before = "import torch, torchtrt_ws\nx = torch.randn(2, 512)\nmodel = torch.nn.Linear(512, 512)\n"
    run(sys.executable, "-c", before + block("python", "quantize_("), cwd=folder)
    assert 512 * 512 < (folder / "m.pte").stat().st_size < 2 * 512 * 512


def test_cpp_with_the_installed_package(folder: Path, build_project: Callable[[Path], Path]) -> None:
    (folder / "main.cpp").write_text(block("cpp"))
    (folder / "CMakeLists.txt").write_text(block("cmake"))
    assert "source=load-time" in run(build_project(folder) / "cpp_app", cwd=folder).stderr


def test_cpp_check(folder: Path, build_project: Callable[[Path], Path]) -> None:
    project = folder / "check"
    project.mkdir()
    (project / "main.cpp").write_text(block("cpp", "torchtrt_ws/check.h"))
    (project / "CMakeLists.txt").write_text(block("cmake"))
    facts = run(build_project(project) / "cpp_app", cwd=folder).stdout
    assert "forward adapter ok: " in facts and "forward budget ok: 4198400 bytes of about 8396800" in facts


def test_the_cmake_lines_are_those_of_the_example() -> None:
    assert block("cmake") == (ROOT / "examples" / "cpp_app" / "CMakeLists.txt").read_text()
