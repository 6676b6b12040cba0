"""Sums in float32 of what is float16: products with weights.

TensorRT-RTX 1.6.1 adds the products of a float16 matrix up in float16. The logits of 32 layers of a Llama 3 8B's shape
had a cosine of 0.9988 to PyTorch's, which adds up in float32, and 0.99996 with what this does, at the same speed (H200,
benchmarks/results/decoder-h200-8b.md). The plan stays as large: weights are float16 in it.

Source:
    Torch-TensorRT 2.14, the compilation setting `use_fp32_acc`, which wraps products in the same way.
"""

from __future__ import annotations

from typing import Any

from torchtrt_ws.export.sources.onnx_edit import add_bias_behind, cast, free_name, names_of, replace_by

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
    names = names_of(graph)
    products = [node for node in graph if _is_meant(node, half)]
    for node in products:
        add_bias_behind(graph, node, names)  # with it inside, weights are float32 in the plan (seen)
        for index, value in enumerate(node.inputs):
            if value is None:
                continue
            # Of its own: TensorRT joins products that share an input, and would have their weights in float32 (seen).
            wide = cast(value, single, free_name(f"{value.name}_float32", names))
            graph.insert_before(node, wide.producer())
            node.replace_input_with(index, wide)
        (product,) = node.outputs
        made = cast(product, half, free_name(f"{product.name}_float16", names))
        replace_by(product, made)
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


def _is_weight(value: Any) -> bool:
    """Whether it is an initializer, or one that is transposed or quantized."""
    while value is not None and (node := value.producer()) is not None and node.op_type in _LAYOUTS:
        value = node.inputs[0]
    return value is not None and value.is_initializer()
