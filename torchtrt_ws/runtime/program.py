"""A loaded program: its methods as callables, its engines as reports."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from torchtrt_ws.errors import ProgramError
from torchtrt_ws.pte import MethodInfo, ProgramInfo, ValueInfo
from torchtrt_ws.runtime.engine import Engine
from torchtrt_ws.runtime.native import _native, translated

__all__ = ["Program"]


class Program:
    """A program in memory; made by `load`. Threads may share it: calls take turns.

    Example:
        program = torchtrt_ws.load("model.pte", weight_streaming_budget="50%")
        embedding, = program(input_ids, attention_mask)
        print(program.engines[0].budget_bytes, program.engines[0].source)
    """

    def __init__(self, report: ProgramInfo, native: _native.Program) -> None:
        self._methods = {method.name: method for method in report.methods}
        self._native = native
        self.file = report.file

    @property
    def method_names(self) -> tuple[str, ...]:
        """The program's methods, in file order."""
        return tuple(self._methods)

    @property
    def engines(self) -> tuple[Engine, ...]:
        """Its engines, in loading order."""
        return tuple(Engine(identifier, self._native) for identifier in self._native.engine_ids())

    def __call__(self, *inputs: Any) -> list[Any]:
        """Runs the method `forward`, or the only one; see `run`."""
        name = "forward" if "forward" in self._methods or len(self._methods) != 1 else next(iter(self._methods))
        return self.run(name, *inputs)

    def run(self, method: str, *inputs: Any) -> list[Any]:
        """Runs one method.

        Args:
            method: Its name.
            inputs: Its tensors in order: numpy arrays, torch tensors, or anything with `__dlpack__`. Contiguous ones
                are used where they lie.

        Returns:
            Its outputs, one for each: torch tensors if an input was one, else numpy arrays. They are the caller's.

        Raises:
            ProgramError: No such method, or inputs that do not fit it: number, dtype or shape.
            EngineError: The engine failed.
        """
        declared = self._find(method)
        if len(inputs) != len(declared.inputs):
            raise ProgramError(
                f"method {method!r}",
                f"{len(inputs)} inputs",
                f"{len(declared.inputs)}: {_describe(declared.inputs)}",
                "Pass one tensor for each.",
            )
        arrays = [_checked(method, i, value, declared.inputs[i]) for i, value in enumerate(inputs)]
        with translated():
            outputs: list[Any] = self._native.execute(method, arrays)
        torch = sys.modules.get("torch")  # a torch tensor cannot be here without it
        if torch is not None and any(isinstance(value, torch.Tensor) for value in inputs):
            return [_to_torch(torch, output) for output in outputs]
        return outputs

    def zeros(self, method: str = "forward") -> list[Any]:
        """Inputs of zeros, in the largest shapes that the method declares: enough to see that it runs, and how fast.

        Args:
            method: Its name.

        Returns:
            One numpy array for each input.

        Raises:
            ProgramError: No such method, or an input of a dtype that numpy does not have.
        """
        arrays = []
        for position, value in enumerate(self._find(method).inputs):
            try:
                arrays.append(np.zeros(value.shape or (), dtype=value.dtype))
            except TypeError:
                raise ProgramError(
                    f"input {position} of {method!r}", str(value.dtype), "a dtype of numpy", "Pass the inputs yourself."
                ) from None
        return arrays

    def _find(self, method: str) -> MethodInfo:
        found = self._methods.get(method)
        if found is None:
            raise ProgramError(
                self.file, f"a call of method {method!r}", f"one of {', '.join(self._methods)}", "Mend the name."
            )
        return found

    def __repr__(self) -> str:
        return f"Program({self.file!r}, methods={list(self._methods)}, engines={[e.name for e in self.engines]})"


def _checked(method: str, position: int, value: Any, declared: ValueInfo) -> Any:
    """The input as a contiguous array, if it fits what the program declares."""
    subject = f"input {position} of {method!r}"
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach().contiguous()
        found_dtype, found_shape = str(value.dtype).removeprefix("torch."), tuple(value.shape)
    elif hasattr(value, "__dlpack__") and not isinstance(value, np.ndarray | np.generic):
        found_dtype, found_shape = str(value.dtype), tuple(value.shape)
    else:
        value = np.asarray(value)
        if value.ndim and not value.flags.c_contiguous:
            value = np.ascontiguousarray(value)
        found_dtype, found_shape = value.dtype.name, value.shape
    if declared.dtype is None or declared.shape is None:
        raise ProgramError(
            subject, "a tensor", f"a value of type {declared.type}", "Save the model with tensor inputs."
        )
    if found_dtype != declared.dtype or not _fits(found_shape, declared):
        raise ProgramError(
            subject,
            f"{found_dtype}{list(found_shape)}",
            _describe([declared]),
            "Convert it; the program was saved for these.",
        )
    return value


def _fits(shape: Sequence[int], declared: ValueInfo) -> bool:
    expected = declared.shape or ()
    if len(shape) != len(expected):
        return False
    if declared.dynamic:
        return all(found <= most for found, most in zip(shape, expected, strict=True))
    return tuple(shape) == tuple(expected)


def _describe(values: Sequence[ValueInfo]) -> str:
    return ", ".join(f"{value.dtype}{'<=' if value.dynamic else ''}{list(value.shape or ())}" for value in values)


def _to_torch(torch: Any, output: Any) -> Any:
    if isinstance(output, np.ndarray):
        return torch.from_numpy(output)
    return torch.from_dlpack(output) if hasattr(output, "__dlpack__") else output
