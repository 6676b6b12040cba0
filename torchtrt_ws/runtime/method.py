"""One method of a loaded program, and the path of a call through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from torchtrt_ws.runtime.contexts import Contexts
from torchtrt_ws.runtime.inputs import numpy_dtype
from torchtrt_ws.runtime.native import _native, raise_translated
from torchtrt_ws.runtime.outputs import Outputs
from torchtrt_ws.runtime.signature import Signature, TensorSpec
from torchtrt_ws.runtime.transfer import Places, Transfer

__all__ = ["Method"]

_ARRAY, _EMPTY = np.ndarray, np.empty


class Method:
    """A method that can be called.

    Two paths: numpy arrays that are as the method wants them, into a program that works in host memory, are checked
    here in a few hundred nanoseconds each; all else is a `Transfer`.

    Args:
        signature: What it takes and gives.
        contexts: The program.
        device: Where its engines are, as CUDA counts devices; None: on the host.
        file: What logs call the program.
    """

    def __init__(self, signature: Signature, contexts: Contexts, device: int | None, file: str) -> None:
        self.signature = signature
        self._contexts = contexts
        self._name = signature.method
        self._places = Places(signature, device, file)
        inputs, outputs = signature.inputs, signature.outputs
        self._quick = all(map(_is_plain, (*inputs, *outputs))) and not any(spec.dynamic for spec in outputs)
        self._inputs = [(numpy_dtype(s.dtype), s.shape, s) for s in inputs] if self._quick else []
        self._outputs = [(s.shape or (), numpy_dtype(s.dtype)) for s in outputs] if self._quick else []

    def call(self, given: Sequence[Any], named: Mapping[str, Any], out: Any) -> Outputs:
        """Runs it; see `Program.run`.

        Args:
            given: Inputs by position.
            named: Inputs by name.
            out: Where the outputs go, or None.
        """
        if named or len(given) != len(self.signature.inputs):
            given = self.signature.bind(given, named)
        if self._quick and out is None and self._as_wanted(given):
            made: list[Any] = [_EMPTY(shape, dtype) for shape, dtype in self._outputs]
            self._execute(given, made, None, False)
            return Outputs(made, self.signature)
        transfer = Transfer(self._places, given, out)
        try:
            results = self._execute(transfer.inputs, transfer.destinations(), transfer.stream, transfer.waits)
            return Outputs(transfer.outputs(results), self.signature)
        finally:
            transfer.end()

    def _as_wanted(self, given: Sequence[Any]) -> bool:
        for value, (dtype, shape, spec) in zip(given, self._inputs, strict=True):
            if (
                type(value) is not _ARRAY
                or value.dtype is not dtype
                or (value.shape != shape and not spec.fits(value.shape))
                or not value.flags.c_contiguous
            ):
                return False
        return True

    def _execute(self, inputs: Sequence[Any], outputs: list[Any], stream: int | None, wait: bool) -> list[Any]:
        native = self._contexts.take()
        try:
            return native.execute(self._name, inputs, outputs, stream, wait)
        except _native.Error as error:
            raise_translated(error)
        finally:
            self._contexts.give_back(native)


def _is_plain(spec: TensorSpec) -> bool:
    """Whether numpy has it, in host memory."""
    return spec.is_tensor and spec.device == "cpu" and not spec.dtype.startswith(("bfloat", "float8", "scalar"))
