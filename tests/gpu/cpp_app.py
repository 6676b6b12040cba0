"""examples/cpp_app from Python: arrays go in as raw files, what it prints and writes comes back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# ExecuTorch's names (runtime/core/portable_type/scalar_type.h) to numpy's.
DTYPES = {"Float": "float32", "Double": "float64", "Half": "float16", "Long": "int64", "Int": "int32", "Bool": "bool"}


def input_flags(arrays: Iterable[np.ndarray], folder: Path) -> list[str]:
    """Writes the arrays into the folder and names them, each with its shape, as inputs of the app."""
    flags = []
    for position, array in enumerate(arrays):
        path = folder / f"input{position}.bin"
        array.tofile(path)
        flags += ["--input", f"{path}:{'x'.join(map(str, array.shape))}"]
    return flags


@dataclass(frozen=True)
class Report:
    """What the app printed: lines of KEY=VALUE, of which the first says what the line is about."""

    method: dict[str, Any]
    outputs: list[dict[str, Any]]
    engines: list[dict[str, Any]]

    @classmethod
    def read(cls, stdout: str) -> Report:
        lines = [dict(map(_value, line.split("\t"))) for line in stdout.splitlines()]
        (method,) = [line for line in lines if "method" in line]
        return cls(method, [line for line in lines if "output" in line], [line for line in lines if "engine" in line])

    def array(self, position: int, folder: Path) -> np.ndarray:
        """An output that the app wrote with `--output`."""
        found = self.outputs[position]
        shape = tuple(map(int, found["shape"].split("x"))) if found["shape"] else ()
        return np.fromfile(folder / f"output{position}.bin", DTYPES[found["dtype"]]).reshape(shape)


def _value(field: str) -> tuple[str, Any]:
    key, _, value = field.partition("=")
    if key.endswith("_seconds"):
        return key, float(value)
    return key, int(value) if key.endswith("_bytes") or key in ("runs", "cache_hits") else value
