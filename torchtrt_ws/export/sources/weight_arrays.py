"""Weights from what holds arrays: a mapping of numpy or torch ones, a torch module, a safetensors file."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from torchtrt_ws.dtypes import TABLE
from torchtrt_ws.errors import EngineError, ProgramError
from torchtrt_ws.export.engine.payload import BufferPayload
from torchtrt_ws.export.engine.weight import Weight

__all__ = ["from_arrays", "from_safetensors"]

_DTYPES = {dtype.name for dtype in TABLE}


def from_arrays(subject: str, arrays: Mapping[str, Any]) -> dict[str, Weight]:
    """Reads arrays as weights. They are not copied where they are contiguous and in host memory.

    Args:
        subject: What an error names.
        arrays: Name to a numpy array or a torch tensor, of any shape. They must not change until the program is saved.

    Returns:
        Name to weight.

    Raises:
        ProgramError: Something else, an empty array, or a dtype that no engine has.
    """
    return {name: _weight(f"{subject}, weight {name!r}", name, array) for name, array in arrays.items()}


def from_safetensors(subject: str, path: str | os.PathLike[str]) -> dict[str, Weight]:
    """Reads the tensors of a safetensors file as weights. They stay in the file until the program is saved.

    Args:
        subject: What an error names.
        path: The file.

    Returns:
        Name to weight.

    Raises:
        ProgramError: No such file, or something else in it.
        EngineError: The package `safetensors` is not installed.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        next_step = "pip install torchtrt-ws[safetensors]."
        raise EngineError(subject, str(error), "the package safetensors, to read the weights", next_step) from None
    try:
        with safe_open(os.fspath(path), framework="pt") as file:
            return from_arrays(subject, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ProgramError(os.fspath(path), str(error), "a safetensors file", "Check the path.") from None


def _weight(subject: str, name: str, array: Any) -> Weight:
    view, dtype, count = _bytes_of_tensor(array) if _is_tensor(array) else _bytes_of_array(subject, array)
    if dtype not in _DTYPES:
        raise ProgramError(subject, f"dtype {dtype}", f"one of {', '.join(sorted(_DTYPES))}", "Convert it.")
    if count == 0:
        raise ProgramError(subject, "no elements", "at least one", "Leave it out.")
    return Weight(name, dtype, count, BufferPayload(view))


def _is_tensor(array: Any) -> bool:
    torch = sys.modules.get("torch")  # not imported: then it is no tensor
    return torch is not None and isinstance(array, torch.Tensor)


def _bytes_of_tensor(tensor: Any) -> tuple[memoryview, str, int]:
    import torch

    flat = tensor.detach().to("cpu").contiguous().reshape(-1)
    dtype = str(tensor.dtype).removeprefix("torch.")
    return memoryview(flat.view(torch.uint8).numpy()), dtype, flat.numel()


def _bytes_of_array(subject: str, array: Any) -> tuple[memoryview, str, int]:
    import numpy as np

    if not isinstance(array, np.ndarray):
        raise ProgramError(subject, f"a {type(array).__name__}", "a numpy array or a torch tensor", "Give one.")
    flat = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1)
    view: Any = flat.view(np.uint8)
    return memoryview(view) if flat.size else memoryview(b""), array.dtype.name, flat.size
