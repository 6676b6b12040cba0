"""Finds TensorRT's runtime library where pip put it: its folder is not on the loader's path."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

__all__ = ["point_to_tensorrt"]

# Environment variable that the adapter reads (cpp/engine/tensorrt/library.h): packages of pip and the library in them.
_PLACES = {
    "TORCHTRT_WS_TENSORRT_RTX": (("tensorrt_rtx_libs",), "libtensorrt_rtx.so.1"),
    "TORCHTRT_WS_NVINFER": (("tensorrt_libs",), "libnvinfer.so.1?"),
}


def point_to_tensorrt() -> None:
    """Tells the TensorRT adapter about libraries in site-packages, unless the environment already says something."""
    for variable, (packages, pattern) in _PLACES.items():
        if variable in os.environ:
            continue
        library = _find(packages, pattern)
        if library is not None:
            os.environ[variable] = str(library)


def _find(packages: tuple[str, ...], pattern: str) -> Path | None:
    for package in packages:
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            for library in sorted(Path(folder).glob(pattern)):
                return library
    return None
