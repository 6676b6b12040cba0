"""What stands in for torch and CuPy on a GPU: as much of them as a program touches, over the memory and the streams of
CUDA's stand-in. And a library that nobody knows, with DLPack alone.
"""

from __future__ import annotations

import ctypes
import math
import sys
import types
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

H2D, D2H, D2D = 1, 2, 3


def cudart() -> ctypes.CDLL:
    """The stand-in, as the adapter has it."""
    names = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "libcudart" in line}
    assert len(names) == 1, names
    library = ctypes.CDLL(names.pop())
    library.standin_bytes.restype = library.standin_calls.restype = ctypes.c_int64
    return library


class Card:
    """One device, with the calls that a library of tensors makes. They are exempt from the stand-in's counters."""

    def __init__(self, index: int = 0) -> None:
        self.index, self.library = index, cudart()
        self.pinned: list[Any] = []

    def call(self, name: str, *arguments: Any) -> None:
        self.library.standin_exempt(1)
        before = ctypes.c_int()
        assert self.library.cudaGetDevice(ctypes.byref(before)) == 0
        assert self.library.cudaSetDevice(self.index) == 0
        error = getattr(self.library, name)(*arguments)
        assert self.library.cudaSetDevice(before) == 0
        self.library.standin_exempt(0)
        assert error == 0, f"{name}: {error}"

    def allocate(self, nbytes: int) -> int:
        pointer = ctypes.c_void_p()
        self.call("cudaMalloc", ctypes.byref(pointer), ctypes.c_size_t(max(nbytes, 1)))
        assert pointer.value is not None
        return pointer.value

    def free(self, address: int) -> None:
        self.call("cudaFree", ctypes.c_void_p(address))

    def stream(self) -> int:
        """A new one that does not wait for the legacy stream."""
        handle = ctypes.c_void_p()
        self.call("cudaStreamCreateWithFlags", ctypes.byref(handle), 1)
        assert handle.value is not None
        return handle.value

    def wait(self, stream: int) -> None:
        self.call("cudaStreamSynchronize", ctypes.c_void_p(stream))

    def order(self, first: int, then: int) -> None:
        """What comes on `then` waits for what is on `first`."""
        event = ctypes.c_void_p()
        self.call("cudaEventCreateWithFlags", ctypes.byref(event), 2)
        self.call("cudaEventRecord", event, ctypes.c_void_p(first))
        self.call("cudaStreamWaitEvent", ctypes.c_void_p(then), event, 0)

    def write(self, address: int, array: np.ndarray, stream: int) -> None:
        """From pinned memory: the stand-in copies when somebody waits for the stream, and no sooner."""
        pinned = ctypes.c_void_p()
        self.call("cudaMallocHost", ctypes.byref(pinned), ctypes.c_size_t(max(array.nbytes, 1)))
        assert pinned.value is not None
        ctypes.memmove(pinned.value, np.ascontiguousarray(array).ctypes.data, array.nbytes)
        self.copy(address, pinned.value, array.nbytes, H2D, stream)

    def copy(self, to: int, origin: int, nbytes: int, kind: int, stream: int) -> None:
        arguments = ctypes.c_void_p(to), ctypes.c_void_p(origin), ctypes.c_size_t(nbytes), kind, ctypes.c_void_p(stream)
        if nbytes:
            self.call("cudaMemcpyAsync", *arguments)

    def read(self, address: int, shape: tuple[int, ...], dtype: Any, stream: int) -> np.ndarray:
        """Behind what is on the stream."""
        array = np.empty(shape, dtype)
        self.copy(array.ctypes.data, address, array.nbytes, D2H, stream)
        self.wait(stream)
        return array


class Memory:
    """Of a device, freed with its last tensor."""

    def __init__(self, card: Card, nbytes: int) -> None:
        self.card, self.address = card, card.allocate(nbytes)

    def __del__(self) -> None:
        self.card.free(self.address)


