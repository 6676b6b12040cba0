"""What follows from the weights of a method alone, above all from quantized ones, and its values."""

from __future__ import annotations

from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from torchtrt_ws.export.graph.weight_uses import weight_of

__all__ = ["WeightValues", "is_check", "is_floating", "is_quantized", "schema"]


class WeightValues:
    """Nodes whose values follow from the weights.

    Args:
        program: As torch.export gives it; not modified.

    Attributes:
        weights: The weights that no call changes, by their placeholders.
        nodes: These, and what is computed of them alone.
        quantized: Of `nodes`, those that are quantized weights or computed of one.
    """

    def __init__(self, program: ExportedProgram) -> None:
        self.weights: dict[Node, torch.Tensor] = {}
        self.nodes: set[Node] = set()
        self.quantized: set[Node] = set()
        placeholders = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
        changed = set(program.graph_signature.buffers_to_mutate.values())
        for spec in program.graph_signature.input_specs:
            tensor = weight_of(program, spec)
            if tensor is not None and spec.target not in changed:
                self.weights[placeholders[spec.arg.name]] = tensor
        for node in program.graph.nodes:
            if node in self.weights or self._follows(node):
                self.nodes.add(node)
                if is_quantized(node) or self.quantized.intersection(node.all_input_nodes):
                    self.quantized.add(node)

    def _follows(self, node: Node) -> bool:
        return (
            node.op == "call_function"
            and isinstance(node.target, torch._ops.OpOverload)
            and not node.target._schema.is_mutable
            and torch.Tag.nondeterministic_seeded not in node.target.tags
            and isinstance(node.meta.get("val"), torch.Tensor)
            and bool(node.all_input_nodes)
            and self.nodes.issuperset(node.all_input_nodes)
        )

    def value(self, node: Node, known: dict[Node, Any] | None = None) -> Any:
        """What a node computes.

        Args:
            node: One of `nodes`.
            known: What was computed already, which grows; None for nothing.
        """
        known = {} if known is None else known
        if node in self.weights:
            return self.weights[node]
        if node not in known:
            arguments: Any
            arguments, keywords = torch.fx.node.map_arg((node.args, node.kwargs), lambda each: self.value(each, known))
            if schema(node) == "export::access_subclass_inner_tensor":
                known[node] = getattr(*arguments)
            else:
                known[node] = node.target(*arguments, **keywords)  # type: ignore[operator]  # it is an OpOverload
        return known[node]

    def origin(self, node: Node) -> Node:
        """The weight that a node is computed of; a quantized one first.

        Args:
            node: One of `nodes`.
        """
        while node not in self.weights:
            node = next((each for each in node.all_input_nodes if each in self.quantized), node.all_input_nodes[0])
        return node


def schema(node: Node) -> str:
    """An operator's name, as in "aten::linear"; "" for what is none of torch's.

    Args:
        node: A node of a graph.
    """
    return node.target._schema.name if isinstance(node.target, torch._ops.OpOverload) else ""


def is_check(node: Node) -> bool:
    """Whether it computes nothing.

    Args:
        node: A node of a graph.
    """
    return schema(node) == "aten::_assert_tensor_metadata"


def is_quantized(node: Node) -> bool:
    """Whether it has the type of a quantized weight: a byte, or less.

    Args:
        node: A node of a graph.
    """
    dtype = getattr(node.meta.get("val"), "dtype", None)
    return dtype is not None and dtype.itemsize == 1 and dtype != torch.bool


def is_floating(node: Node) -> bool:
    """Whether it has a floating-point type that is computed with.

    Args:
        node: A node of a graph with a tensor.
    """
    dtype = node.meta["val"].dtype
    return bool(dtype.is_floating_point) and not is_quantized(node)
