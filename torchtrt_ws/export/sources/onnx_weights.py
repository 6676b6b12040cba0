"""The large weights of an ONNX graph, taken out of it: the parser is told where they are.

To write them beside the model and to read them again took three quarters of an export's time, and as much memory as
they have. torch.onnx's optimizer makes it slower still: it turns the transposed weight of each linear layer into a
constant, which is a view of the module's weight, and such a view is written element by element.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch

__all__ = ["LEFT_OUT", "Stored", "address", "leave_out"]

LEFT_OUT = 64 << 10  # bytes; what is smaller stays in the graph: the parser looks into some of it, such as shapes


Stored: TypeAlias = "torch.Tensor | np.ndarray[Any, Any]"


def leave_out(graph: Any) -> tuple[int, dict[str, Stored]]:
    """Takes the weights of `LEFT_OUT` bytes and more out of a graph. None is copied.

    Args:
        graph: An `onnx_ir.Graph`; its large initializers then say that they lie elsewhere. One that is a transposed
            view becomes the memory it views, and a Transpose, which TensorRT folds.

    Returns:
        The bytes of all weights; and by initializer those that were taken out, whose bytes are the initializer's.
    """
    size = 0
    left_out: dict[str, Stored] = {}
    for value in list(graph.initializers.values()):
        given = value.const_value
        if given is None:
            continue
        size += given.nbytes
        if given.nbytes < LEFT_OUT:
            continue
        raw = given.raw
        if isinstance(raw, np.ndarray):
            order = _as_stored(raw)
            if not raw.flags.c_contiguous and raw.transpose(order).flags.c_contiguous:
                raw = raw.transpose(order)
                value = _transposed(graph, value, raw.shape, [order.index(axis) for axis in range(raw.ndim)])
            raw = np.ascontiguousarray(raw)
        elif isinstance(raw, torch.Tensor):
            raw = raw.detach()
        if isinstance(raw, torch.Tensor | np.ndarray):
            left_out[value.name] = raw
            value.const_value = _elsewhere(value, given.nbytes)
    return size, left_out


def address(weight: Stored) -> int:
    """Where the first byte of a `weight` is."""
    return int(weight.ctypes.data if isinstance(weight, np.ndarray) else weight.data_ptr())


def _as_stored(array: np.ndarray[Any, Any]) -> list[int]:
    """The axes in the order in which the memory has them."""
    return sorted(range(array.ndim), key=lambda axis: -array.strides[axis])


def _transposed(graph: Any, value: Any, shape: tuple[int, ...], order: list[int]) -> Any:
    """Puts a Transpose in the place of an initializer, and returns the new initializer that it takes."""
    import onnx_ir

    stored = onnx_ir.Value(name=f"{value.name}_stored", shape=onnx_ir.Shape(shape), type=value.type)
    node = onnx_ir.node("Transpose", [stored], {"perm": order}, name=f"{value.name}_transposed")
    (made,) = node.outputs
    made.name, made.shape, made.type = f"{value.name}_transposed", value.shape, value.type
    value.replace_all_uses_with(made, replace_graph_outputs=True)
    del graph.initializers[value.name]
    graph.initializers.add(stored)
    graph.insert_before(graph[0], node)
    return stored


def _elsewhere(value: Any, size: int) -> Any:
    import onnx_ir

    return onnx_ir.ExternalTensor("weights", 0, size, value.dtype, shape=value.shape, name=value.name)
