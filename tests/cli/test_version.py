"""`torchtrt-ws --version`: what is installed, for reports of problems."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from torchtrt_ws import __version__, versions


def test_the_command(tmp_path: Path) -> None:
    library = tmp_path / "libnvinfer.so.10.14.1"
    library.write_bytes(b"")
    link = tmp_path / "libnvinfer.so.10"
    link.symlink_to(library)
    command = [sys.executable, "-X", "importtime", "-m", "torchtrt_ws", "--version"]
    environment = {
        **os.environ,
        "TORCHTRT_WS_NVINFER": str(link),
        "TORCHTRT_WS_TENSORRT_RTX": str(tmp_path / "none.so"),
    }
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0
    first, *lines = done.stdout.splitlines()
    assert first == f"torchtrt-ws {__version__}"
    assert lines[0].startswith(f"Python {platform.python_version()} (")
    assert f"executorch {metadata.version('executorch')}" in lines
    assert f"TensorRT 10.14.1 ({link})" in lines
    assert "TensorRT-RTX not found" in lines
    native = next(line for line in lines if line.startswith("native module "))
    assert Path(native.removeprefix("native module ")).exists()
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not {"torch", "executorch", "numpy", "torchtrt_ws._native"} & loaded


def test_where_libraries_are_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("TORCHTRT_WS_NVINFER", "TORCHTRT_WS_TENSORRT_RTX"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "libtensorrt_rtx.so.1").write_bytes(b"")
    monkeypatch.setenv("LD_LIBRARY_PATH", f"/no/such/folder{os.pathsep}{tmp_path}")
    found = versions.versions()
    assert found["TensorRT-RTX"] == str(tmp_path / "libtensorrt_rtx.so.1"), "its name does not tell the version"
    monkeypatch.setenv("TORCHTRT_WS_TENSORRT_LIBRARY", str(tmp_path / "libtensorrt_rtx.so.1"))
    assert versions.versions()["TensorRT adapter"] == str(tmp_path / "libtensorrt_rtx.so.1")
    monkeypatch.setenv("TORCHTRT_WS_TENSORRT_LIBRARY", "/no/such/file")
    assert versions.versions()["TensorRT adapter"] == versions.NOT_FOUND


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04  Tue Jan 1 2026\nGCC version: 12\n",
            "580.159.04",
        ),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build\n", "570.86.15"),
        (None, "not found"),
    ],
    ids=["closed", "open", "none"],
)
def test_the_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None, version: str) -> None:
    path = tmp_path / "version"
    if text is not None:
        path.write_text(text)
    monkeypatch.setattr(versions, "_DRIVER", path)
    assert versions.versions()["NVIDIA driver"] == version
