"""The inputs and outputs of a program's methods, from its flatbuffer."""

from __future__ import annotations

from torchtrt_ws.dtypes import BY_SCALAR_TYPE
from torchtrt_ws.pte.flatbuffer import FlatbufferError, Table
from torchtrt_ws.pte.info import MethodInfo, ValueInfo
from torchtrt_ws.pte.layout import I32, U8, U32, VALUE_TYPES, Field

__all__ = ["method_info", "value_info"]


def method_info(plan: Table) -> MethodInfo:
    """A method as its ExecutionPlan has it. Names of values are not in there.

    Args:
        plan: The table.

    Raises:
        FlatbufferError: A broken program.
    """
    name = plan.text(Field.PLAN_NAME)
    if name is None:
        raise FlatbufferError("a method without a name")
    return MethodInfo(name, _values(plan, Field.PLAN_INPUTS), _values(plan, Field.PLAN_OUTPUTS))


def _values(plan: Table, field: int) -> tuple[ValueInfo, ...]:
    values, indices = plan.vector(Field.PLAN_VALUES), plan.vector(field)
    on_device = _buffers_on_a_device(plan)
    return tuple(value_info(values.table(indices.integer(item, I32)), on_device) for item in range(indices.count))


def _buffers_on_a_device(plan: Table) -> frozenset[int]:
    devices = plan.vector(Field.PLAN_BUFFER_DEVICES)
    entries = map(devices.table, range(devices.count))
    return frozenset(
        each.integer(Field.BUFFER_INDEX, I32) for each in entries if each.integer(Field.BUFFER_DEVICE_TYPE, U8) != 0
    )


def value_info(value: Table, on_device: frozenset[int] = frozenset()) -> ValueInfo:
    """What an EValue of the schema is.

    Args:
        value: Its table.
        on_device: Which of the method's planned buffers are in device memory. A tensor that is planned elsewhere is
            there, whatever device it names.
    """
    number = value.integer(Field.VALUE_TYPE, U8)
    kind = VALUE_TYPES[number] if number < len(VALUE_TYPES) else f"type {number}"
    tensor = value.table(Field.VALUE) if kind == "tensor" else None
    if tensor is None:
        return ValueInfo(kind)
    scalar_type = tensor.integer(Field.TENSOR_SCALAR_TYPE, U8)
    dtype = BY_SCALAR_TYPE.get(scalar_type)
    sizes = tensor.vector(Field.TENSOR_SIZES)
    tensor.spend(sizes.count)
    return ValueInfo(
        kind,
        dtype.name if dtype else f"scalar type {scalar_type}",
        tuple(sizes.integer(dim, I32) for dim in range(sizes.count)),
        dynamic=tensor.integer(Field.TENSOR_SHAPE_DYNAMISM, U8) != 0,
        device=_device(tensor, on_device),
        planned=tensor.find(Field.TENSOR_ALLOCATION) is not None,
    )


def _device(tensor: Table, on_device: frozenset[int]) -> str | None:
    allocation = tensor.table(Field.TENSOR_ALLOCATION)
    if allocation is not None and allocation.integer(Field.ALLOCATION_BUFFER, U32) not in on_device:
        return None
    extra = tensor.table(Field.TENSOR_EXTRA_INFO)
    if extra is None or (kind := extra.integer(Field.EXTRA_DEVICE_TYPE, U8)) == 0:
        return None
    name = "cuda" if kind == 1 else f"device type {kind}"
    return f"{name}:{extra.integer(Field.EXTRA_DEVICE_INDEX, U8)}"
