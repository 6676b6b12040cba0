"""What the measured calls are given: the caller's tensors, or zeros at one or several batch sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np

from torchtrt_ws.errors import ProgramError
from torchtrt_ws.pte import ProgramInfo, TensorInfo
from torchtrt_ws.runtime import Program, TensorSpec
from torchtrt_ws.runtime.inputs import numpy_dtype

__all__ = ["BatchDimension", "CallInputs", "batch_dimension", "call_inputs", "method_batch_dimension"]

_CHANGE = "Give another --batch, or none for the largest."


@dataclass(frozen=True)
class BatchDimension:
    """The first dynamic dimension that all dynamic inputs of a method share.

    Args:
        index: Which dimension of each.
        low: Its least size.
        high: Its largest.
        inputs: Positions of the inputs that have it.
    """

    index: int
    low: int
    high: int
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class CallInputs:
    """What one call of each measured method is given.

    Args:
        batch: The size of the batch dimension; None if there is none.
        of: Method to its tensors, in order.
    """

    batch: int | None
    of: Mapping[str, Sequence[Any]]


def batch_dimension(specs: Sequence[TensorSpec], tensors: Sequence[TensorInfo]) -> BatchDimension | None:
    """Finds the batch dimension of a method. Pure.

    A method's signature has upper bounds only. Which dimensions vary, and from where, the engines' records say: of a
    tensor with the input's name, or else the only one of its bounds.

    Args:
        specs: The method's inputs.
        tensors: The inputs of its engines, as the file records them.

    Returns:
        The dimension; None where no input is dynamic, the file does not say which of its dimensions, or no dimension
        is dynamic in all of them.
    """
    found: list[tuple[int, TensorInfo]] = []
    for position, spec in enumerate(specs):
        if not (spec.dynamic and spec.shape):
            continue
        tensor = _recorded(spec, tensors)
        if tensor is None:
            return None
        found.append((position, tensor))
    if not found:
        return None
    for index in range(min(len(tensor.shape or ()) for _, tensor in found)):
        if all(tensor.shape and tensor.shape[index] == -1 for _, tensor in found):
            low = max(tensor.min[index] for _, tensor in found if tensor.min)
            high = min(tensor.max[index] for _, tensor in found if tensor.max)
            return BatchDimension(index, low, high, tuple(position for position, _ in found)) if low <= high else None
    return None


def call_inputs(
    program: Program,
    info: ProgramInfo,
    methods: Sequence[str],
    given: Sequence[Any] | None,
    batches: Sequence[int] | None,
) -> list[CallInputs]:
    """The inputs of all calls, one set for each batch size.

    Args:
        program: The loaded program.
        info: What its file says.
        methods: Which of its methods are called.
        given: The tensors of the only method, in order; None for zeros.
        batches: Sizes of the batch dimension of all methods, for zeros; None for their upper bounds.

    Raises:
        ProgramError: Tensors for several methods, or beside batch sizes; no batch dimension; a size that it does not
            have, or twice.
    """
    dimensions = {method: method_batch_dimension(program, info, method) for method in methods}
    if given is not None:
        if len(methods) != 1:
            raise ProgramError(
                "inputs", f"{len(methods)} methods: {', '.join(methods)}", "one that they are for", "Name the method."
            )
        if batches:
            raise ProgramError(
                "batch", "batch sizes and inputs", "one of the two", "The inputs' shapes say what the batch is."
            )
        typed = [_typed(value, spec) for value, spec in zip_longest(given, program.signature(methods[0]).inputs)]
        return [CallInputs(_batch_of(given, dimensions[methods[0]]), {methods[0]: typed[: len(given)]})]
    if not batches:
        highs = {None if dimension is None else dimension.high for dimension in dimensions.values()}
        batch = highs.pop() if len(highs) == 1 else None  # of several there is no one number
        return [CallInputs(batch, {method: program.zeros(method) for method in methods})]
    if len(set(batches)) < len(batches):
        raise ProgramError("batch", ", ".join(map(str, batches)), "each size once", _CHANGE)
    return [
        CallInputs(batch, {method: _zeros(program, method, dimensions[method], batch) for method in methods})
        for batch in batches
    ]


def method_batch_dimension(program: Program, info: ProgramInfo, method: str) -> BatchDimension | None:
    """`batch_dimension` of a method.

    Args:
        program: The loaded program.
        info: What its file says.
        method: Its name.
    """
    tensors = [tensor for engine in info.engines if engine.method == method for tensor in engine.inputs]
    return batch_dimension(program.signature(method).inputs, tensors)


def _recorded(spec: TensorSpec, tensors: Sequence[TensorInfo]) -> TensorInfo | None:
    """What the file says of an input's dimensions."""
    fitting = [tensor for tensor in tensors if tensor.shape and tensor.min and tensor.max == spec.shape]
    named = [tensor for tensor in fitting if tensor.name == spec.name]
    bounds = {(tensor.shape, tensor.min) for tensor in fitting}
    return named[0] if named else fitting[0] if len(bounds) == 1 else None


def _batch_of(given: Sequence[Any], dimension: BatchDimension | None) -> int | None:
    if dimension is None:
        return None
    shape = np.shape(given[dimension.inputs[0]]) if dimension.inputs[0] < len(given) else ()
    return int(shape[dimension.index]) if dimension.index < len(shape) and shape[dimension.index] > 0 else None


def _typed(value: Any, spec: TensorSpec | None) -> Any:
    """numpy's files have no bfloat16 and float8: plain bytes of that size stand for them."""
    if spec is None or spec.shape is None or not isinstance(value, np.ndarray) or value.dtype.kind != "V":
        return value
    wanted = numpy_dtype(spec.dtype)
    return value.view(wanted) if wanted is not None and wanted.itemsize == value.itemsize else value


def _zeros(program: Program, method: str, dimension: BatchDimension | None, batch: int) -> list[Any]:
    subject = f"batch of method {method!r}"
    if dimension is None:
        expected = "inputs that share a dynamic dimension, whose bounds the file records"
        raise ProgramError(subject, f"{batch}, and no such dimension", expected, "Leave --batch out, or give --input.")
    if not dimension.low <= batch <= dimension.high:
        expected = f"{dimension.low} to {dimension.high}, what dimension {dimension.index} of its inputs may be"
        raise ProgramError(subject, str(batch), expected, _CHANGE)
    arrays = program.zeros(method)
    for position in dimension.inputs:
        shape = list(arrays[position].shape)
        shape[dimension.index] = batch
        arrays[position] = np.zeros(shape, arrays[position].dtype)
    return arrays