class Dtype:
    """As torch's: its text is "torch.float32"."""

    def __init__(self, name: str, numpy: Any) -> None:
        self.text, self.numpy = f"torch.{name}", np.dtype(numpy)

    def __str__(self) -> str:
        return self.text


class Device:
    def __init__(self, kind: str, index: int | None) -> None:
        self.type, self.index = kind, index

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"


class Tensor:
    """A contiguous torch tensor, on a card or (`array`) in host memory."""

    layout = "strided"

    def __init__(self, torch: Any, dtype: Dtype, shape: Any, memory: Memory | None, array: np.ndarray | None) -> None:
        self.torch, self.dtype, self.shape, self.memory, self.array = torch, dtype, tuple(shape), memory, array
        self.device = Device("cpu", None) if memory is None else Device("cuda", memory.card.index)
        self.transposed = False

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0) if self.device.index is None else (2, self.device.index)

    def __dlpack__(self, *, stream: int | None = None) -> Any:
        """As torch does: the consumer's stream waits for torch's."""
        from torchtrt_ws import _native

        assert self.memory is not None and stream is not None and stream != 0
        self.memory.card.order(self.torch.streams[self.device.index], 0 if stream == 1 else stream)
        self.torch.passed_on.append(stream)
        return _native.as_dlpack(Held(self), list(self.shape), str(self.dtype)[6:]).__dlpack__()

    def data_ptr(self) -> int:
        return self.memory.address if self.memory is not None else self.array.ctypes.data  # type: ignore[union-attr]

    def detach(self) -> Tensor:
        return self

    resolve_conj = resolve_neg = detach

    def is_conj(self) -> bool:
        return False

    is_neg = is_conj

    def is_contiguous(self) -> bool:
        return not self.transposed

    def contiguous(self) -> Tensor:
        """A view is copied on the current stream."""
        if not self.transposed:
            return self
        return self.torch.cuda_tensor(self.numpy().T, self.device.index)

    def get_device(self) -> int:
        assert self.device.index is not None
        return self.device.index

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"

    @property
    def is_cpu(self) -> bool:
        return self.device.type == "cpu"

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.element_size()

    def element_size(self) -> int:
        return self.dtype.numpy.itemsize

    def view(self, *shape: Any) -> Tensor:
        if shape and isinstance(shape[0], Dtype):
            array = None if self.array is None else self.array.view(shape[0].numpy)
            return Tensor(self.torch, shape[0], self.shape, self.memory, array)
        sizes = shape[0] if shape and isinstance(shape[0], tuple) else shape
        if sizes == (-1,):
            sizes = (math.prod(self.shape),)
        return Tensor(self.torch, self.dtype, sizes, self.memory, self.array)

    def __getitem__(self, part: slice) -> Tensor:
        assert part.start is None and len(self.shape) == 1
        return Tensor(self.torch, self.dtype, (part.stop,), self.memory, self.array)

    def numpy(self, force: bool = False) -> np.ndarray:
        if self.array is not None:
            return self.array
        assert self.memory is not None
        stream = self.torch.streams[self.device.index]
        return self.memory.card.read(self.memory.address, self.shape, self.dtype.numpy, stream)

    def cpu(self) -> Tensor:
        return self.torch.from_numpy(self.numpy())

    def copy_(self, other: Tensor) -> None:
        stream = self.torch.streams[self.device.index]
        assert self.memory is not None and self.shape == other.shape
        if other.memory is None:
            self.memory.card.write(self.memory.address, other.numpy(), stream)
        else:
            nbytes = math.prod(self.shape) * self.element_size()
            self.memory.card.copy(self.memory.address, other.memory.address, nbytes, D2D, stream)


