"""Each version has one place, pyproject.toml (the package's own: torchtrt_ws/__init__.py), and its copies are equal.

Not copies, and free to stay behind: "executorch 1.5.1, some/file.h" in a comment says where a fact was read.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import runpy
from pathlib import Path

import pytest

import torchtrt_ws

ROOT = Path(__file__).resolve().parent.parent
LISTS: dict[str, list[str]] = runpy.run_path(str(ROOT / "tools" / "requirements.py"))["lists"]
PINS = {
    match[1]: match[2]
    for requirement in (each for requirements in LISTS.values() for each in requirements)
    if (match := re.fullmatch(r"([a-z0-9-]+)==([0-9.]+)", requirement))
}
TEXTS = [
    path
    for pattern in ("*", "*/**/*")
    for path in ROOT.glob(pattern)
    if path.suffix in {".cmake", ".cpp", ".h", ".json", ".md", ".py", ".sh", ".toml", ".txt", ".yaml", ".yml"}
    or path.name == "Makefile"
    if not {".venv", "build", "results"} & set(path.relative_to(ROOT).parts)
]
CMAKE_MINIMUM = "3.28"


def text(name: str) -> str:
    return (ROOT / name).read_text()


def copies(pattern: str, paths: list[Path]) -> dict[str, set[str]]:
    """What a pattern's one group found, by file."""
    found = {str(path.relative_to(ROOT)): set(re.findall(pattern, path.read_text(errors="replace"))) for path in paths}
    return {path: versions for path, versions in found.items() if versions}


def test_what_must_be_pinned_is() -> None:
    assert PINS.keys() >= {
        "basedpyright", "clang-format", "clang-tidy", "executorch", "kernel-lens", "mypy", "nanobind", "nlohmann-json",
        "ruff", "scikit-build-core", "tensorrt-rtx", "torch-tensorrt-rtx",
    }  # fmt: skip


@pytest.mark.parametrize(("name", "version"), PINS.items(), ids=PINS)
def test_requirements_say_the_pin(name: str, version: str) -> None:
    """name==version: in pyproject.toml, in messages that say what to install, in documents and workflows."""
    found = copies(rf"(?<![\w-]){name}==([0-9][0-9.]*[0-9])", TEXTS)
    assert "pyproject.toml" in found
    assert {path: versions for path, versions in found.items() if versions != {version}} == {}


def test_executorch() -> None:
    """What is built, what is run and what C++ users find are one version."""
    version = PINS["executorch"]
    calls = r"(?:find_package|find_dependency)\(executorch ([0-9.]+)"
    assert copies(calls, TEXTS) == {
        "CMakeLists.txt": {version},
        "cpp/cmake/torchtrt_ws-config.cmake": {version},
    }
    assert importlib.metadata.version("executorch") == version


@pytest.mark.parametrize("name", ["executorch", "torch-tensorrt-rtx", "tensorrt-rtx"])
def test_prose_says_the_pin(name: str) -> None:
    paths = [path for path in TEXTS if path.suffix in {".md", ".toml"} or path.name == "CMakeLists.txt"]
    found = copies(rf"(?<![\w-]){name} ([0-9]+\.[0-9]+\.[0-9.]*[0-9])", paths)
    assert {path: versions for path, versions in found.items() if versions != {PINS[name]}} == {}


def test_torch() -> None:
    """The release that this executorch exports with is the one that this Torch-TensorRT is made for."""
    series = ".".join(PINS["torch-tensorrt-rtx"].split(".")[:2])
    (torch,) = [each for each in LISTS["export"] if each.startswith("torch")]
    assert torch.startswith(f"torch>={series},")
    assert copies(r"\btorch ([0-9]+\.[0-9]+)\b", [ROOT / "README.md"]) == {"README.md": {series}}


def test_tensorrt_rtx_of_the_stand_in() -> None:
    assert copies(r'STANDIN_RTX_VERSION "([0-9,]+)"', [ROOT / "tests/standin/CMakeLists.txt"]) == {
        "tests/standin/CMakeLists.txt": {"1,4,0,76", PINS["tensorrt-rtx"].replace(".", ",")}
    }


def test_cmake() -> None:
    found = copies(r"cmake_minimum_required\(VERSION ([0-9.]+)\)", TEXTS)
    assert found.keys() >= {"CMakeLists.txt", "README.md", "cpp/cmake/torchtrt_ws-config.cmake"}
    assert set.union(*found.values()) == {CMAKE_MINIMUM}
    assert copies(r"cmake\.version = \">=([0-9.]+)\"", TEXTS) == {"pyproject.toml": {CMAKE_MINIMUM}}
    assert f"cmake>={CMAKE_MINIMUM},<5" in LISTS["compile"]
    presets = json.loads(text("CMakePresets.json"))["cmakeMinimumRequired"]
    assert f"{presets['major']}.{presets['minor']}" == CMAKE_MINIMUM


def test_python() -> None:
    (minimum,) = re.findall(r'^requires-python = ">=([0-9.]+)"', text("pyproject.toml"), re.MULTILINE)
    found = copies(r"(?:find_package\(Python|Python) (3\.[0-9]+)(?: or later| REQUIRED)", TEXTS)
    assert found.keys() >= {"CMakeLists.txt", "Makefile", "README.md"}
    assert set.union(*found.values()) == {minimum}
    assert f'target-version = "py{minimum.replace(".", "")}"' in text("pyproject.toml")
    assert f'python: ["{minimum}",' in text(".github/workflows/ci.yml")


def test_own_version() -> None:
    """CMake and the build backend read torchtrt_ws/__init__.py."""
    assert importlib.metadata.version("torchtrt-ws") == torchtrt_ws.__version__, "touch pyproject.toml; make dev"
    series = ".".join(torchtrt_ws.__version__.split(".")[:2])
    found = copies(r"find_package\(torchtrt_ws ([0-9][0-9.]*)", TEXTS)
    assert "README.md" in found
    assert set.union(*found.values()) == {series}
