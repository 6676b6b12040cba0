"""One call whose tensors are not all plain arrays where the program wants them: what is copied, and what is not."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from torchtrt_ws.errors import ProgramError
from torchtrt_ws.runtime.device_tensors import CUPY, DLPACK, TORCH, DeviceTensor, Foreign, Library, on_device
from torchtrt_ws.runtime.inputs import bits, host_item, numpy_dtype, wrong_tensor
from torchtrt_ws.runtime.native import _native, translated
from torchtrt_ws.runtime.outputs import as_torch, of_dtype
from torchtrt_ws.runtime.signature import Signature, TensorSpec
from torchtrt_ws.runtime.targets import Target, targets

__all__ = ["Places", "Transfer"]

_LOG = logging.getLogger(__name__)


class Places:
    """Where a method's tensors are, and device memory that its calls use one after the other.

    Args:
        signature: The method's.
        device: Where its engines are, as CUDA counts devices; None: on the host.
        file: What logs call the program.
    """

    def __init__(self, signature: Signature, device: int | None, file: str) -> None:
        self.signature, self.device = signature, device
        self.uses_device = any(spec.device != "cpu" for spec in (*signature.inputs, *signature.outputs))
        self._file = file
        self._told: set[str] = set()
        self._spare: dict[int, list[_native.DeviceBuffer]] = {}  # by bytes; a list's pop and append are atomic

    def borrow(self, spec: TensorSpec) -> _native.DeviceBuffer:
        """Device memory for the largest `spec`, of a call before or new; for `give_back`."""
        nbytes = most_bytes(spec)
        spare = self._spare.setdefault(nbytes, [])
        try:
            return spare.pop()
        except IndexError:
            with translated():
                return _native.DeviceBuffer(nbytes, self.device or 0)

    def give_back(self, buffer: _native.DeviceBuffer) -> None:
        """Precondition: no work uses `buffer` any more."""
        self._spare[buffer.nbytes].append(buffer)

    def release(self) -> None:
        """Frees what no call uses."""
        for spare in list(self._spare.values()):
            spare.clear()

    def tell(self, what: str) -> None:
        """Logs `what` is copied, once."""
        if what not in self._told:
            self._told.add(what)
            _LOG.info("%s: method %r: %s in each call", self._file, self.signature.method, what)


def most_bytes(spec: TensorSpec) -> int:
    """Bytes of the largest tensor of `spec`."""
    return math.prod(spec.shape or ()) * numpy_dtype(spec.dtype).itemsize


class Transfer:
    """Inputs and outputs of one call.

    Outputs are where the inputs are, of the same library: on the device if one of these is, else in host memory.

    Args:
        places: Of the method.
        given: One value for each input.
        out: As `targets` takes it.
    """

    def __init__(self, places: Places, given: Sequence[Any], out: Any) -> None:
        self._places = places
        signature = places.signature
        self._targets = targets(signature, out)
        subjects = [f"input {spec.name!r} of {signature.method!r}" for spec in signature.inputs]
        foreign = [on_device(subject, value) for subject, value in zip(subjects, given, strict=True)]
        self._check_devices([*foreign, *(target.foreign for target in self._targets if target)])
        self._caller = next((each.library for each in foreign if each), None)  # None: in host memory
        self._index = next((each.index for each in foreign if each), 0) if places.device is None else places.device
        self._torch = _torch_of(given)
        library = self._caller or next((t.foreign.library for t in self._targets if t and t.foreign), DLPACK)
        self._library: Library = library
        #: The `cudaStream_t` of the call; None: the engine's own.
        self.stream = library.stream(self._index) if places.uses_device and not library.waits else None
        #: Whether the call must be over when it returns.
        self.waits = library.waits
        self._borrowed: list[_native.DeviceBuffer] = []
        self._kept: list[Any] = []  # whose memory the run reads
        self._landings: list[DeviceTensor | _native.DeviceBuffer | np.ndarray[Any, Any] | None] = []
        #: For the native module.
        self.inputs: list[Any] = []
        try:
            for subject, value, each, spec in zip(subjects, given, foreign, signature.inputs, strict=True):
                self.inputs.append(self._input(subject, value, each, spec))
        except BaseException:
            self.end()
            raise

    def _check_devices(self, foreign: Sequence[Foreign | None]) -> None:
        device = self._places.device
        for each in foreign:
            if each is None:
                continue
            if device is not None and each.index != device:
                raise ProgramError(
                    each.subject,
                    f"a tensor on cuda:{each.index}",
                    f"one on cuda:{device}, where the engine is, or in host memory",
                    f"Copy it there, or load the program with device_id={each.index}.",
                )
            if device is None and each.library is DLPACK:  # nobody here can copy it
                raise ProgramError(
                    each.subject,
                    f"a tensor on DLPack device type 2, index {each.index}",
                    "one in host memory, where the engine is",
                    "Copy it there first: tensor.cpu().",
                )

    def _input(self, subject: str, value: Any, foreign: Foreign | None, spec: TensorSpec) -> Any:
        if foreign is None:
            item = host_item(subject, value, spec)
            return item if spec.device == "cpu" else self._uploaded(subject, item, spec)
        if not spec.is_tensor:
            raise ProgramError(subject, "a tensor", f"a number of type {spec.dtype}", "Pass a number.")
        tensor = foreign.take(self._library, self.stream or 0)
        self._keep(tensor)
        if tensor.dtype != spec.dtype or not spec.fits(tensor.shape):
            raise wrong_tensor(subject, tensor.dtype, tensor.shape, spec)
        if spec.device != "cpu":
            _check_not_planned(subject, spec)
            return tensor.address, tensor.shape
        self._places.tell("inputs on the device are copied to the host, where the program wants them,")
        return bits(np.ascontiguousarray(tensor.library.to_host(tensor)))

    def _uploaded(self, subject: str, array: np.ndarray[Any, Any], spec: TensorSpec) -> tuple[int, tuple[int, ...]]:
        _check_not_planned(subject, spec)
        self._places.tell("inputs in host memory are copied to the device, where the program wants them,")
        buffer = self._borrow(spec)
        with translated():
            _native.upload(buffer.address, array, buffer.device)
        return buffer.address, array.shape

    def _keep(self, tensor: DeviceTensor) -> DeviceTensor:
        if tensor.library is not self._library:
            self.waits = True  # its library may give the memory away before this stream has got there
        self._kept.append(tensor)
        return tensor

    def _borrow(self, spec: TensorSpec) -> _native.DeviceBuffer:
        buffer = self._places.borrow(spec)
        self._borrowed.append(buffer)
        self.waits = True  # the next call writes to it
        return buffer

    def destinations(self) -> list[Any]:
        """Where the run writes, for the native module."""
        items: list[Any] = []
        for spec, target in zip(self._places.signature.outputs, self._targets, strict=True):
            landing = self._landing(spec, target)
            self._landings.append(landing)
            if landing is None:
                items.append(None)
            elif isinstance(landing, np.ndarray) and spec.device != "cpu":
                items.append((bits(landing), self._index))  # from the program's own memory there
            elif isinstance(landing, np.ndarray):
                items.append(bits(landing))
            else:
                items.append((landing.address, most_bytes(spec)))
        return items

    def _landing(
        self, spec: TensorSpec, target: Target | None
    ) -> DeviceTensor | _native.DeviceBuffer | np.ndarray[Any, Any] | None:
        if not spec.is_tensor:
            return None
        if spec.device != "cpu" and not spec.planned:
            if target and target.foreign and target.is_direct:
                return self._keep(target.foreign.take(self._library, self.stream or 0))
            to_device = target.foreign is not None if target else self._caller is not None
            if not to_device:
                return self._borrow(spec)
            return self._library.empty(spec.shape or (), spec.dtype, self._index)
        if target and target.array is not None and target.is_direct:
            return target.array
        if spec.dynamic and spec.planned and spec.device == "cpu":
            return None  # the native module knows the size when it is over
        return np.empty(spec.shape or (), numpy_dtype(spec.dtype))

    def outputs(self, results: Sequence[Any]) -> list[Any]:
        """What the caller gets.

        Args:
            results: From the native module.
        """
        specs = self._places.signature.outputs
        return [
            self._output(spec, target, landing, result) if spec.is_tensor else result
            for spec, target, landing, result in zip(specs, self._targets, self._landings, results, strict=True)
        ]

    def _output(self, spec: TensorSpec, target: Target | None, landing: Any, result: Any) -> Any:
        if isinstance(landing, DeviceTensor):
            return self._from_device(target, landing, result)
        if landing is None:
            array = of_dtype(result, spec.dtype)
        elif isinstance(landing, np.ndarray):
            array = landing if landing.shape == result else landing.reshape(-1)[: math.prod(result)].reshape(result)
        else:
            self._places.tell("outputs on the device are copied to the host, where the inputs are,")
            array = np.empty(result, numpy_dtype(spec.dtype))
            with translated():
                _native.download(landing.address, bits(array), landing.device)
        return self._from_host(spec, target, array)

    def _from_device(self, target: Target | None, landing: DeviceTensor, shape: tuple[int, ...]) -> Any:
        if target is None:
            return landing.library.part(landing, shape)
        if target.is_direct:
            return target.value
        target.check_shape(shape)
        theirs = target.foreign.library if target.foreign else None
        if self._library is theirs is TORCH:
            target.value.copy_(self._library.part(landing, shape))
        elif self._library is theirs is CUPY:
            target.value[...] = self._library.part(landing, shape)
        else:
            raise ProgramError(
                target.subject,
                "memory of a library that cannot be told to copy",
                "an output whose shape does not vary",
                "Leave it out.",
            )
        return target.value

    def _from_host(self, spec: TensorSpec, target: Target | None, array: np.ndarray[Any, Any]) -> Any:
        if target is not None:
            target.check_shape(array.shape)
            if target.foreign is not None:
                self._places.tell("outputs are copied to the device, where out= wants them,")
                target.foreign.write(array)
            elif target.array is not None and target.array is not array:
                np.copyto(target.array, array)
            return target.value
        if self._caller is not None:
            self._places.tell("outputs in host memory are copied to the device, where the inputs are,")
            made = self._library.empty(array.shape, spec.dtype, self._index)
            self._library.copy_into(made.owner, array, made)
            return self._library.part(made, array.shape)
        return array if self._torch is None else as_torch(self._torch, array, spec.dtype)

    def end(self) -> None:
        """The call is over."""
        for buffer in self._borrowed:
            self._places.give_back(buffer)
        self._borrowed.clear()


def _check_not_planned(subject: str, spec: TensorSpec) -> None:
    """ExecuTorch fills inputs that it plans with memcpy (1.5.1), which would end the process."""
    if spec.planned:
        next_step = "Save it with alloc_graph_input=False (torchtrt_ws.save does so for device_io=True)."
        raise ProgramError(subject, "an input that the program plans in device memory", "one that is not", next_step)


def _torch_of(values: Sequence[Any]) -> Any:
    """The module torch where one of the values is its tensor."""
    torch = sys.modules.get("torch")  # a torch tensor cannot be here without it
    return torch if torch is not None and any(isinstance(value, torch.Tensor) for value in values) else None
