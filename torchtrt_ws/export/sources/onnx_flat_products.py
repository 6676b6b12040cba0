"""Products with quantized weights of rows that were flattened before, as torchao writes them, without that.

`Int8WeightOnlyConfig` flattens what it multiplies and gives the product its shape back. Between a Reshape and a weight
TensorRT-RTX 1.6.1 does not always multiply with the integers (benchmarks/results/gpu-h200.md: "int8" takes one weight
of floats more than "int8-intx"); without, the models of both configurations are the same.
"""

from __future__ import annotations

from typing import Any

from torchtrt_ws.export.sources.onnx_edit import replace_by

__all__ = ["unflatten"]


def unflatten(model: Any) -> None:
    """Has products with quantized weights take what was flattened for them, and takes out Reshapes that do nothing.

    Args:
        model: An `onnx_ir.Model`; changed in place where it has quantized weights.
    """
    from onnx_ir.passes import common

    graph = model.graph
    products = [node for node in graph if node.op_type == "MatMul" and _is_quantized(node.inputs[1])]
    if not products:
        return
    for node in products:
        _take_what_was_flattened(node)
    for node in list(graph):
        _skip_if_it_does_nothing(node)
    common.RemoveUnusedNodesPass()(model)


def _is_quantized(value: Any) -> bool:
    node = value.producer()
    while node is not None and node.op_type in ("Transpose", "Cast"):
        node = node.inputs[0].producer()
    return node is not None and node.op_type == "DequantizeLinear" and node.inputs[0].is_initializer()


def _take_what_was_flattened(node: Any) -> None:
    flat, (product,) = node.inputs[0], node.outputs
    before = flat.producer()
    if before is None or before.op_type != "Reshape":
        return
    x = _sizes(before.inputs[0])
    rows, given = _sizes(flat), _sizes(product)
    if not x or not rows or not given or len(rows) != 2 or x[-1] != rows[-1]:
        return
    shape = [*x[:-1], given[-1]]
    users = [user for user, _ in product.uses()]
    if product.is_graph_output() or not all(map(_takes_any_rank, users)):
        return
    import onnx_ir

    node.replace_input_with(0, before.inputs[0])
    product.shape = onnx_ir.Shape(shape)
    for user in users:
        if _sizes(user.outputs[0]) == shape:
            _replaces(user.outputs[0], product)


def _takes_any_rank(node: Any) -> bool:
    """Whether it is a Reshape to a shape that says nothing of its input's: a 0 stands for a size of that."""
    if node.op_type != "Reshape":
        return False
    shape = node.inputs[1].const_value
    return shape is None or bool((shape.numpy() != 0).all())


def _skip_if_it_does_nothing(node: Any) -> None:
    """A Reshape to the shape that its input has, or that the input of a Reshape before it has."""
    if node.op_type != "Reshape":
        return
    (made,), given = node.outputs, node.inputs[0]
    before = given.producer()
    sources = [given, before.inputs[0]] if before is not None and before.op_type == "Reshape" else [given]
    shape = _sizes(made)
    for source in reversed(sources):
        if shape and _sizes(source) == shape and _replaces(made, source):
            return


def _replaces(value: Any, other: Any) -> bool:
    """Puts another value in the place of one, if it can: whether it did. An output of the model is known by its name,
    so what becomes one must be free of that: no input, no weight, and no output already."""
    if value.is_graph_output():
        if other.producer() is None or other.is_graph_output():
            return False
        value.name, other.name = other.name, value.name
    replace_by(value, other)
    return True


def _sizes(value: Any) -> list[int | str]:
    """Sizes, of open dimensions the expressions; [] if one is not known."""
    if value.shape is None:
        return []
    sizes = [size if isinstance(size, int) else size.value for size in value.shape]
    return [] if None in sizes else sizes
