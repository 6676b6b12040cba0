"""What callers pass from host memory, as contiguous arrays that fit what a method declares."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from torchtrt_ws.errors import EngineError, ProgramError, first_line
from torchtrt_ws.runtime.signature import TensorSpec

__all__ = ["bits", "dtype_name", "host_array", "host_item", "numpy_dtype", "torch_array", "wrong_tensor"]

_LITERALS = (bool, int, float, list, tuple)
_USER_DEFINED = 2  # numpy.dtype.isbuiltin of ml_dtypes' dtypes
_CONVERT = "Convert it; the program was saved for these."


@cache
def numpy_dtype(name: str) -> np.dtype[Any]:
    """numpy's dtype of a name; bfloat16 and float8 are those of `ml_dtypes`.

    Args:
        name: torch's, without "torch.".

    Raises:
        EngineError: `ml_dtypes` is not installed.
    """
    if not name.startswith(("bfloat", "float8")):
        return np.dtype(name)
    try:
        import ml_dtypes
    except ImportError:
        raise EngineError(name, "no package ml_dtypes", "it, for what numpy lacks", "pip install ml_dtypes") from None
    made: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    return made


def bits(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same memory in a dtype that Python's buffer protocol has. `array` is contiguous."""
    return array.view(f"u{array.dtype.itemsize}") if array.dtype.isbuiltin == _USER_DEFINED else array


@cache
def dtype_name(dtype: Any) -> str:
    """The name of a dtype of torch, numpy or another library: "float32"."""
    return getattr(dtype, "name", None) or str(dtype).rpartition(".")[2]


def wrong_tensor(subject: str, dtype: str, shape: Sequence[int], spec: TensorSpec) -> ProgramError:
    """The error for `subject`, a tensor of `dtype` and `shape`, which `spec` does not allow."""
    return ProgramError(subject, f"{dtype}{list(shape)}", str(spec), _CONVERT)


def host_item(subject: str, value: Any, spec: TensorSpec) -> Any:
    """An input for the native module, if it fits.

    Args:
        subject: What an error names.
        value: A numpy array, a torch tensor in host memory, anything with `__dlpack__`, a number, a list, or what else
            numpy makes an array of.
        spec: What is declared.

    Returns:
        A contiguous array, the tensor's own memory where it is contiguous; or a number.

    Raises:
        ProgramError: No tensor, or one of another dtype or shape, or sparse.
    """
    if not spec.is_tensor:
        return _number(subject, value, spec)
    array = _literal(subject, value, spec) if isinstance(value, _LITERALS) else host_array(subject, value)
    name = dtype_name(array.dtype)
    if name != spec.dtype or not spec.fits(array.shape):
        raise wrong_tensor(subject, name, array.shape, spec)
    return bits(array)


def _number(subject: str, value: Any, spec: TensorSpec) -> bool | int | float:
    kinds: dict[str, type[bool | int | float]] = {"bool": bool, "int": int, "double": float}
    kind = kinds.get(spec.dtype)
    if kind is None:
        raise ProgramError(subject, "a tensor", f"a value of type {spec.dtype}", "Save the model with tensor inputs.")
    number = value.item() if hasattr(value, "item") else value
    accepted = (int, float) if kind is float else kind
    if not isinstance(number, accepted) or (kind is not bool and isinstance(number, bool)):
        raise ProgramError(subject, f"a {type(value).__name__}", f"a number of type {spec.dtype}", "Convert it.")
    return kind(number)


def _literal(subject: str, value: Any, spec: TensorSpec) -> np.ndarray[Any, Any]:
    """Numbers in Python's own types take the declared dtype, as in torch.tensor(value, dtype=...), where it holds
    them."""
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise ProgramError(subject, first_line(error), str(spec), "Pass an array.") from None
    found, wanted = array.dtype.kind, numpy_dtype(spec.dtype)
    into = {"b": "b", "i": "biu", "u": "biu"}.get(wanted.kind, "biuf")  # floats, ml_dtypes' among them
    if found not in "biuf" or (array.size and found not in into):
        return array  # refused for its dtype
    if array.dtype == wanted:
        return array
    cast = array.astype(wanted)
    if wanted.kind in "iu" and not np.array_equal(cast, array):
        raise ProgramError(subject, "a number that does not fit", f"what {spec.dtype} holds", "Mend the number.")
    return cast


def host_array(subject: str, value: Any) -> np.ndarray[Any, Any]:
    """A contiguous array of a tensor in host memory, the tensor's own memory where it is contiguous.

    Args:
        subject: What an error names.
        value: A numpy array, a torch tensor, anything with `__dlpack__`, or what else numpy makes an array of.

    Raises:
        ProgramError: No tensor, a sparse one, or one of a dtype that numpy and ExecuTorch lack.
    """
    torch = sys.modules.get("torch")  # a torch tensor cannot be here without it
    if torch is not None and isinstance(value, torch.Tensor):
        return torch_array(subject, torch, value)
    try:
        array = _numpy_array(value)
    except Exception as error:  # what a foreign class raises
        found = f"{type(error).__name__}: {first_line(error)}"
        raise ProgramError(subject, found, "a tensor that numpy can read", "Pass a numpy array.") from error
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def _numpy_array(value: Any) -> np.ndarray[Any, Any]:
    if isinstance(value, np.ndarray | np.generic) or not hasattr(value, "__dlpack__"):
        return np.asarray(value)
    try:
        return np.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError):  # a dtype that DLPack has and numpy has not
        return np.asarray(value)


def torch_array(subject: str, torch: Any, tensor: Any, copy: bool = True) -> np.ndarray[Any, Any]:
    """The array over a tensor's memory in the host; a copy where it is not contiguous.

    Args:
        subject: What an error names.
        torch: The module.
        tensor: One of its tensors.
        copy: False for the tensor's own memory, whatever its strides.

    Raises:
        ProgramError: A sparse tensor, or one of a dtype that numpy and ExecuTorch lack.
    """
    if tensor.layout is not torch.strided:
        raise ProgramError(subject, f"a tensor of layout {tensor.layout}", "a dense tensor", "Call .to_dense() first.")
    # A view may say "the same memory, but negated" (or conjugated): the memory alone would be wrong.
    tensor = tensor.detach()
    if copy:
        tensor = tensor.resolve_conj().resolve_neg().contiguous()
    name = dtype_name(tensor.dtype)
    if name.startswith(("bfloat", "float8")):
        as_integers = tensor.view(torch.int16 if tensor.element_size() == 2 else torch.uint8)
        integers: np.ndarray[Any, Any] = as_integers.numpy(force=copy)
        return integers.view(numpy_dtype(name))
    try:
        made: np.ndarray[Any, Any] = tensor.numpy(force=copy)  # which gives zeros without memory some
    except (TypeError, RuntimeError):  # complex32, quantized; such zeros as an output
        raise ProgramError(subject, f"a tensor of {tensor.dtype}", "a real, integer or bool one", _CONVERT) from None
    return made
