"""Which TensorRT headers the adapter is compiled with, and what the configuration says that it can then run."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import util
from pathlib import Path

import pytest

CMAKE = Path(__file__).resolve().parents[3] / "cpp" / "engine" / "tensorrt" / "cmake"
PROJECT = f"""
cmake_minimum_required(VERSION 3.28)
project(find LANGUAGES NONE)
include("{CMAKE}/find_tensorrt.cmake")
message(STATUS "found=${{TENSORRT_INCLUDE_DIR}}")
message(STATUS "library=${{TENSORRT_LIBRARY}}")
"""
VARIABLES = ("TENSORRT_ROOT", "TENSORRT_HOME", "TRT_ROOT")
Configure = Callable[..., dict[str, str]]


def sdk(root: Path, major: int, minor: int, include: str = "include", product: str = "ENTERPRISE") -> Path:
    """Headers that say their version as TensorRT's do, and a library."""
    folder = root / include
    folder.mkdir(parents=True)
    (folder / "NvInferRuntime.h").touch()
    (folder / "NvInferVersion.h").write_text(
        f"#define TRT_MAJOR_{product} {major}\n#define TRT_MINOR_{product} {minor}\n#define TRT_PATCH_{product} 0\n"
        f"#define NV_TENSORRT_MAJOR TRT_MAJOR_{product} //!< TensorRT major version.\n"
        f"#define NV_TENSORRT_MINOR TRT_MINOR_{product} //!< TensorRT minor version.\n"
        "#define NV_TENSORRT_LWS_MAJOR 0 //!< TensorRT LWS major version.\n"
    )
    (root / "lib").mkdir()
    (root / "lib" / ("libtensorrt_rtx.so" if product == "RTX" else "libnvinfer.so")).touch()
    return root


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    source = tmp_path / "source"
    source.mkdir()
    (source / "CMakeLists.txt").write_text(PROJECT)

    def configure(python: str = sys.executable, build: str = "build", **defines: object) -> dict[str, str]:
        """What it says: "found" and "library", and all of it as "log". This machine has nothing."""
        chosen: dict[str, object] = {
            "Python_EXECUTABLE": python,
            "TENSORRT_PLACES": "/no/such/place",
            "TENSORRT_HEADERS_URL": (tmp_path / "nowhere").as_uri(),
            **defines,
        }
        options = [f"-D{name}={value}" for name, value in chosen.items()]
        command = ["cmake", "-G", "Ninja", "-S", str(source), "-B", str(tmp_path / build), *options]
        done = subprocess.run(command, text=True, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        lines = [line.removeprefix("-- ").partition("=") for line in done.stdout.splitlines()]
        return {"log": done.stdout, **{name: value for name, equals, value in lines if equals}}

    return configure


def test_what_was_given_comes_first(configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, root = sdk(tmp_path / "given", 11, 1), sdk(tmp_path / "root", 10, 14)
    monkeypatch.setenv("TENSORRT_ROOT", str(root))
    found = configure(TENSORRT_INCLUDE_DIR=given / "include")
    assert found["found"] == str(given / "include")
    assert "TensorRT 11.1 headers; runs TensorRT 11, TensorRT-RTX 1.5 and later; not TensorRT 10" in found["log"]


@pytest.mark.parametrize("variable", VARIABLES)
def test_an_sdk_that_a_variable_names(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    sdk(tmp_path / "opt" / "TensorRT-11.0", 11, 0)
    root = sdk(tmp_path / "root", 10, 14)
    monkeypatch.setenv(variable, str(root))
    found = configure(TENSORRT_PLACES=f"{tmp_path}/opt/*")
    assert (found["found"], found["library"]) == (str(root / "include"), str(root / "lib" / "libnvinfer.so"))
    assert "TensorRT 10.14 headers; runs TensorRT 10.7 and later 10, TensorRT-RTX 1.4; not" in found["log"]


def test_a_wrong_root_is_not_passed_over(configure: Configure, tmp_path: Path) -> None:
    sdk(tmp_path / "opt" / "TensorRT-11.0", 11, 0)
    found = configure(TENSORRT_PLACES=f"{tmp_path}/opt/*", TENSORRT_ROOT=tmp_path / "typo")
    assert found["found"].endswith("NOTFOUND")


def test_of_several_on_this_machine_the_newest(configure: Configure, tmp_path: Path) -> None:
    for minor in (9, 16):
        sdk(tmp_path / "opt" / f"TensorRT-10.{minor}", 10, minor)
    found = configure(TENSORRT_PLACES=f"{tmp_path}/opt/*")
    assert found["found"] == str(tmp_path / "opt" / "TensorRT-10.16" / "include")
    assert "found on this machine" in found["log"]


@pytest.mark.parametrize(
    ("minor", "words"), [(4, "runs TensorRT-RTX 1.4, no TensorRT"), (6, "runs TensorRT-RTX 1.5 and later, no TensorRT")]
)
def test_an_sdk_of_tensorrt_rtx(configure: Configure, tmp_path: Path, minor: int, words: str) -> None:
    root = sdk(tmp_path / "rtx", 1, minor, "targets/x86_64-linux-gnu/include", "RTX")
    found = configure(TENSORRT_ROOT=root)
    assert found["found"] == str(root / "targets/x86_64-linux-gnu/include")
    assert found["library"] == str(root / "lib" / "libtensorrt_rtx.so")
    assert words in found["log"]


def test_a_clone_of_the_repository(configure: Configure, tmp_path: Path) -> None:
    clone = sdk(tmp_path / "clone", 11, 1)
    (clone / "CMakeLists.txt").write_text('message(FATAL_ERROR "TensorRT was built along")\n')
    found = configure(FETCHCONTENT_SOURCE_DIR_TENSORRT=clone)
    assert found["found"] == str(clone / "include")
    assert "from NVIDIA's repository" in found["log"]


def test_other_bytes_are_not_taken(configure: Configure, tmp_path: Path) -> None:
    """Not even one file of them; pip's headers are next."""
    mirror = sdk(tmp_path / "mirror", 11, 1) / "include"
    (mirror / "NvInfer.h").write_text("// somebody else's\n")
    found = configure(TENSORRT_HEADERS_URL=mirror.as_uri())
    assert "NvInfer.h: SHA-256 " in found["log"]
    assert "kernel_lens/include/tensorrt" in found["found"]
    assert not list(tmp_path.glob("build/_deps/tensorrt-src/include/*"))


def test_out_of_reach(configure: Configure) -> None:
    """Pip's, as they are installed; and the next configuration tries again."""
    spec = util.find_spec("kernel_lens")
    assert spec is not None and spec.submodule_search_locations, "make test installs it"
    (installed,) = spec.submodule_search_locations
    found = configure()
    assert found["found"] == os.path.join(installed, "include", "tensorrt")
    assert "no headers of TensorRT 11 from NVIDIA's repository: " in found["log"]
    assert "of the PyPI package kernel-lens" in found["log"]


def test_nothing_at_all(configure: Configure) -> None:
    found = configure(python="", FETCHCONTENT_FULLY_DISCONNECTED="ON")
    assert found["found"].endswith("NOTFOUND")
    assert "no headers of TensorRT 11 from NVIDIA's repository: " in found["log"]


def test_files_are_taken_by_their_digests(tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "NvInferRuntime.h").write_text("// one\n")
    (mirror / "NvInferVersion.h").write_text("// two\n")
    names = ("NvInferRuntime.h", "NvInferVersion.h")
    digests = [hashlib.sha256((mirror / name).read_bytes()).hexdigest() for name in names]
    headers = ";".join(f"{name};{digest}" for name, digest in zip(names, digests, strict=True))
    to = tmp_path / "to"
    defines = {"BASE": mirror.as_uri(), "TO": to, "TENSORRT_HEADERS": headers}
    options = [f"-D{name}={value}" for name, value in defines.items()]
    command = ["cmake", *options, "-P", str(CMAKE / "download_headers.cmake")]
    subprocess.run(command, check=True, timeout=60)
    assert [path.name for path in sorted((to / "include").iterdir())] == list(names)
    assert (to / "include" / "NvInferVersion.h").read_text() == "// two\n"

    (mirror / "NvInferVersion.h").write_text("// three\n")
    subprocess.run(command, check=True, timeout=60)
    assert [path.name for path in to.iterdir()] == ["failed.txt"]
    assert "NvInferVersion.h: SHA-256 " in (to / "failed.txt").read_text()
