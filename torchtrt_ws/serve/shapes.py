"""Which dimensions of a method's inputs and outputs vary, and whether requests can be joined along the first."""

from __future__ import annotations

from dataclasses import dataclass

from torchtrt_ws.pte import MethodInfo, ProgramInfo, ValueInfo

__all__ = ["Shapes", "method_shapes"]


@dataclass(frozen=True)
class Shapes:
    """Shapes of a method, in its order, with -1 for a dimension that varies.

    Args:
        inputs: One for each input; (1,) for a number.
        outputs: One for each output.
        keeps_state: Whether a call changes what the next one sees.
        max_batch: The upper bound of the first dimension, where all tensors have it and it varies in all alike: rows
            of several requests then go into one call. None: they do not.
    """

    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]
    keeps_state: bool
    max_batch: int | None


def method_shapes(report: ProgramInfo, method: MethodInfo) -> Shapes:
    """The shapes of a method.

    A program records upper bounds; which dimension varies is told by the engine that takes or gives the tensor. Of a
    tensor for which no engine tells, all dimensions are taken to vary, and requests are not joined.

    Args:
        report: Of the file.
        method: One of its methods.
    """
    engines = [engine for engine in report.engines if engine.method == method.name]
    told = {
        (role, tensor.name): tensor.shape
        for engine in engines
        for role, tensors in (("input", engine.inputs), ("output", engine.outputs))
        for tensor in tensors
        if tensor.shape is not None
    }

    def shape(role: str, value: ValueInfo) -> tuple[int, ...]:
        if value.shape is None:
            return (1,)
        if not value.dynamic:
            return value.shape
        found = told.get((role, value.name or ""), ())
        return found if len(found) == len(value.shape) else (-1,) * len(value.shape)

    inputs = tuple(shape("input", value) for value in method.inputs)
    outputs = tuple(shape("output", value) for value in method.outputs)
    known = all(
        value.shape is not None and (role, value.name or "") in told
        for role, values in (("input", method.inputs), ("output", method.outputs))
        for value in values
    )
    state = any(each.metadata.own is not None and each.metadata.own.keeps_state for each in engines)
    bounds = {value.shape[:1] for value in (*method.inputs, *method.outputs) if value.shape is not None}
    joins = known and not state and len(bounds) == 1 and all(each[:1] == (-1,) for each in (*inputs, *outputs))
    return Shapes(inputs, outputs, state, bounds.pop()[0] if joins and method.inputs and method.outputs else None)
