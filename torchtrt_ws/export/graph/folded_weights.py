"""Quantized weights as the numbers they stand for, where XNNPACK has no kernel for them.

Source:
    XNNPACK multiplies quantized weights with quantized activations only: executorch/backends/xnnpack/partition/config/
    gemm_configs.py (1.5.1). It takes products that come of a `linear` whatever is between them and the weight: with
    torchao's weight-only quantization, whose `linear` dequantizes, it leaves that out and computes with the integers.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, InputSpec, TensorArgument
from torch.fx import Node

from torchtrt_ws.export.graph.copied import copied_graph, with_graph
from torchtrt_ws.export.graph.weight_uses import weight_of

__all__ = ["fold_weights"]

# Where nodes say which function of torch, or else which module, they come of.
_SOURCES = ("source_fn_stack", "torch_fn", "nn_module_stack")
_REORDERS = frozenset(
    f"aten::{name}"
    for name in [
        *("t", "transpose", "permute", "view", "reshape", "expand", "clone", "contiguous", "pad", "constant_pad_nd"),
    ]
)


def fold_weights(program: ExportedProgram) -> tuple[ExportedProgram, list[str]]:
    """Puts constants where a function that multiplies also computes floating-point numbers of quantized weights alone,
    but for those that are multiplied with quantized activations.

    Args:
        program: As torch.export gives it; not modified.

    Returns:
        A program with the same results, and the names of the weights that are not quantized in it; the program itself
        if there are none.
    """
    found = _Constants(program)
    roots = list(found.roots())
    if not roots:
        return program, []
    return _Folding(program, found).run(roots)


class _Constants:
    """Nodes whose values follow from the weights."""

    def __init__(self, program: ExportedProgram) -> None:
        self.weights: dict[Node, torch.Tensor] = {}
        self.nodes: set[Node] = set()
        self.quantized: set[Node] = set()  # of these, what is computed of a quantized weight
        self._graph = program.graph
        placeholders = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
        changed = set(program.graph_signature.buffers_to_mutate.values())
        for spec in program.graph_signature.input_specs:
            tensor = weight_of(program, spec)
            if tensor is not None and spec.target not in changed:
                self.weights[placeholders[spec.arg.name]] = tensor
        for node in program.graph.nodes:
            if node in self.weights or self._follows(node):
                self.nodes.add(node)
                if _is_quantized(node) or self.quantized.intersection(node.all_input_nodes):
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

    def roots(self) -> Iterator[Node]:
        """The last nodes of such computations."""
        for node in self._graph.nodes:
            if node in self.quantized and node not in self.weights and _is_floating(node):
                users = [user for user in node.users if user not in self.nodes and not _is_check(user)]
                # Where a module dequantizes by itself, that is a function of its own, which XNNPACK leaves alone.
                functions = {source for source in _sources(node) if source[0] == "function"}
                together = any(functions.intersection(_sources(user)) for user in users)
                if together and not any(self._is_quantized_product(user) for user in users):
                    yield node

    def _is_quantized_product(self, node: Node) -> bool:
        """Whether something that is not constant is dequantized for an operator."""
        for each in node.all_input_nodes:
            while each not in self.nodes and _schema(each) in _REORDERS:
                each = each.all_input_nodes[0]
            if each not in self.nodes and "dequantize" in _schema(each):
                return True
        return False

    def value(self, node: Node, known: dict[Node, Any] | None = None) -> Any:
        """What a node computes."""
        known = {} if known is None else known
        if node in self.weights:
            return self.weights[node]
        if node not in known:
            arguments: Any
            arguments, keywords = torch.fx.node.map_arg((node.args, node.kwargs), lambda each: self.value(each, known))
            if _schema(node) == "export::access_subclass_inner_tensor":
                known[node] = getattr(*arguments)
            else:
                known[node] = node.target(*arguments, **keywords)  # type: ignore[operator]  # it is an OpOverload
        return known[node]

    def origin(self, node: Node) -> Node:
        """The weight that something is computed of."""
        while node not in self.weights:
            node = next((each for each in node.all_input_nodes if each in self.quantized), node.all_input_nodes[0])
        return node


class _Folding:
    """The copy of a program that has them as constants."""

    def __init__(self, program: ExportedProgram, constants: _Constants) -> None:
        self._program, self._constants = program, constants
        self._graph, self._copies = copied_graph(program)
        self._signature = copy.deepcopy(program.graph_signature)
        self._state: dict[str, Any] = dict(program.state_dict)

    def run(self, roots: list[Node]) -> tuple[ExportedProgram, list[str]]:
        targets = {spec.arg.name: str(spec.target) for spec in self._signature.input_specs}
        names = [targets[self._constants.origin(root).name] for root in roots]
        for root, name in zip(roots, names, strict=True):
            self._replace(root, f"{name}_dequantized")
        self._forget_sources(roots)
        self._remove_unused()
        folded = with_graph(self._program, self._graph, self._signature, self._state)
        return folded, list(dict.fromkeys(names))

    def _replace(self, root: Node, name: str) -> None:
        with torch.no_grad():
            value = self._constants.value(root).detach().contiguous()
        while name in self._state:
            name += "_"
        self._state[name] = torch.nn.Parameter(value, requires_grad=False)
        with self._graph.inserting_before(next(iter(self._graph.nodes))):  # parameters come first
            node = self._graph.placeholder(f"p_{name.replace('.', '_')}")
        node.target = node.name
        node.meta["val"] = root.meta["val"].fake_mode.from_tensor(value, static_shapes=True)
        spec = InputSpec(InputKind.PARAMETER, TensorArgument(node.name), name)
        self._signature.input_specs.insert(0, spec)
        self._copies[root].replace_all_uses_with(node)

    def _forget_sources(self, roots: list[Node]) -> None:
        """What is left of a `linear` is not all that it was: XNNPACK would take it for one with its weight as it is."""
        near = {each for root in roots for each in (root, *root.users)}
        sources = {source for each in near for source in _sources(each)}
        for node, made in self._copies.items():
            if sources.intersection(_sources(node)):
                made.meta = {key: value for key, value in made.meta.items() if key not in _SOURCES}

    def _remove_unused(self) -> None:
        gone = set()
        for node in reversed(self._program.graph.nodes):
            made = self._copies.get(node)
            is_check = _is_check(node) and self._constants.nodes.issuperset(node.all_input_nodes)
            if made is None or made.users or not (is_check or (node in self._constants.nodes and node.users)):
                continue
            self._graph.erase_node(made)
            gone.add(node.name)
        kept = [spec for spec in self._signature.input_specs if spec.arg.name not in gone]
        lost = {spec.target for spec in self._signature.input_specs} - {spec.target for spec in kept}
        self._signature.input_specs[:] = kept
        for name in lost:
            self._state.pop(str(name), None)


def _schema(node: Node) -> str:
    return node.target._schema.name if isinstance(node.target, torch._ops.OpOverload) else ""


def _sources(node: Node) -> Iterator[tuple[str, object]]:
    """What tells the calls of torch's functions, and of modules, apart."""
    functions, function, modules = (node.meta.get(key) for key in _SOURCES)
    if functions:
        yield "function", functions[-1][0]
    elif function:
        yield "function", function[0]
    if modules:
        yield "module", list(modules.values())[-1][0]


def _is_check(node: Node) -> bool:
    return _schema(node) == "aten::_assert_tensor_metadata"


def _is_quantized(node: Node) -> bool:
    """Whether it has the type of a quantized weight: a byte, or less."""
    dtype = getattr(node.meta.get("val"), "dtype", None)
    return dtype is not None and dtype.itemsize == 1 and dtype != torch.bool


def _is_floating(node: Node) -> bool:
    dtype = node.meta["val"].dtype
    return bool(dtype.is_floating_point) and not _is_quantized(node)
