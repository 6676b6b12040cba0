"""Memory that callers give for outputs: `out=`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from torchtrt_ws.errors import ProgramError
from torchtrt_ws.runtime.device_tensors import CUPY, TORCH, Foreign, on_device
from torchtrt_ws.runtime.inputs import dtype_name, torch_array
from torchtrt_ws.runtime.signature import Signature, TensorSpec

__all__ = ["Target", "targets"]


@dataclass(frozen=True)
class Target:
    """Where one output goes.

    Args:
        subject: What an error names.
        value: What the caller gave, and gets back.
        spec: The output.
        array: Over its memory, where that is the host's; of any strides.
        foreign: Where it is on a GPU.
    """

    subject: str
    value: Any
    spec: TensorSpec
    array: np.ndarray[Any, Any] | None = None
    foreign: Foreign | None = None

    @property
    def is_direct(self) -> bool:
        """Whether a run may write into it: contiguous, and of a shape that is known before."""
        if self.spec.dynamic:
            return False
        if self.array is not None:
            return bool(self.array.flags.c_contiguous)
        assert self.foreign is not None
        library = self.foreign.library
        if library is TORCH:
            return bool(self.value.is_contiguous())
        return library is not CUPY or bool(self.value.flags.c_contiguous)

    def check_shape(self, shape: Sequence[int]) -> None:
        """Compares with what the output has.

        Raises:
            ProgramError: Another shape.
        """
        if tuple(self.value.shape) != tuple(shape):
            raise _refused(self.subject, f"shape {list(self.value.shape)}", f"{list(shape)}, as the output has")


def targets(signature: Signature, out: Any) -> list[Target | None]:
    """One for each output, None where the caller gave nothing.

    Args:
        signature: Of the method.
        out: None, a sequence with one item for each output, or a mapping from output name to tensor.

    Raises:
        ProgramError: A wrong number, an unknown name, a number for an output, or a tensor of another dtype or shape or
            that cannot be written to.
    """
    specs = signature.outputs
    if out is None:
        return [None] * len(specs)
    if isinstance(out, Mapping):
        by_position = {signature.output_position(name): value for name, value in out.items()}
        given = [by_position.get(position) for position in range(len(specs))]
    elif isinstance(out, Sequence) and not isinstance(out, str | bytes):
        given = list(out)
    else:
        given = [out] if len(specs) == 1 else []
    if len(given) != len(specs):
        raise _refused("out", f"{len(given)} tensors", f"{len(specs)}, or a mapping from name to tensor")
    return [
        None if value is None else _target(f"out[{position}]", value, spec)
        for position, (value, spec) in enumerate(zip(given, specs, strict=True))
    ]


def _target(subject: str, value: Any, spec: TensorSpec) -> Target:
    if not spec.is_tensor:
        raise _refused(subject, "memory for a number", "None")
    torch = sys.modules.get("torch")
    lazy = torch is not None and isinstance(value, torch.Tensor) and (value.is_conj() or value.is_neg())
    if lazy:
        raise _refused(subject, "a view that is negated or conjugated when it is read", "a plain tensor")
    foreign = on_device(subject, value)
    array = None if foreign else _array(subject, value)
    found = dtype_name(value.dtype)
    if found != spec.dtype or (array is not None and not array.dtype.isnative):
        raise _refused(subject, f"{value.dtype}", spec.dtype)
    target = Target(subject, value, spec, array, foreign)
    if not spec.dynamic:
        target.check_shape(spec.shape or ())
    return target


def _array(subject: str, value: Any) -> np.ndarray[Any, Any]:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return torch_array(subject, torch, value, copy=False)
    if not isinstance(value, np.ndarray) or not value.flags.writeable:
        found = "an array that is read-only" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
        raise _refused(subject, found, "a numpy array or tensor that can be written to")
    return value


def _refused(subject: str, found: str, expected: str) -> ProgramError:
    return ProgramError(subject, found, expected, "Give memory that fits, or None for new memory.")
