"""Scales of int8 weights behind the products of a single row.

TensorRT-RTX 1.6.1 makes one kernel of a product and the scales of its int8 weight, one for each row of it, except
where one row is multiplied: there a kernel of its own writes the weight as floats, and those of all products lie in the
memory of the execution context together, as much as if nothing was quantized. With one number for the whole weight it
is one kernel there too (H200, benchmarks/gpu/forms.py, benchmarks/results/forms-h200.md). So that number is a power of
two, and what is left of the scales is multiplied with the product, in float32.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from torchtrt_ws.export.sources.onnx_edit import add_bias_behind, cast, free_name, names_of, replace_by

__all__ = ["scale_behind"]


def scale_behind(model: Any) -> None:
    """Has products of one row with int8 weights multiplied with the scales behind them.

    Args:
        model: An `onnx_ir.Model` with what `dequantize_linear` wrote; changed in place. No weight is copied.
    """
    from onnx_ir.passes import common

    graph = model.graph
    names = names_of(graph)
    found = [(node, dequantize) for node in graph if (dequantize := _scaled_by_rows(node)) is not None]
    for node, dequantize in found:
        _rewrite(graph, node, dequantize, names)
    if found:
        common.RemoveUnusedNodesPass()(model)


def _scaled_by_rows(node: Any) -> Any:
    """The DequantizeLinear of a product of one row with a weight, whose rows become columns; None for other nodes."""
    import onnx_ir

    if node.op_type not in ("MatMul", "Gemm") or not _is_one_row(node.inputs[0]):
        return None
    attributes, weight = node.attributes, node.inputs[1]
    if any(attributes.get_float(key, 1.0) != 1.0 for key in ("alpha", "beta")) or attributes.get_int("transA", 0):
        return None
    turned = bool(attributes.get_int("transB", 0))
    producer = weight.producer()
    if producer is not None and producer.op_type == "Transpose":
        turned, producer = not turned, producer.inputs[0].producer()
    if not turned or producer is None or producer.op_type != "DequantizeLinear" or len(producer.inputs) != 2:
        return None
    integers, scale = producer.inputs
    by_rows = scale.shape is not None and len(scale.shape) == 1 and producer.attributes.get_int("axis", 1) == 0
    if not by_rows or producer.attributes.get_int("block_size", 0) or integers.dtype != onnx_ir.DataType.INT8:
        return None
    return producer if integers.is_initializer() and scale.const_value is not None else None


def _is_one_row(value: Any) -> bool:
    shape = value.shape
    return shape is not None and len(shape) >= 1 and all(size == 1 for size in list(shape)[:-1])


def _rewrite(graph: Any, node: Any, dequantize: Any, names: set[str]) -> None:
    import onnx_ir

    add_bias_behind(graph, node, names)
    integers, scale = dequantize.inputs
    scales = _floats(scale.const_value)
    largest = float(np.abs(scales).max(initial=0.0))
    unit = 2.0 ** math.floor(math.log2(largest)) if 0 < largest < math.inf else 1.0
    of_all = _initializer(graph, np.array(unit, scale.dtype.numpy()), free_name(f"{scale.name}_unit", names))
    behind = _initializer(graph, scales / np.float32(unit), free_name(f"{scale.name}_behind", names))

    (product,) = node.outputs
    half, single = product.dtype, onnx_ir.DataType.FLOAT
    made = onnx_ir.node("DequantizeLinear", [integers, of_all], name=free_name(f"{node.name}_weight", names))
    (weight,) = made.outputs
    weight.name, weight.shape, weight.type = made.name, integers.shape, onnx_ir.TensorType(half)
    graph.insert_before(node, made)
    if node.inputs[1].producer() is not dequantize:  # there is a Transpose between them
        name = free_name(f"{made.name}_turned", names)
        turn = onnx_ir.node("Transpose", [weight], {"perm": [1, 0]}, name=name)
        (turned,) = turn.outputs
        turned.name, turned.type = name, weight.type
        turned.shape = onnx_ir.Shape(list(integers.shape)[::-1])
        graph.insert_before(node, turn)
        weight = turned
    for index, value in enumerate((node.inputs[0], weight)):
        wide = value
        if half != single:
            wide = cast(value, single, free_name(f"{value.name}_wide", names))
            graph.insert_before(node, wide.producer())
        node.replace_input_with(index, wide)

    scaled = onnx_ir.node("Mul", [product, behind], name=free_name(f"{node.name}_scaled", names))
    (last,) = scaled.outputs
    last.name, last.shape, last.type = scaled.name, product.shape, onnx_ir.TensorType(single)
    made_last = [scaled]
    if half != single:
        last = cast(last, half, free_name(f"{scaled.name}_narrow", names))
        made_last.append(last.producer())
    replace_by(product, last)
    scaled.replace_input_with(0, product)
    graph.insert_after(node, made_last)
    # It may be an output of the model, which is known by its name.
    product.name, last.name = last.name, product.name
    product.type = onnx_ir.TensorType(single)


def _floats(given: Any) -> np.ndarray[Any, Any]:
    """float32 numbers of an initializer."""
    if isinstance(given.raw, torch.Tensor):
        return given.raw.detach().float().cpu().numpy()
    return np.asarray(given.numpy()).astype(np.float32)


def _initializer(graph: Any, array: np.ndarray[Any, Any], name: str) -> Any:
    import onnx_ir

    tensor = onnx_ir.tensor(array, name=name)
    value = onnx_ir.Value(
        name=name, shape=onnx_ir.Shape(array.shape), type=onnx_ir.TensorType(tensor.dtype), const_value=tensor
    )
    graph.initializers.add(value)
    return value
