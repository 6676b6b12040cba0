"""What a call returns: a list whose items have names too, in memory of the caller's library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, SupportsIndex, overload

import numpy as np

from torchtrt_ws.errors import ProgramError
from torchtrt_ws.runtime.inputs import numpy_dtype
from torchtrt_ws.runtime.signature import Signature

__all__ = ["Outputs", "as_torch", "of_dtype"]


class Outputs(list[Any]):
    """The outputs of one call, in order: `y, = program(x)`; and by name: `program(x)["logits"]`."""

    __slots__ = ("_signature",)

    def __init__(self, values: Iterable[Any], signature: Signature) -> None:
        self.extend(values)  # cheaper than super().__init__
        self._signature = signature

    @overload
    def __getitem__(self, key: SupportsIndex | str, /) -> Any: ...
    @overload
    def __getitem__(self, key: slice, /) -> list[Any]: ...
    def __getitem__(self, key: SupportsIndex | slice | str, /) -> Any:
        """By position, or by the name that the method's signature has.

        Raises:
            ProgramError: No output has that name.
        """
        if isinstance(key, str):
            return super().__getitem__(self._signature.output_position(key))
        return super().__getitem__(key)

    def keys(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(spec.name for spec in self._signature.outputs)

    def items(self) -> Iterator[tuple[str, Any]]:
        """Name and value of each, in order: `dict(program(x).items())`."""
        return zip(self.keys(), self, strict=True)

    def __reduce__(self) -> tuple[type[list[Any]], tuple[list[Any]]]:
        return list, (list(self),)


def of_dtype(array: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
    """The same memory as what it holds: the native module gives bits for dtypes that numpy lacks.

    Args:
        array: From the native module.
        name: The declared dtype.
    """
    wanted = numpy_dtype(name)
    return array if array.dtype == wanted else array.view(wanted)


def as_torch(torch: Any, value: Any, name: str) -> Any:
    """The tensor of the module `torch` over the memory of `value`, an array of dtype `name`; a number stays one.

    Raises:
        ProgramError: A dtype that this torch lacks.
    """
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.isbuiltin == 1:
        return torch.from_numpy(value)
    dtype = getattr(torch, name, None)
    if dtype is None:
        raise ProgramError("an output", name, "a dtype of this torch", "Pass numpy arrays, or a newer torch's tensors.")
    return torch.from_numpy(value.view("i2" if value.itemsize == 2 else "u1")).view(dtype)
