"""What is installed, for reports of problems. Nothing is imported or loaded: TensorRT alone would take a second."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["NOT_FOUND", "versions"]

NOT_FOUND = "not found"
_PACKAGES = ("executorch", "numpy", "ml_dtypes", "torch", "torch-tensorrt", "torch-tensorrt-rtx")
# As cpp/engine/tensorrt/library.cpp looks for them: a variable, then LD_LIBRARY_PATH, pip's package, the system.
_LIBRARIES = {
    "TensorRT-RTX": ("TORCHTRT_WS_TENSORRT_RTX", "libtensorrt_rtx.so", "tensorrt_rtx_libs", "tensorrt-rtx"),
    "TensorRT": ("TORCHTRT_WS_NVINFER", "libnvinfer.so", "tensorrt_libs", "tensorrt"),
}
_SYSTEM = ("/usr/local/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib")
_NUMBER = re.compile(r"\.so\.([0-9.]+)$")
_DRIVER = Path("/proc/driver/nvidia/version")


def versions() -> dict[str, str]:
    """What this package runs with.

    Returns:
        Name to version, or to a path where the file does not tell it; "not found" for what is not there. First
        "torchtrt-ws", then Python, the packages, the compiled module, the TensorRT adapter, the libraries that it would
        load, and NVIDIA's driver.
    """
    import torchtrt_ws

    found = {
        "torchtrt-ws": torchtrt_ws.__version__,
        "Python": f"{platform.python_version()} ({platform.system()} {platform.machine()})",
    }
    found |= {name: _package(name) or NOT_FOUND for name in _PACKAGES}
    module = importlib.util.find_spec("torchtrt_ws._native")
    native = Path(module.origin) if module is not None and module.origin else None
    found["native module"] = NOT_FOUND if native is None else str(native)
    found["TensorRT adapter"] = _adapter(native)
    found |= {name: _library(*facts) for name, facts in _LIBRARIES.items()}
    found["NVIDIA driver"] = _driver()
    return found


def _package(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _adapter(native: Path | None) -> str:
    chosen = os.environ.get("TORCHTRT_WS_TENSORRT_LIBRARY")
    path = Path(chosen) if chosen else native and native.parent / "lib" / "libtorchtrt_ws_tensorrt.so"
    return str(path) if path and path.exists() else NOT_FOUND


def _library(variable: str, name: str, folder: str, package: str) -> str:
    path = next((each for each in _candidates(variable, name, folder) if each.exists()), None)
    if path is None:
        return NOT_FOUND
    if path.parent.name == folder and (version := _package(package)):
        return f"{version} ({path})"
    number = _NUMBER.search(path.resolve().name)  # libnvinfer.so.10.14.1: the name of what the link leads to
    return f"{number[1]} ({path})" if number and "." in number[1] else str(path)


def _candidates(variable: str, name: str, folder: str) -> Iterator[Path]:
    if chosen := os.environ.get(variable):
        yield Path(chosen)
        return
    for each in filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)):
        yield from sorted(Path(each).glob(f"{name}.[0-9]*"))
    spec = importlib.util.find_spec(folder)
    for each in (spec.submodule_search_locations or ()) if spec else ():
        yield from sorted(Path(each).glob(f"{name}.[0-9]*"))
    for each in _SYSTEM:
        yield from sorted(Path(each).glob(f"{name}.[0-9]*"))


def _driver() -> str:
    try:
        text = _DRIVER.read_text()
    except OSError:
        return NOT_FOUND
    match = re.search(r"Kernel Module.*?\s([0-9]+(?:\.[0-9]+)+)\s", text)
    return match[1] if match else str(_DRIVER)
