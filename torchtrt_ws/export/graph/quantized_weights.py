"""Quantized weights as TensorRT has them: small in the plan and on the link, or as floats where it has no such product.

Source:
    TensorRT-RTX 1.6.1, seen in its plans: float8 weights are float16 there. Zero points have to be 0, and a weight of
    int8 must be the input of a DequantizeLinear. quantized_forms.py has what scales may be.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from torchtrt_ws.export.graph import dequantize
from torchtrt_ws.export.graph.quantized_forms import in_a_form_of_tensorrt
from torchtrt_ws.export.graph.quantized_matrix import CASTS, INTEGERS, QuantizedMatrix, matrix_of, with_scale_behind
from torchtrt_ws.export.graph.replaced_weights import ReplacedWeights
from torchtrt_ws.export.graph.weight_values import WeightValues, is_check, is_floating, schema

__all__ = ["Quantized", "for_tensorrt", "quantized_activation"]

_FLOATS = (torch.float8_e4m3fn, torch.float8_e5m2)
_PRODUCTS = {
    "aten::linear": (1,),
    "aten::matmul": (0, 1),
    "aten::mm": (0, 1),
    "aten::bmm": (0, 1),
    "aten::addmm": (1, 2),
}
_INTEGER_PRODUCTS = ("aten::_int_mm", "aten::_scaled_mm")


@dataclass(frozen=True)
class Quantized:
    """What became of a method's quantized weights.

    Args:
        kept: The names of those that are quantized in the engine.
        kept_bytes: Their size in it, with their scales.
        folded: The names of those that are floats in it.
        folded_bytes: Their size in it.
        quantized_bytes: The size of these as the module has them, without scales.
    """

    kept: tuple[str, ...] = ()
    kept_bytes: int = 0
    folded: tuple[str, ...] = ()
    folded_bytes: int = 0
    quantized_bytes: int = 0


def quantized_activation(program: ExportedProgram) -> str | None:
    """An operator that quantizes activations, or multiplies such; None if there is none.

    Args:
        program: As torch.export gives it.
    """
    computed: set[Node] | None = None
    for node in program.graph.nodes:
        name = schema(node)
        if not name.startswith("torchao::") and name not in _INTEGER_PRODUCTS:
            continue
        computed = WeightValues(program).nodes if computed is None else computed
        if node not in computed:
            return name
    return None


def for_tensorrt(program: ExportedProgram, keep: bool = True) -> tuple[ExportedProgram, Quantized]:
    """Gives quantized weights, that only weights are, the form that TensorRT takes.

    Args:
        program: As torch.export gives it; not modified.
        keep: False: all become floats.

    Returns:
        A program with the same results but for rounding, in which `torchtrt_ws::dequantize` takes the quantized
        weights; the program itself if it has none. And what was done.
    """
    values = WeightValues(program)
    roots = [node for node in program.graph.nodes if _is_root(node, values)]
    if not roots:
        return program, Quantized()
    made = _Made(program, values)
    for root in roots:
        if not (keep and _is_for_products(root, values) and made.keep(root)):
            made.fold(root)
    return made.weights.finish(), made.quantized


class _Made:
    """The program, while weights are replaced."""

    def __init__(self, program: ExportedProgram, values: WeightValues) -> None:
        self.weights, self._values = ReplacedWeights(program, values), values
        self.quantized = Quantized()
        # A weight that is used twice is one.
        self._known: defaultdict[Any, list[tuple[torch.Tensor, torch.Tensor, Node]]] = defaultdict(list)

    def fold(self, root: Node) -> None:
        name = self.weights.fold(root)
        if name in self.quantized.folded:
            return
        tensor = self._values.weights[self._values.origin(root)]
        inner = getattr(tensor, "qdata", tensor)
        self.quantized = replace(
            self.quantized,
            folded=(*self.quantized.folded, name),
            folded_bytes=self.quantized.folded_bytes + root.meta["val"].nbytes,
            quantized_bytes=self.quantized.quantized_bytes + inner.nbytes,
        )

    def keep(self, root: Node) -> bool:
        """Whether it can be."""
        found = matrix_of(root, self._values)
        if found is None:
            return False
        scaled, behind = with_scale_behind(root, found, self._values)
        matrix = in_a_form_of_tensorrt(scaled)
        if matrix is None:
            return False
        graph, copies = self.weights.graph, self.weights.copies
        node = self._dequantized(root, matrix)
        if matrix.transposed:
            with graph.inserting_after(node):
                turned = graph.call_function(torch.ops.aten.t.default, (node,))
            turned.meta["val"] = torch.ops.aten.t.default(node.meta["val"])
            node = turned
        copies[root].replace_all_uses_with(node)
        for product, of_scales in behind:
            self.weights.leave_out(of_scales, product)
        return True

    def _dequantized(self, root: Node, matrix: QuantizedMatrix) -> Node:
        integers, scale, group = matrix.integers, matrix.scale, matrix.group
        known = self._known[integers.data_ptr(), integers.shape, scale.dtype, group]
        for _, other, node in known:
            if torch.equal(scale, other):
                return node
        name = self.weights.name(root)
        if matrix.four_bits:
            integers = dequantize.pack(integers)
        inputs = [
            self.weights.weight(f"{name}_{what}", value, root)
            for what, value in (("scale", scale), ("quantized", integers))
        ]
        graph = self.weights.graph
        last = [node for node in graph.nodes if node.op == "placeholder"][-1]
        with graph.inserting_after(last):
            node = graph.call_function(dequantize.OPERATOR, (inputs[1], inputs[0], group))
        node.meta["val"] = dequantize.OPERATOR(inputs[1].meta["val"], inputs[0].meta["val"], group)
        known.append((matrix.integers, scale, node))  # the integers too: their address stays theirs
        self.quantized = replace(
            self.quantized,
            kept=tuple(dict.fromkeys((*self.quantized.kept, name))),
            kept_bytes=self.quantized.kept_bytes + integers.nbytes + scale.nbytes,
        )
        return node


def _is_root(node: Node, values: WeightValues) -> bool:
    """Whether it is the last of what is computed of quantized weights alone."""
    if node not in values.quantized or node in values.weights or not is_floating(node):
        return False
    users = [user for user in node.users if user not in values.nodes and not is_check(user)]
    return bool(users) and all(user.op != "output" for user in users) and _is_dequantized(node, values)


def _is_dequantized(node: Node, values: WeightValues) -> bool:
    """Whether torchao, or a cast that TensorRT does not have, is among what computes it. What torch.onnx should write
    for quantized_decomposed, it knows itself."""
    waiting, seen = [node], {node}
    while waiting:
        node = waiting.pop()
        sources = [each for each in node.all_input_nodes if each in values.quantized]
        if schema(node).startswith("torchao::"):
            return True
        if schema(node) in CASTS and sources and sources[0].meta["val"].dtype in (*INTEGERS, *_FLOATS):
            return True
        waiting += [each for each in sources if each not in seen]
        seen.update(sources)
    return False


def _is_for_products(node: Node, values: WeightValues) -> bool:
    """Whether products of matrices alone take it."""
    users = [user for user in node.users if user not in values.nodes and not is_check(user)]
    return all(
        all(place in _PRODUCTS.get(schema(user), ()) for place, each in enumerate(user.args) if each is node)
        for user in users
    )