class Exchange:
    """torch's `__dlpack_c_exchange_api__`, of `Tensor`: dlpack.h of DLPack 1.3. `calls` counts what the native module
    asks for.
    """

    class DLTensor(ctypes.Structure):
        _fields_ = [
            ("data", ctypes.c_void_p),
            ("device", ctypes.c_int32 * 2),
            ("ndim", ctypes.c_int32),
            ("code", ctypes.c_uint8),
            ("bits", ctypes.c_uint8),
            ("lanes", ctypes.c_uint16),
            ("shape", ctypes.POINTER(ctypes.c_int64)),
            ("strides", ctypes.POINTER(ctypes.c_int64)),
            ("byte_offset", ctypes.c_uint64),
        ]

    class Managed(ctypes.Structure):
        pass

    class Table(ctypes.Structure):
        pass

    CODES: ClassVar = {"i": 0, "u": 1, "f": 2, "bfloat16": 4, "float8_e4m3fn": 10}

    def __init__(self, torch: Any, major: int = 1) -> None:
        pointer, pointers = ctypes.POINTER, ctypes.POINTER(ctypes.c_void_p)
        tensor, managed = pointer(self.DLTensor), pointer(self.Managed)
        self.torch = torch
        self.calls = dict.fromkeys(("allocate", "to_python", "look", "stream"), 0)
        self.refuse: set[str] = set()  # functions that fail from now on
        self.made: dict[int, tuple[Any, ...]] = {}  # by address: the managed tensor, what it is made of, the tensor
        end = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
        self._end = end(lambda address: self.made.pop(address) and None)
        if not hasattr(self.Managed, "_fields_"):
            self.Managed._fields_ = [
                ("version", ctypes.c_uint32 * 2),
                ("manager", ctypes.c_void_p),
                ("deleter", end),
                ("flags", ctypes.c_uint64),
                ("tensor", self.DLTensor),
            ]
            self.Table._fields_ = [
                ("version", ctypes.c_uint32 * 2),
                ("previous", ctypes.c_void_p),
                ("allocate", ctypes.CFUNCTYPE(ctypes.c_int, tensor, pointers, ctypes.c_void_p, ctypes.c_void_p)),
                ("own", ctypes.c_void_p),
                ("to_python", ctypes.CFUNCTYPE(ctypes.c_int, managed, pointers)),
                ("look", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, tensor)),
                ("stream", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int32, ctypes.c_int32, pointers)),
            ]
        self.table = self.Table(version=(major, 3))
        for name in self.calls:
            kind = dict(self.Table._fields_)[name]  # type: ignore[arg-type]
            setattr(self.table, name, kind(self._guarded(name, getattr(self, f"_{name}"))))
        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        self.capsule = new(ctypes.addressof(self.table), b"dlpack_exchange_api", None)

    def _guarded(self, name: str, function: Any) -> Any:
        def call(*arguments: Any) -> int:
            self.calls[name] += 1
            if name in self.refuse:
                return -1
            function(*arguments)
            return 0

        return call

    def _fill(self, to: Any, value: Tensor) -> tuple[Any, ...]:
        """`to`, a DLTensor, says what `value` is; returns what has to live meanwhile."""
        count, index = len(value.shape), value.device.index
        steps = [math.prod(value.shape[i + 1 :]) for i in range(count)]
        shape = (ctypes.c_int64 * count)(*value.shape)
        strides = (ctypes.c_int64 * count)(*(reversed(steps) if value.transposed else steps))
        to.data, to.ndim = value.data_ptr(), count
        to.device[:] = (1, 0) if index is None else (2, index)
        to.code, to.bits, to.lanes = *self._code(value.dtype), 1
        to.shape, to.strides, to.byte_offset = shape, strides, 0
        return shape, strides

    def _code(self, dtype: Dtype) -> tuple[int, int]:
        """DLPack's, and the bits."""
        code = self.CODES.get(dtype.numpy.name)
        return self.CODES[dtype.numpy.kind] if code is None else code, 8 * dtype.numpy.itemsize

    def _look(self, value: int, seen: Any) -> None:
        found = ctypes.cast(value, ctypes.py_object).value
        found.seen = self._fill(seen.contents, found)

    def _stream(self, kind: int, index: int, stream: Any) -> None:
        assert kind == 2
        stream[0] = self.torch.streams[index]

    def _allocate(self, prototype: Any, made: Any, context: Any, set_error: Any) -> None:
        wanted = prototype.contents
        dtype = next(
            each
            for each in vars(self.torch).values()
            if isinstance(each, Dtype) and self._code(each) == (wanted.code, wanted.bits)
        )
        device = f"cuda:{wanted.device[1]}" if wanted.device[0] == 2 else "cpu"
        value = self.torch.empty(tuple(wanted.shape[: wanted.ndim]), dtype=dtype, device=device)
        managed = self.Managed(version=(1, 3), deleter=self._end)
        self.made[ctypes.addressof(managed)] = managed, self._fill(managed.tensor, value), value
        made[0] = ctypes.addressof(managed)

    def _to_python(self, managed: Any, found: Any) -> None:
        address = ctypes.addressof(managed.contents)
        if address in self.made:
            value = self.made.pop(address)[2]
        else:  # the native module's own
            theirs = managed.contents.tensor
            assert theirs.device[0] == 2 and [theirs.strides[theirs.ndim - 1]] == [1]
            memory = Passed(managed, Card(theirs.device[1]))
            value = Tensor(self.torch, self.torch.float32, theirs.shape[: theirs.ndim], memory, None)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))
        found[0] = id(value)


