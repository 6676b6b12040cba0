"""One method of a loaded program, and the path of a call through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from torchtrt_ws.runtime.contexts import Contexts
from torchtrt_ws.runtime.exchange import exchange_path
from torchtrt_ws.runtime.inputs import numpy_dtype
from torchtrt_ws.runtime.native import _native, raise_translated
from torchtrt_ws.runtime.outputs import Outputs
from torchtrt_ws.runtime.signature import Signature, TensorSpec
from torchtrt_ws.runtime.transfer import Places, Transfer

__all__ = ["Method"]

_ARRAY, _EMPTY = np.ndarray, np.empty


class Method:
    """A method that can be called.

    Numpy arrays, and tensors of a library with DLPack's exchange API (torch), that are as the method wants them, where
    it wants them, take a short way with few checks; all else is a `Transfer`.

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
        self._plain = all(map(_is_plain, (*inputs, *outputs))) and all(s.planned or not s.dynamic for s in outputs)
        self._inputs = [(numpy_dtype(s.dtype), s.shape, s) for s in inputs] if self._plain else []
        self._outputs = [(None if s.dynamic else s.shape, numpy_dtype(s.dtype)) for s in outputs] if self._plain else []
        self._sized_by_run = any(spec.dynamic for spec in outputs)
        self._count = len(inputs)
        self._exchanges = _Exchanges(signature, device)

    def call(self, given: Sequence[Any], named: Mapping[str, Any], out: Any) -> Outputs:
        """Runs it; see `Program.run`.

        Args:
            given: Inputs by position.
            named: Inputs by name.
            out: Where the outputs go, or None.
        """
        if named or len(given) != self._count:
            given = self.signature.bind(given, named)
        kind = type(given[0]) if given else _ARRAY
        if kind is _ARRAY:
            if self._plain and self._as_wanted(given):
                made = self._made() if out is None else self._given(out)
                if made is not None:
                    results = self._execute(given, made, None, False)
                    if self._sized_by_run:
                        made = [result if each is None else each for each, result in zip(made, results, strict=True)]
                    return Outputs(made, self.signature)
        elif (path := self._exchanges[kind]) is not None:
            outputs = self._through(path, given, out)
            if outputs is not None:
                return Outputs(outputs, self.signature)
        transfer = Transfer(self._places, given, out)
        try:
            results = self._execute(transfer.inputs, transfer.destinations(), transfer.stream, transfer.waits)
            return Outputs(transfer.outputs(results), self.signature)
        finally:
            transfer.end()

    def release(self) -> None:
        """Frees the device memory that its calls have used."""
        self._places.release()

    def _as_wanted(self, given: Sequence[Any]) -> bool:
        for value, (dtype, shape, spec) in zip(given, self._inputs):  # noqa: B905 (as many; the keyword costs 0.2 us)
            if (
                type(value) is not _ARRAY
                or value.dtype is not dtype
                or (value.shape != shape and not spec.fits(value.shape))
                or not value.flags.c_contiguous
            ):
                return False
        return True

    def _made(self) -> list[Any]:
        """New arrays for the outputs; None where the native module makes them."""
        return [None if shape is None else _EMPTY(shape, dtype) for shape, dtype in self._outputs]

    def _given(self, out: Any) -> list[Any] | None:
        """The caller's arrays, where all of them are as the method wants them."""
        if type(out) not in (list, tuple) or len(out) != len(self._outputs):
            return None
        for value, (shape, dtype) in zip(out, self._outputs):  # noqa: B905 (as many)
            if type(value) is not _ARRAY or value.dtype is not dtype or value.shape != shape:
                return None
            flags = value.flags
            if not (flags.c_contiguous and flags.writeable):
                return None
        return list(out)

    def _through(self, path: _native.ExchangePath, given: Sequence[Any], out: Any) -> list[Any] | None:
        native = self._contexts.take()
        try:
            return path.call(native, given, out)
        except _native.Error as error:
            raise_translated(error)
        finally:
            self._contexts.give_back(native)

    def _execute(self, inputs: Sequence[Any], outputs: Sequence[Any], stream: int | None, wait: bool) -> list[Any]:
        native = self._contexts.take()
        try:
            return native.execute(self._name, inputs, outputs, stream, wait)
        except _native.Error as error:
            raise_translated(error)
        finally:
            self._contexts.give_back(native)


class _Exchanges(dict[type, "_native.ExchangePath | None"]):
    """The way for tensors of each class, looked for once; None: there is none."""

    def __init__(self, signature: Signature, device: int | None) -> None:
        super().__init__()
        self._signature, self._device = signature, device

    def __missing__(self, tensor_type: type) -> _native.ExchangePath | None:
        path = self[tensor_type] = exchange_path(tensor_type, self._signature, self._device)
        return path


def _is_plain(spec: TensorSpec) -> bool:
    """Whether numpy has it, in host memory."""
    return spec.is_tensor and spec.device == "cpu" and not spec.dtype.startswith(("bfloat", "float8", "scalar"))
