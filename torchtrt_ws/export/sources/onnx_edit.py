"""Small changes of ONNX graphs that several passes make."""

from __future__ import annotations

from typing import Any

__all__ = ["add_bias_behind", "cast", "free_name", "names_of", "replace_by"]


def names_of(graph: Any) -> set[str]:
    """The names of all values.

    Args:
        graph: An `onnx_ir.Graph`.
    """
    names = {value.name for node in graph for value in node.outputs} | set(graph.initializers)
    return names | {value.name for value in graph.inputs}


def free_name(name: str, taken: set[str]) -> str:
    """That name, or one like it.

    Args:
        name: What is wanted.
        taken: The names that there are; grows by the one returned.
    """
    found, count = name, 0
    while found in taken:
        count += 1
        found = f"{name}{count}"
    taken.add(found)
    return found


def cast(value: Any, dtype: Any, name: str) -> Any:
    """What a new node gives, that casts a value; it is in no graph yet.

    Args:
        value: An `onnx_ir.Value`.
        dtype: An `onnx_ir.DataType`.
        name: Of the node, and of what it gives.
    """
    import onnx_ir

    (made,) = onnx_ir.node("Cast", [value], {"to": int(dtype)}, name=name).outputs
    made.name, made.shape, made.type = name, value.shape, onnx_ir.TensorType(dtype)
    return made


def add_bias_behind(graph: Any, node: Any, names: set[str]) -> None:
    """Takes the bias out of a Gemm, into an Add behind it; other nodes stay.

    Args:
        graph: The node's.
        node: A Gemm, or anything else.
        names: Of all values; grows.
    """
    import onnx_ir

    if len(node.inputs) < 3 or node.inputs[2] is None:
        return
    (whole,), bias = node.outputs, node.inputs[2]
    node.resize_inputs(2)
    add = onnx_ir.node("Add", [whole, bias], name=f"{node.name}_bias")
    (made,) = add.outputs
    replace_by(whole, made)
    add.replace_input_with(0, whole)
    graph.insert_after(node, add)
    made.shape, made.type = whole.shape, whole.type
    whole.name, made.name = free_name(f"{whole.name}_product", names), whole.name


def replace_by(value: Any, other: Any) -> None:
    """Has all that takes a value take another one, the graph's outputs too.

    Args:
        value: An `onnx_ir.Value`.
        other: What stands in its place.
    """
    value.replace_all_uses_with(other, replace_graph_outputs=True)
