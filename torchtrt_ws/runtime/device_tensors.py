"""Tensors on a GPU: whose they are, where they lie, and the stream that their library works on. Imports no library: a
tensor of one cannot be here without it.
"""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from torchtrt_ws.errors import ProgramError, first_line
from torchtrt_ws.runtime.inputs import bits, dtype_name, numpy_dtype, torch_array
from torchtrt_ws.runtime.native import _native, translated
from torchtrt_ws.runtime.outputs import as_torch

__all__ = ["CUPY", "DLPACK", "TORCH", "DeviceTensor", "Foreign", "Library", "on_device"]

# DLPack's device types (dlpack.h): kDLCUDA, and those whose memory the host reads: kDLCPU, kDLCUDAHost, kDLROCMHost,
# kDLCUDAManaged.
_CUDA = 2
_HOST_MEMORY = (1, 3, 11, 13)
_LEGACY_STREAM = 1  # in DLPack and in CUDA (cudaStreamLegacy); a null stream is the same in CUDA


@dataclass(frozen=True)
class DeviceTensor:
    """A contiguous tensor in the memory of a CUDA device.

    Args:
        library: Whose it is.
        owner: What keeps the memory; a tensor of the library where that is not `DLPACK`.
        address: Of its first element.
        dtype: torch's name, without "torch.".
        shape: Its sizes.
        index: The device, as CUDA counts them.
    """

    library: Library
    owner: Any
    address: int
    dtype: str
    shape: tuple[int, ...]
    index: int


class Library(ABC):
    """What a library of tensors does for a call. `index` is always that of a CUDA device."""

    waits = False  # the call is over when it returns: nobody knows a stream that others follow

    @abstractmethod
    def stream(self, index: int) -> int:
        """The `cudaStream_t` that the library works on now, in this thread."""

    @abstractmethod
    def empty(self, shape: Sequence[int], dtype: str, index: int) -> DeviceTensor:
        """New memory of `shape` and `dtype`, which later work on `stream` may use."""

    @abstractmethod
    def part(self, tensor: DeviceTensor, shape: Sequence[int]) -> Any:
        """The library's own of `shape` at the start of the memory of `tensor`, which `empty` made."""

    @abstractmethod
    def to_host(self, tensor: DeviceTensor) -> np.ndarray[Any, Any]:
        """A copy of `tensor`, behind the library's work."""

    @abstractmethod
    def copy_into(self, value: Any, array: np.ndarray[Any, Any], tensor: DeviceTensor | None) -> None:
        """Copies `array`, of the same dtype and shape, into `value`, the library's own; of `DLPACK` into `tensor`."""


class _Known(Library):
    """A library whose tensors are taken as they are, without DLPack."""

    @abstractmethod
    def tensor(self, value: Any) -> DeviceTensor:
        """`value`, a tensor of the library, made contiguous."""


class _Torch(_Known):
    def stream(self, index: int) -> int:
        handle: int = sys.modules["torch"].cuda.current_stream(index).cuda_stream
        return handle

    def tensor(self, tensor: Any) -> DeviceTensor:
        tensor = tensor.detach().resolve_conj().resolve_neg().contiguous()
        index = tensor.device.index
        return DeviceTensor(self, tensor, tensor.data_ptr(), dtype_name(tensor.dtype), tuple(tensor.shape), index)

    def empty(self, shape: Sequence[int], dtype: str, index: int) -> DeviceTensor:
        torch = sys.modules["torch"]
        made = torch.empty(tuple(shape), dtype=getattr(torch, dtype), device=f"cuda:{index}")
        return DeviceTensor(self, made, made.data_ptr(), dtype, tuple(shape), index)

    def part(self, tensor: DeviceTensor, shape: Sequence[int]) -> Any:
        return tensor.owner if tensor.shape == shape else tensor.owner.view(-1)[: _count(shape)].view(tuple(shape))

    def to_host(self, tensor: DeviceTensor) -> np.ndarray[Any, Any]:
        return torch_array("a tensor", sys.modules["torch"], tensor.owner.cpu())

    def copy_into(self, value: Any, array: np.ndarray[Any, Any], tensor: DeviceTensor | None) -> None:
        value.copy_(as_torch(sys.modules["torch"], array, array.dtype.name))


class _CuPy(_Known):
    def stream(self, index: int) -> int:
        handle: int = sys.modules["cupy"].cuda.get_current_stream(index).ptr
        return handle

    def tensor(self, array: Any) -> DeviceTensor:
        array = sys.modules["cupy"].ascontiguousarray(array)
        name = dtype_name(array.dtype)
        return DeviceTensor(self, array, array.data.ptr, name, tuple(array.shape), array.device.id)

    def empty(self, shape: Sequence[int], dtype: str, index: int) -> DeviceTensor:
        cupy = sys.modules["cupy"]
        with cupy.cuda.Device(index):
            made = cupy.empty(tuple(shape), dtype=numpy_dtype(dtype))
        return DeviceTensor(self, made, made.data.ptr, dtype, tuple(shape), index)

    def part(self, tensor: DeviceTensor, shape: Sequence[int]) -> Any:
        return tensor.owner if tensor.shape == shape else tensor.owner.reshape(-1)[: _count(shape)].reshape(shape)

    def to_host(self, tensor: DeviceTensor) -> np.ndarray[Any, Any]:
        array: np.ndarray[Any, Any] = tensor.owner.get()
        return array

    def copy_into(self, value: Any, array: np.ndarray[Any, Any], tensor: DeviceTensor | None) -> None:
        value[...] = sys.modules["cupy"].asarray(array)