class Passed(Memory):
    """Memory that came with a managed tensor, which ends with it."""

    def __init__(self, managed: Any, card: Card) -> None:
        self.managed, self.card, self.address = managed, card, managed.contents.tensor.data

    def __del__(self) -> None:
        self.managed.contents.deleter(ctypes.addressof(self.managed.contents))


class Held:
    """What `_native.as_dlpack` takes for a buffer is a class of its own: so tensors pass through one of those."""

    def __new__(cls, tensor: Tensor) -> Any:
        from torchtrt_ws import _native

        assert tensor.memory is not None
        nbytes = math.prod(tensor.shape) * tensor.element_size()
        buffer = _native.DeviceBuffer(nbytes, tensor.device.index or 0)
        stream = tensor.torch.streams[tensor.device.index]
        tensor.memory.card.copy(buffer.address, tensor.memory.address, nbytes, D2D, stream)
        return buffer


def torch(cards: list[Card], exchange: bool = True) -> Any:
    """The module, and in sys.modules from now on. Its current streams are `streams`, by device. `exchange`: with
    DLPack's exchange API, which older ones lack."""
    import ml_dtypes

    module: Any = types.ModuleType("torch")
    module.strided, module.Tensor, module.passed_on = "strided", Tensor, []
    module.streams = {card.index: card.stream() for card in cards}
    module.cuda = types.SimpleNamespace(
        current_stream=lambda index: types.SimpleNamespace(cuda_stream=module.streams[index])
    )
    for name in ("float32", "float64", "int64", "int16", "uint8"):
        setattr(module, name, Dtype(name, name))
    for name in ("bfloat16", "float8_e4m3fn"):
        setattr(module, name, Dtype(name, getattr(ml_dtypes, name)))

    def empty(*sizes: Any, dtype: Dtype, device: Any) -> Tensor:
        shape, device = sizes[0] if isinstance(sizes[0], tuple) else sizes, str(device)
        if device == "cpu":
            return Tensor(module, dtype, shape, None, np.empty(shape, dtype.numpy))
        card = cards[int(device.removeprefix("cuda:"))]
        return Tensor(module, dtype, shape, Memory(card, math.prod(shape) * dtype.numpy.itemsize), None)

    def cuda_tensor(array: np.ndarray, index: int = 0) -> Tensor:
        """A tensor that torch writes on its current stream: it is there when that is waited for, and no sooner."""
        made = empty(array.shape, dtype=getattr(module, array.dtype.name), device=f"cuda:{index}")
        assert made.memory is not None
        cards[index].write(made.memory.address, array, module.streams[index])
        return made

    module.device = str
    module.empty, module.cuda_tensor = empty, cuda_tensor
    module.from_numpy = lambda array: Tensor(module, getattr(module, array.dtype.name), array.shape, None, array)
    if exchange:
        module.exchange = Exchange(module)
        Tensor.__dlpack_c_exchange_api__ = module.exchange.capsule  # type: ignore[attr-defined]
    sys.modules["torch"] = module
    return module


