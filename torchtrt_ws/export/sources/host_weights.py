"""The weights of a program inside a host engine: taken out of it, and put back.

What XNNPACK packs is named data, under names made of its content. What other kernels read, such as an embedding table,
are constants: those become external tensors, as ExecuTorch has them. Both then come from a named data map.

Source:
    ExecuTorch 1.5.1, schema/program.fbs, and runtime/executor/tensor_parser_exec_aten.cpp, getTensorDataPtr: an
    external tensor's `data_buffer_idx` is not looked at, so it still says where the constant belongs.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from executorch.exir._serialize._cord import Cord
from executorch.exir._serialize._named_data_store import NamedDataStoreOutput
from executorch.exir._serialize._program import PTEFile, serialize_pte_binary
from executorch.exir._serialize.data_serializer import DataEntry
from executorch.exir.capture._config import ExecutorchBackendConfig
from executorch.exir.schema import Buffer, ExtraTensorInfo, Tensor, TensorDataLocation

from torchtrt_ws.blob import MAX_RANK
from torchtrt_ws.dtypes import BY_SCALAR_TYPE
from torchtrt_ws.export.engine.payload import BufferPayload
from torchtrt_ws.export.engine.weight import Weight

if TYPE_CHECKING:
    from torch.export import ExportedProgram

__all__ = ["put_back", "serialized", "take_out", "weight_names"]

SMALL = 64  # bytes; constants below are closer to code than to weights
_ALIGNMENT = 16  # of XNNPACK's named data: XNN_ALLOCATION_ALIGNMENT


def take_out(program: PTEFile, names: Mapping[str, str] | None = None) -> tuple[PTEFile, tuple[Weight, ...]]:
    """Takes the weights out of a program.

    Args:
        program: The program; not modified.
        names: SHA-256 of a constant to what it is called; others are called "constant" and a number.

    Returns:
        The program without them, and the weights by the names under which it asks for them.
    """
    stripped = copy.deepcopy(program.program)  # bytes are shared, not copied
    weights: dict[str, Weight] = {}
    if program.named_data is not None:
        for key, entry in program.named_data.pte_data.items():
            data = program.named_data.buffers[entry.buffer_index]
            weights[key] = Weight(key, "uint8", len(data), BufferPayload(data))
    taken: dict[int, str] = {}  # constant to its name
    for tensor in _constants(stripped):
        index = tensor.data_buffer_idx
        dtype = BY_SCALAR_TYPE[int(tensor.scalar_type)]
        count = math.prod(tensor.sizes)
        data = stripped.constant_buffer[index].storage[: count * dtype.nbytes]  # padding may follow
        if index not in taken:
            name = (names or {}).get(hashlib.sha256(data).hexdigest(), f"constant{index}")
            while name in weights:
                name += "_"
            taken[index] = name
            weights[name] = Weight(name, dtype.name, count, BufferPayload(data), tuple(tensor.sizes))
        elif weights[taken[index]].shape != tuple(tensor.sizes) or weights[taken[index]].dtype != dtype.name:
            name = f"{taken[index]}@{dtype.name}{list(tensor.sizes)}"  # the same bytes, seen as another tensor
            weights[name] = Weight(name, dtype.name, count, BufferPayload(data), tuple(tensor.sizes))
        else:
            name = taken[index]
        tensor.extra_tensor_info = ExtraTensorInfo(fully_qualified_name=name, location=TensorDataLocation.EXTERNAL)
    for index in taken:
        stripped.constant_buffer[index] = Buffer(storage=b"")
    return PTEFile(program=stripped, mutable_data=program.mutable_data), tuple(weights.values())


def put_back(program: PTEFile, weights: Mapping[str, bytes], tensors: Iterable[str]) -> PTEFile:
    """Puts weights back into a program.

    Args:
        program: What `take_out` returned, or what was read of it; not modified.
        weights: Name to bytes: all that it asks for.
        tensors: Which of them are constants; the others are named data.

    Returns:
        The program with its weights.
    """
    whole = copy.deepcopy(program.program)
    constants = set(tensors)
    for tensor in _tensors(whole):
        info = tensor.extra_tensor_info
        if info is not None and info.location == TensorDataLocation.EXTERNAL and info.fully_qualified_name in constants:
            whole.constant_buffer[tensor.data_buffer_idx] = Buffer(storage=weights[info.fully_qualified_name])
            tensor.extra_tensor_info = None
    named = {name: data for name, data in weights.items() if name not in constants}
    entries = {name: DataEntry(index, _ALIGNMENT, None) for index, name in enumerate(named)}
    store = NamedDataStoreOutput(list(named.values()), entries, {}) if named else None
    return PTEFile(program=whole, mutable_data=program.mutable_data, named_data=store)


def serialized(program: PTEFile) -> Cord:
    """A program as `ExecutorchProgramManager` writes it with the default config.

    Args:
        program: The program; not modified.
    """
    config = ExecutorchBackendConfig()
    return serialize_pte_binary(
        program,
        extract_delegate_segments=config.extract_delegate_segments,
        segment_alignment=config.segment_alignment,
        constant_tensor_alignment=config.constant_tensor_alignment,
        delegate_alignment=config.delegate_alignment,
    )


def weight_names(programs: Iterable[ExportedProgram]) -> dict[str, str]:
    """What the modules call their tensors.

    Args:
        programs: The methods, as they were exported.

    Returns:
        SHA-256 of the bytes of each parameter and buffer to its name, the first one where several are equal.
    """
    import torch

    found: dict[str, str] = {}
    for program in programs:
        for name, tensor in program.state_dict.items():
            is_plain = type(tensor) in (torch.Tensor, torch.nn.Parameter)  # others keep their data elsewhere
            if is_plain and tensor.is_contiguous() and tensor.nbytes >= SMALL:
                found.setdefault(hashlib.sha256(_bytes_of(tensor)).hexdigest(), name)
    return found


def _bytes_of(tensor: Any) -> memoryview:
    import torch

    flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    return memoryview(flat.numpy())


def _constants(program: Any) -> Iterator[Tensor]:
    """Tensors of the default dimension order whose data the program holds, and no delegate."""
    whole = [buffer.storage for buffer in program.constant_buffer]
    kept = {  # constants that something else needs as they are
        each.data_buffer_idx for each in _tensors(program) if each.data_buffer_idx > 0 and not _can_be_external(each)
    }
    for tensor in _tensors(program):
        index = tensor.data_buffer_idx
        if index > 0 and index not in kept and tensor.allocation_info is None and len(whole[index]) >= SMALL:
            yield tensor


def _can_be_external(tensor: Tensor) -> bool:
    dtype = BY_SCALAR_TYPE.get(int(tensor.scalar_type))
    return (
        tensor.allocation_info is not None  # an initial state, whose index is one of other data
        or (
            dtype is not None
            and math.prod(tensor.sizes) > 0
            and len(tensor.sizes) <= MAX_RANK
            and list(tensor.dim_order) == list(range(len(tensor.dim_order)))
            and tensor.extra_tensor_info is None
        )
    )


def _tensors(program: Any) -> Iterator[Tensor]:
    for plan in program.execution_plan:
        for value in plan.values:
            if isinstance(value.val, Tensor):
                yield value.val
