"""What an install holds names no folder of the machine that built it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from torchtrt_ws import _native

FOLDER = Path(_native.__file__).parent
LIBRARIES = sorted([Path(_native.__file__), *(FOLDER / "lib").glob("*.so*")])


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda path: path.name)
def test_runpath_is_relative(library: Path) -> None:
    said = subprocess.run(["readelf", "-d", str(library)], text=True, capture_output=True, check=True).stdout
    (runpath,) = re.findall(r"\((?:RUNPATH|RPATH)\).*\[(.*)\]", said)
    assert runpath, "it finds executorch beside it"
    assert [each for each in runpath.split(":") if not re.match(r"\$ORIGIN(/|$)", each)] == []


def test_all_libraries_are_there() -> None:
    assert {path.name.split(".")[0] for path in LIBRARIES} >= {"_native", "libtorchtrt_ws", "libtorchtrt_ws_host"}


@pytest.mark.parametrize("name", ["torchtrt_ws", "TorchTRT_WS"])
def test_cmake_finds_it_however_it_is_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.28)\n"
        "project(consumer LANGUAGES CXX)\n"
        f"find_package({name} 0.1 CONFIG REQUIRED)\n"
        "get_target_property(found torchtrt_ws::delegate IMPORTED_LOCATION)\n"
        'message(STATUS "found=${found}")\n'
    )
    prefix = subprocess.check_output([sys.executable, "-m", "torchtrt_ws", "--cmake-prefix-path"], text=True).strip()
    command = [
        "cmake",
        "-G",
        "Ninja",
        "-S",
        str(tmp_path),
        "-B",
        str(tmp_path / "build"),
        f"-DCMAKE_PREFIX_PATH={prefix}",
    ]
    done = subprocess.run(command, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"found={FOLDER}/lib/libtorchtrt_ws.so." in done.stdout