class CuPyArray:
    """A contiguous CuPy array."""

    def __init__(self, cupy: Any, memory: Memory, shape: Any, dtype: Any) -> None:
        self.cupy, self.memory, self.shape, self.dtype = cupy, memory, tuple(shape), np.dtype(dtype)
        self.data = types.SimpleNamespace(ptr=memory.address)
        self.device = types.SimpleNamespace(id=memory.card.index)
        self.flags = types.SimpleNamespace(c_contiguous=True)

    def reshape(self, *shape: Any) -> CuPyArray:
        sizes = shape[0] if isinstance(shape[0], tuple) else shape
        return CuPyArray(self.cupy, self.memory, (math.prod(self.shape),) if sizes == (-1,) else sizes, self.dtype)

    def __getitem__(self, part: slice) -> CuPyArray:
        return CuPyArray(self.cupy, self.memory, (part.stop,), self.dtype)

    def __setitem__(self, part: Any, other: CuPyArray) -> None:
        assert part is Ellipsis and self.shape == other.shape
        nbytes = math.prod(self.shape) * self.dtype.itemsize
        self.memory.card.copy(self.data.ptr, other.data.ptr, nbytes, D2D, self.cupy.stream)

    def get(self) -> np.ndarray:
        return self.memory.card.read(self.data.ptr, self.shape, self.dtype, self.cupy.stream)


def cupy(card: Card) -> Any:
    """The module, and in sys.modules from now on. Its current stream is `stream`."""
    from contextlib import nullcontext

    module: Any = types.ModuleType("cupy")
    module.ndarray, module.stream = CuPyArray, card.stream()
    module.ascontiguousarray = lambda array: array
    module.cuda = types.SimpleNamespace(
        get_current_stream=lambda index: types.SimpleNamespace(ptr=module.stream), Device=lambda index: nullcontext()
    )

    def empty(shape: Any, dtype: Any) -> CuPyArray:
        return CuPyArray(module, Memory(card, math.prod(shape) * np.dtype(dtype).itemsize), shape, dtype)

    def asarray(array: np.ndarray) -> CuPyArray:
        made = empty(array.shape, array.dtype)
        card.write(made.data.ptr, array, module.stream)
        return made

    module.empty, module.asarray = empty, asarray
    sys.modules["cupy"] = module
    return module


class Unknown:
    """A tensor of a library that nobody knows, which is written late on a stream of its own."""

    def __init__(self, card: Card, array: np.ndarray) -> None:
        from torchtrt_ws import _native

        self.card, self.shape, self.dtype, self.stream = card, array.shape, array.dtype, card.stream()
        self.buffer = _native.DeviceBuffer(array.nbytes, card.index)
        self.asked: list[int | None] = []
        card.write(self.buffer.address, array, self.stream)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.card.index

    def __dlpack__(self, *, stream: int | None = None) -> Any:
        from torchtrt_ws import _native

        self.asked.append(stream)
        assert stream is not None and stream != 0, "DLPack's number of the legacy stream is 1"
        self.card.order(self.stream, 0 if stream == 1 else stream)
        return _native.as_dlpack(self.buffer, list(self.shape), self.dtype.name).__dlpack__()

    def read(self) -> np.ndarray:
        return self.card.read(self.buffer.address, self.shape, self.dtype, self.stream)
