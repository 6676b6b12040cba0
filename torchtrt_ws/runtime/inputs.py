"""What callers pass to a program, as contiguous arrays in host memory that fit what it declares."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from torchtrt_ws.errors import ProgramError, first_line
from torchtrt_ws.pte import ValueInfo

__all__ = ["checked", "describe", "to_torch"]

# DLPack's device types (dlpack.h) whose memory the host reads: kDLCPU, kDLCUDAHost, kDLROCMHost, kDLCUDAManaged.
_HOST_MEMORY = (1, 3, 11, 13)


def checked(method: str, position: int, value: Any, declared: ValueInfo) -> Any:
    """An input as a contiguous array, if it fits what the program declares.

    Args:
        method: The method's name, for errors.
        position: Of the input.
        value: A numpy array, a torch tensor, anything with `__dlpack__`, or what numpy makes an array of.
        declared: Dtype and shape that the program was saved for.

    Returns:
        What the native module takes: the value itself where it is contiguous.

    Raises:
        ProgramError: No tensor, one of another dtype or shape, or one whose data is not there for the host to read:
            on another device, sparse, or on torch's device meta.
    """
    subject = f"input {position} of {method!r}"
    if declared.dtype is None or declared.shape is None:
        raise ProgramError(
            subject, "a tensor", f"a value of type {declared.type}", "Save the model with tensor inputs."
        )
    array, found_dtype, found_shape = _as_array(subject, value)
    if found_dtype != declared.dtype or not _fits(found_shape, declared):
        raise ProgramError(
            subject,
            f"{found_dtype}{list(found_shape)}",
            describe([declared]),
            "Convert it; the program was saved for these.",
        )
    return array


def describe(values: Sequence[ValueInfo]) -> str:
    """`values` for people: "float32[2, 1024]", and "<=" where a shape is an upper bound."""
    return ", ".join(f"{value.dtype}{'<=' if value.dynamic else ''}{list(value.shape or ())}" for value in values)


def to_torch(torch: Any, output: Any) -> Any:
    """The tensor of the module `torch` over the memory of `output`; what is no array stays as it is."""
    if isinstance(output, np.ndarray):
        return torch.from_numpy(output)
    return torch.from_dlpack(output) if hasattr(output, "__dlpack__") else output


def _as_array(subject: str, value: Any) -> tuple[Any, str, tuple[int, ...]]:
    torch = sys.modules.get("torch")  # a torch tensor cannot be here without it
    if torch is not None and isinstance(value, torch.Tensor):
        return _torch_array(subject, torch, value)
    if hasattr(value, "__dlpack__") and not isinstance(value, np.ndarray | np.generic):
        _check_host(subject, value)
        return value, str(value.dtype).rpartition(".")[2], tuple(value.shape)
    array = np.asarray(value)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.ndim and not array.flags.c_contiguous:
        array = np.ascontiguousarray(array)
    return array, array.dtype.name, array.shape


def _torch_array(subject: str, torch: Any, tensor: Any) -> tuple[Any, str, tuple[int, ...]]:
    if tensor.layout is not torch.strided:
        raise ProgramError(subject, f"a tensor of layout {tensor.layout}", "a dense tensor", "Call .to_dense() first.")
    if tensor.device.type != "cpu":
        _refuse_device(subject, str(tensor.device))
    # A view may say "the same memory, but negated" (or conjugated): the memory alone would be wrong.
    tensor = tensor.detach().resolve_conj().resolve_neg().contiguous()
    return tensor, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)


def _check_host(subject: str, value: Any) -> None:
    """Refuses memory that the host cannot read: nothing else would keep the process from reading it."""
    try:
        kind, index = value.__dlpack_device__()
    except Exception as error:  # what a foreign class raises
        raise ProgramError(
            subject, f"{type(error).__name__}: {first_line(error)}", "an object that says where its memory is", ""
        ) from error
    if int(kind) not in _HOST_MEMORY:
        _refuse_device(subject, f"DLPack device type {int(kind)}, index {index}")


def _refuse_device(subject: str, device: str) -> None:
    raise ProgramError(subject, f"a tensor on {device}", "one in host memory", "Copy it there first: tensor.cpu().")


def _fits(shape: Sequence[int], declared: ValueInfo) -> bool:
    expected = declared.shape or ()
    if len(shape) != len(expected):
        return False
    if declared.dynamic:
        return all(found <= most for found, most in zip(shape, expected, strict=True))
    return tuple(shape) == tuple(expected)
