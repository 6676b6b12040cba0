"""What an install holds names no folder of the machine that built it."""

from __future__ import annotations

import re
import subprocess
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
