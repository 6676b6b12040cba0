"""Sums in float32 of what is float16: products with weights.

TensorRT-RTX 1.6.1 adds the products of a float16 matrix up in float16. The logits of 32 layers of a Llama 3 8B's shape
had a cosine of 0.9988 to PyTorch's, which adds up in float32, and 0.99996 with what this does, at the same speed (H200,
benchmarks/results/decoder-h200-8b.md). The plan stays as large: weights are float16 in it.

Source:
    Torch-TensorRT 2.14, the compilation setting `use_fp32_acc`, which wraps products in the same way.
"""

from __future__ import annotations

from typing import Any

__all__ = ["sum_in_float32"]

_PRODUCTS = ("MatMul", "Gemm")
_LAYOUTS = ("Transpose", "DequantizeLinear")


def sum_in_float32(graph: Any) -> int:
    """Makes products of float16 weights products of float32, from and to float16. TensorRT makes one kernel of that.

    Args:
        graph: An `onnx_ir.Graph`. Products of two activations stay: attention is a kernel of its own.

    Returns:
        How many products there were.
    """
    import onnx_ir

    half, single = onnx_ir.DataType.FLOAT16, onnx_ir.DataType.FLOAT
    names = {value.name for node in graph for value in node.outputs} | set(graph.initializers)
    names |= {value.name for value in graph.inputs}
    products = [node for node in graph if _is_meant(node, half)]
    for node in products:
        _add_bias_behind(graph, node, names)
        for index, value in enumerate(node.inputs):
            if value is None:
                continue
            # Of its own: TensorRT joins products that share an input, and would have their weights in float32 (seen).
            wide = _cast(value, single, _free(f"{value.name}_float32", names))
            graph.insert_before(node, wide.producer())
            node.replace_input_with(index, wide)
        (product,) = node.outputs
        made = _cast(product, half, _free(f"{product.name}_float16", names))
        product.replace_all_uses_with(made, replace_graph_outputs=True)
        made.producer().replace_input_with(0, product)
        graph.insert_after(node, made.producer())
        # It may be an output of the model, which is known by its name.
        product.name, made.name = made.name, product.name
        product.type = onnx_ir.TensorType(single)
    return len(products)


def _is_meant(node: Any, half: Any) -> bool:
    """Whether it is a plain product of float16 with a weight."""
    if node.op_type not in _PRODUCTS or not any(map(_is_weight, node.inputs)):
        return False
    scaled = any(node.attributes.get_float(key, 1.0) != 1.0 for key in ("alpha", "beta"))
    return not scaled and all(each is None or each.dtype == half for each in node.inputs)


def _add_bias_behind(graph: Any, node: Any, names: set[str]) -> None:
    """Takes the bias out of a Gemm, into an Add behind it: with it inside, weights are float32 in the plan (seen)."""
    import onnx_ir

    if len(node.inputs) < 3 or node.inputs[2] is None:
        return
    (whole,), bias = node.outputs, node.inputs[2]
    node.resize_inputs(2)
    add = onnx_ir.node("Add", [whole, bias], name=f"{node.name}_bias")
    (made,) = add.outputs
    whole.replace_all_uses_with(made, replace_graph_outputs=True)
    add.replace_input_with(0, whole)
    graph.insert_after(node, add)
    made.shape, made.type = whole.shape, whole.type
    whole.name, made.name = _free(f"{whole.name}_product", names), whole.name


def _is_weight(value: Any) -> bool:
    """Whether it is an initializer, or one that is transposed or quantized."""
    while value is not None and (node := value.producer()) is not None and node.op_type in _LAYOUTS:
        value = node.inputs[0]
    return value is not None and value.is_initializer()


def _cast(value: Any, dtype: Any, name: str) -> Any:
    """What a new node gives, that casts `value`."""
    import onnx_ir

    (made,) = onnx_ir.node("Cast", [value], {"to": int(dtype)}, name=name).outputs
    made.name, made.shape, made.type = name, value.shape, onnx_ir.TensorType(dtype)
    return made


def _free(name: str, taken: set[str]) -> str:
    """That name, or one like it; it is taken then."""
    found, count = name, 0
    while found in taken:
        count += 1
        found = f"{name}{count}"
    taken.add(found)
    return found
