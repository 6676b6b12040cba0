"""A part of an exported method as an exported method of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.exported_program import ModuleCallEntry, ModuleCallSignature
from torch.export.graph_signature import (
    ExportGraphSignature,
    InputKind,
    InputSpec,
    OutputKind,
    OutputSpec,
    TensorArgument,
)
from torch.utils import _pytree as pytree

from torchtrt_ws.export.graph.weight_uses import weight_of

__all__ = ["CannotCutError", "Copying", "Part", "constants", "cut_out"]

Node = torch.fx.Node


class CannotCutError(Exception):
    """A part that cannot stand alone; the text says why. Whoever cuts leaves the method whole then."""


@dataclass(frozen=True)
class Part:
    """A part of a method.

    Args:
        program: It, as a method.
        inputs: The nodes of the whole method that it takes, in order.
    """

    program: ExportedProgram
    inputs: tuple[Node, ...]


def cut_out(
    whole: ExportedProgram,
    candidates: Sequence[Node],
    outputs: Sequence[Node],
    out_spec: pytree.TreeSpec,
    within: Iterable[Node] | None = None,
) -> Part:
    """Cuts out what computes some values of a method from others.

    Args:
        whole: The method, without operators that change a tensor in place; not modified, and no weight is copied.
        candidates: Nodes with tensors that the part may take; it takes those that it needs.
        outputs: Nodes that it gives.
        out_spec: Their structure: engines' tensors are named after it.
        within: Nodes that it may hold besides weights, and what is made of nothing else; None: any.

    Returns:
        The part. Sizes of dynamic dimensions come from its own inputs.

    Raises:
        CannotCutError: A value that is needed and neither among the candidates nor to be computed from them.
    """
    copying = Copying(whole)
    allowed = None if within is None else set(within)
    needed, sizes = _needed(whole, set(candidates), outputs, allowed)
    taken = [node for node in candidates if node in needed]
    _place_sizes(sizes, taken, [node for node in candidates if node not in needed])
    copying.weights(node for node in whole.graph.nodes if node in needed)
    for node in candidates:
        if node in taken:
            copying.user_input(node)
    for node, (tensor, dimension) in sizes.items():
        copying.size(node, tensor, dimension)
    for node in whole.graph.nodes:
        if node in needed and node not in copying.made:
            copying.node(node)
    for node in outputs:
        copying.output(copying.made[node])
    return Part(copying.finish(out_spec), tuple(node for node in candidates if node in taken))


def _needed(
    whole: ExportedProgram, candidates: set[Node], outputs: Sequence[Node], allowed: set[Node] | None
) -> tuple[set[Node], dict[Node, Any]]:
    """What computes the outputs, and the sizes among it that a candidate has: they are read off."""
    known: dict[Any, list[tuple[Node, int]]] = {}
    for node in candidates:
        for dimension, size in enumerate(node.meta["val"].shape):
            if isinstance(size, torch.SymInt):
                known.setdefault(size.node.expr, []).append((node, dimension))
    needed, sizes = set(outputs), {}
    constant = constants(whole)
    for node in reversed(list(whole.graph.nodes)):
        if node not in needed or node in candidates or (node in constant and node.op == "placeholder"):
            continue
        value = node.meta.get("val")
        if isinstance(value, torch.SymInt) and value.node.expr in known:
            sizes[node] = known[value.node.expr]
            needed.discard(node)
            continue
        is_free = node in constant or isinstance(value, torch.SymInt)
        if node.op == "placeholder" or (allowed is not None and node not in allowed and not is_free):
            raise CannotCutError(f"it needs {node.name!r}, which lies before the cut")
        needed.update(node.all_input_nodes)
    return needed, sizes


def constants(whole: ExportedProgram) -> set[Node]:
    """The nodes of a method that are weights, or made of nothing else.

    Args:
        whole: The method.
    """
    weights = {spec.arg.name for spec in whole.graph_signature.input_specs if weight_of(whole, spec) is not None}
    found: set[Node] = set()
    for node in whole.graph.nodes:
        is_random = torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())  # once, for all parts
        made_of = node.op == "call_function" and not is_random and all(each in found for each in node.all_input_nodes)
        if node.op == "get_attr" or made_of or (node.op == "placeholder" and node.name in weights):
            found.add(node)
    return found


def _place_sizes(sizes: dict[Node, Any], taken: list[Node], others: list[Node]) -> None:
    """Chooses where each size is read: from an input that is there anyway, else from one more."""
    for node, places in sizes.items():
        best = next((place for place in places if place[0] in taken), None)
        if best is None:
            best = min(places, key=lambda place: others.index(place[0]))
            taken.append(best[0])
        sizes[node] = best


@dataclass
class Copying:
    """A graph that is made of nodes of another one.

    Args:
        whole: The method that nodes are taken from.
        made: Each node that was taken, and what it became.
    """

    whole: ExportedProgram
    graph: torch.fx.Graph = field(default_factory=torch.fx.Graph)
    made: dict[Node, Node] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._root = torch.nn.Module()
        self._inputs: list[InputSpec] = []
        self._outputs: list[Node] = []
        self._state: dict[str, Any] = {}
        self._constants: dict[str, Any] = {}

    def weights(self, nodes: Iterable[Node]) -> None:
        """Takes those placeholders among `nodes` that are weights, before any other input."""
        wanted = {node.name: node for node in nodes if node.op == "placeholder"}
        for spec in self.whole.graph_signature.input_specs:
            tensor = weight_of(self.whole, spec)
            if tensor is None or spec.arg.name not in wanted:
                continue
            new = self._placeholder(wanted[spec.arg.name])
            self._inputs.append(InputSpec(spec.kind, TensorArgument(new.name), spec.target, spec.persistent))
            (self._state if spec.target in self.whole.state_dict else self._constants)[spec.target] = tensor

    def user_input(self, node: Node) -> None:
        """Makes `node` an input."""
        new = self._placeholder(node)
        self._inputs.append(InputSpec(InputKind.USER_INPUT, TensorArgument(new.name), None))

    def size(self, node: Node, tensor: Node, dimension: int) -> None:
        """Makes `node`, the size of a dimension, that of the tensor of an input."""
        new = self.graph.call_function(torch.ops.aten.sym_size.int, (self.made[tensor], dimension))
        new.meta = {"val": tensor.meta["val"].shape[dimension]}
        self.made[node] = new

    def node(self, node: Node) -> None:
        """Takes a node whose arguments have been taken."""
        if node.op == "get_attr":
            _put(self._root, str(node.target), _get(self.whole.graph_module, str(node.target)))
        self.made[node] = self.graph.node_copy(node, lambda each: self.made[each])

    def output(self, node: Node) -> None:
        """Returns a node of the new graph, after those returned before."""
        self._outputs.append(node)

    def finish(self, out_spec: pytree.TreeSpec, in_spec: pytree.TreeSpec | None = None) -> ExportedProgram:
        """The program.

        Args:
            out_spec: The structure of its outputs.
            in_spec: The structure of its inputs; None for tensors one after the other.
        """
        self.graph.output(tuple(self._outputs))
        count = sum(spec.kind is InputKind.USER_INPUT for spec in self._inputs)
        flat = pytree.tree_structure((tuple(range(count)), {}))
        return ExportedProgram(
            root=self._root,
            graph=self.graph,
            graph_signature=ExportGraphSignature(
                self._inputs,
                [OutputSpec(OutputKind.USER_OUTPUT, TensorArgument(node.name), None) for node in self._outputs],
            ),
            state_dict=self._state,
            range_constraints=dict(self.whole.range_constraints),
            # No names here: exir renames nodes but not these, and its verifier would then miss them.
            module_call_graph=[ModuleCallEntry("", ModuleCallSignature([], [], in_spec or flat, out_spec))],
            constants=self._constants,
            verifiers=self.whole.verifiers,
        )

    def _placeholder(self, node: Node) -> Node:
        new = self.graph.placeholder(node.name)
        new.meta = {"val": node.meta["val"]}
        self.made[node] = new
        return new


def _get(module: Any, target: str) -> Any:
    for name in target.split("."):
        module = getattr(module, name)
    return module


def _put(module: torch.nn.Module, target: str, value: Any) -> None:
    *path, last = target.split(".")
    for name in path:
        if not hasattr(module, name):
            module.add_module(name, torch.nn.Module())
        module = getattr(module, name)
    setattr(module, last, value)
