"""The short way of a call whose inputs are torch's and lie where the method wants them: nothing to copy or to look at
twice. Everything else is a `Transfer`, which comes to the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from torchtrt_ws.runtime.inputs import numpy_dtype
from torchtrt_ws.runtime.outputs import as_torch, of_dtype
from torchtrt_ws.runtime.signature import Signature, TensorSpec

__all__ = ["TorchPath"]


class TorchPath:
    """For one method.

    Args:
        torch: The module.
        signature: The method's.
        device: Where its engines are, as CUDA counts devices; None: on the host.
    """

    def __init__(self, torch: Any, signature: Signature, device: int | None) -> None:
        self._torch = torch
        # What torch's own compiled code calls: current_stream() without a new object. It is not public, and may go.
        self._raw_stream = getattr(getattr(torch, "_C", None), "_cuda_getCurrentRawStream", None)
        specs = (*signature.inputs, *signature.outputs)
        self._on_device = all(spec.device != "cpu" and not spec.planned for spec in specs)
        on_host = all(spec.device == "cpu" for spec in specs)
        self._index = device or 0
        self._device = f"cuda:{self._index}" if self._on_device else "cpu"
        #: False where this is not for the method at all.
        self.applies = (on_host or self._on_device) and all(self._dtype(spec) is not None for spec in specs)
        if self.applies:
            self._inputs = [(self._dtype(spec), spec.shape, spec) for spec in signature.inputs]
            self._outputs = [(self._maker(spec), spec.shape, spec.dtype) for spec in signature.outputs]
            self._wanted = [(self._dtype(spec), spec) for spec in signature.outputs]
            self._in_numpy = all(isinstance(make, partial) and make.func is np.empty for make, _, _ in self._outputs)

    def _dtype(self, spec: TensorSpec) -> Any:
        return getattr(self._torch, spec.dtype, None) if spec.is_tensor else None

    def _maker(self, spec: TensorSpec) -> Callable[[], Any] | None:
        """Makes the memory of an output; None: the native module does, which knows how large it is."""
        if spec.dynamic and spec.planned:
            return None
        shape, dtype = spec.shape or (), self._dtype(spec)
        if not self._on_device and not spec.dtype.startswith(("bfloat", "float8")):
            return partial(np.empty, shape, numpy_dtype(spec.dtype))  # a third of the time of torch.empty
        sizes = shape or ((),)  # as arguments of their own: half of the time of a tuple
        return partial(self._torch.empty, *sizes, dtype=dtype, device=self._torch.device(self._device))

    def inputs(self, given: Sequence[Any]) -> list[tuple[int, Any]] | None:
        """For the native module; None: some tensor is not as wanted.

        Args:
            given: One value for each input.
        """
        tensor, strided, on_device = self._torch.Tensor, self._torch.strided, self._on_device
        items = []
        for value, (dtype, shape, spec) in zip(given, self._inputs, strict=True):
            if type(value) is not tensor or value.dtype is not dtype or value.layout is not strided:
                return None
            found = value.shape  # a new object each time
            if (
                (found != shape and not spec.fits(found))
                or not value.is_contiguous()
                or value.is_neg()
                or not (value.is_cuda and value.get_device() == self._index if on_device else value.is_cpu)
            ):
                return None
            items.append((value.data_ptr(), found))
        return items

    def stream(self) -> int | None:
        """The `cudaStream_t` that torch works on now, in this thread; None for a method on the host."""
        if not self._on_device:
            return None
        if self._raw_stream is not None:
            raw: int = self._raw_stream(self._index)
            return raw
        handle: int = self._torch.cuda.current_stream(self._index).cuda_stream
        return handle

    def made(self) -> list[Any]:
        """New memory for the outputs, as large as they can be; None for those that the native module makes."""
        return [None if make is None else make() for make, _, _ in self._outputs]

    def given(self, out: Any) -> list[Any] | None:
        """The caller's memory for the outputs of a method on the device; None: some of it is not as wanted.

        Args:
            out: What the caller gave.
        """
        if not self._on_device or type(out) not in (list, tuple) or len(out) != len(self._wanted):
            return None
        for value, (dtype, spec) in zip(out, self._wanted, strict=True):
            if (
                type(value) is not self._torch.Tensor
                or value.dtype is not dtype
                or spec.dynamic
                or value.shape != spec.shape
                or value.layout is not self._torch.strided
                or not value.is_contiguous()
                or value.is_neg()
                or not (value.is_cuda and value.get_device() == self._index)
            ):
                return None
        return list(out)

    def destinations(self, made: Sequence[Any]) -> Sequence[Any]:
        """For the native module.

        Args:
            made: From `made` or `given`.
        """
        if self._on_device:
            return [(each.data_ptr(), each.nbytes) for each in made]
        if self._in_numpy:
            return made
        # Arrays, and tensors that are written to by their address.
        return [
            each if each is None or isinstance(each, np.ndarray) else (each.data_ptr(), each.nbytes, None)
            for each in made
        ]

    def outputs(self, made: Sequence[Any], results: Sequence[Any]) -> list[Any]:
        """What the caller gets.

        Args:
            made: From `made` or `given`.
            results: From the native module.
        """
        from_numpy = self._torch.from_numpy
        found = []
        for each, (make, shape, name), result in zip(made, self._outputs, results, strict=True):
            if make is None:
                each = as_torch(self._torch, of_dtype(result, name), name)
            elif isinstance(each, np.ndarray):
                each = from_numpy(each)
            if make is not None and result != shape:
                each = each.view(-1)[: math.prod(result)].view(result)
            found.append(each)
        return found
