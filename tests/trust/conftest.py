"""A small program that is quick to write: a plan that nobody runs."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

import torchtrt_ws
from torchtrt_ws.trust import new_key


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A .pte with the engines `query` and `document`."""
    folder = tmp_path_factory.mktemp("plans")
    for name, fill in (("query", b"q"), ("document", b"d")):
        (folder / name).write_bytes(struct.pack("<4s12xQ4B", b"vtrt", 100, 1, 6, 1, 120) + fill * 72)
    plans = {name: folder / name for name in ("query", "document")}
    inputs = {name: "x:float32:4" for name in plans}
    outputs = {"query": "q:float32:4", "document": "d:float32:4"}
    torchtrt_ws.save_plan(plans, folder / "towers.pte", inputs=inputs, outputs=outputs)
    return (folder / "towers.pte").read_bytes()


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pairs release.pem, release.pub.pem and other.pem, other.pub.pem."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("release", "other"):
        new_key(folder / f"{name}.pem")
    return folder


@pytest.fixture
def program(original: bytes, tmp_path: Path) -> Path:
    """The program in a folder of its own."""
    path = tmp_path / "towers.pte"
    path.write_bytes(original)
    return path