class _DLPack(Library):
    """Any other library: memory comes from ExecuTorch's allocator, work goes to the legacy stream, and is over when the
    call returns. So it is there for whatever stream `__dlpack__(stream=)` names."""

    waits = True

    def stream(self, index: int) -> int:
        return 0

    def imported(self, subject: str, value: Any, index: int, stream: int) -> DeviceTensor:
        """`stream`: the producer makes later work there wait for what it still writes."""
        try:
            imported = _native.Imported(value.__dlpack__(stream=stream or _LEGACY_STREAM))
        except Exception as error:  # what a foreign class raises
            found = f"{type(error).__name__}: {first_line(error)}"
            raise ProgramError(subject, found, "a tensor that DLPack can pass on", "") from error
        if not imported.contiguous:
            raise ProgramError(subject, "strides of a view", "a contiguous tensor", "Copy it in its own library first.")
        return DeviceTensor(self, imported, imported.address, imported.dtype, imported.shape, index)

    def empty(self, shape: Sequence[int], dtype: str, index: int) -> DeviceTensor:
        with translated():
            buffer = _native.DeviceBuffer(_count(shape) * numpy_dtype(dtype).itemsize, index)
        return DeviceTensor(self, buffer, buffer.address, dtype, tuple(shape), index)

    def part(self, tensor: DeviceTensor, shape: Sequence[int]) -> Any:
        return _native.as_dlpack(tensor.owner, list(shape), tensor.dtype)

    def to_host(self, tensor: DeviceTensor) -> np.ndarray[Any, Any]:
        array = np.empty(tensor.shape, numpy_dtype(tensor.dtype))
        with translated():
            _native.download(tensor.address, bits(array), tensor.index)
        return array

    def copy_into(self, value: Any, array: np.ndarray[Any, Any], tensor: DeviceTensor | None) -> None:
        assert tensor is not None
        array = bits(np.ascontiguousarray(array))
        with translated():
            _native.upload(tensor.address, array, tensor.index)


TORCH, CUPY, DLPACK = _Torch(), _CuPy(), _DLPack()


@dataclass(frozen=True)
class Foreign:
    """A value that is on a GPU, not yet taken: whose, and on which device (`index`, as CUDA counts them)."""

    subject: str
    library: Library
    value: Any
    index: int

    def take(self, library: Library, stream: int) -> DeviceTensor:
        """The tensor, for work of `library` on `stream`: what is still written to it comes first there.

        Raises:
            ProgramError: A tensor that does not pass through DLPack, or one that is not contiguous and not the
                library's own.
        """
        if self.library is library and library is not DLPACK:
            return cast(_Known, self.library).tensor(self.value)
        value = self.value.detach() if self.library is TORCH else self.value
        return DLPACK.imported(self.subject, value, self.index, stream)

    def write(self, array: np.ndarray[Any, Any]) -> None:
        """Copies an array of the same dtype and shape into it.

        Raises:
            ProgramError: As `take`.
        """
        tensor = self.take(DLPACK, 0) if self.library is DLPACK else None
        self.library.copy_into(self.value, array, tensor)


def on_device(subject: str, value: Any) -> Foreign | None:
    """A value of a call that is on a GPU; None: it is in host memory.

    Args:
        subject: What an error names.
        value: Any input or output of a call.

    Raises:
        ProgramError: A tensor on a device that is neither the host nor CUDA's, or a sparse one there.
    """
    torch, cupy = sys.modules.get("torch"), sys.modules.get("cupy")
    if torch is not None and isinstance(value, torch.Tensor):
        return _torch_on_device(subject, torch, value)
    if cupy is not None and isinstance(value, cupy.ndarray):
        return Foreign(subject, CUPY, value, value.device.id)
    if isinstance(value, np.ndarray | np.generic) or not hasattr(value, "__dlpack_device__"):
        return None
    try:
        kind, index = value.__dlpack_device__()
    except Exception as error:  # what a foreign class raises
        found = f"{type(error).__name__}: {first_line(error)}"
        raise ProgramError(subject, found, "an object that says where its memory is", "") from error
    if int(kind) in _HOST_MEMORY:
        return None
    if int(kind) != _CUDA:
        raise _refused(subject, f"DLPack device type {int(kind)}, index {index}")
    return Foreign(subject, DLPACK, value, int(index))


def _torch_on_device(subject: str, torch: Any, tensor: Any) -> Foreign | None:
    device = tensor.device
    if device.type == "cpu":
        return None
    if device.type != "cuda":
        raise _refused(subject, str(device))
    if tensor.layout is not torch.strided:
        raise ProgramError(subject, f"a tensor of layout {tensor.layout}", "a dense tensor", "Call .to_dense() first.")
    return Foreign(subject, TORCH, tensor, device.index)


def _refused(subject: str, device: str) -> ProgramError:
    expected = "one in host memory, or on the program's CUDA device"
    return ProgramError(subject, f"a tensor on {device}", expected, "Copy it there first: tensor.cpu().")


def _count(shape: Sequence[int]) -> int:
    return math.prod(shape)
