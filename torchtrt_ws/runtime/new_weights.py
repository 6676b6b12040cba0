"""New weights for a loaded program, as the native module takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchtrt_ws.errors import ProgramError
from torchtrt_ws.runtime.device_tensors import on_device
from torchtrt_ws.runtime.inputs import bits, dtype_name, host_array

__all__ = ["new_weights"]


def new_weights(weights: Mapping[str, Any]) -> list[tuple[str, str, int, Any]]:
    """Reads what `Program.refit` takes.

    Args:
        weights: Name to a numpy array (`ml_dtypes` for bfloat16 and float8), a torch tensor, or anything with
            `__dlpack__`, in host memory. What is not contiguous is copied.

    Returns:
        For each: name, dtype, number of elements, and a contiguous buffer.

    Raises:
        ProgramError: No mapping from names, or a value that is no tensor in host memory.
    """
    if not isinstance(weights, Mapping):
        raise ProgramError(
            "weights", f"a {type(weights).__name__}", "a mapping from name to tensor", "Write {name: tensor}."
        )
    found = []
    for name, value in weights.items():
        subject = f"weight {name!r}"
        if not isinstance(name, str):
            raise ProgramError(subject, f"a {type(name).__name__}", "a name", "Write {name: tensor}.")
        foreign = on_device(subject, value)
        if foreign is not None:
            raise ProgramError(
                subject, f"a tensor on cuda:{foreign.index}", "one in host memory", "Copy it there: tensor.cpu()."
            )
        array = host_array(subject, value)
        found.append((name, dtype_name(array.dtype), array.size, bits(array)))
    return found
