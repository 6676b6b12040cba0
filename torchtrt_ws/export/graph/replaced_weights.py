"""A copy of a program with other weights in the place of what it computes of its weights."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, InputSpec, TensorArgument
from torch.fx import Node

from torchtrt_ws.export.graph.copied import copied_graph, with_graph
from torchtrt_ws.export.graph.weight_values import WeightValues, is_check

__all__ = ["ReplacedWeights"]


class ReplacedWeights:
    """Such a copy, while it is made.

    Args:
        program: As torch.export gives it; not modified.
        values: Of the program.

    Attributes:
        graph: The copy's.
        copies: Node of the program to its copy.
    """

    def __init__(self, program: ExportedProgram, values: WeightValues) -> None:
        self.graph, self.copies = copied_graph(program)
        self._program, self._values = program, values
        self._signature = copy.deepcopy(program.graph_signature)
        self._state: dict[str, Any] = dict(program.state_dict)
        self._targets = {spec.arg.name: str(spec.target) for spec in self._signature.input_specs}

    def name(self, node: Node) -> str:
        """What the module calls the weight that a node of the program is computed of."""
        return self._targets[self._values.origin(node).name]

    def weight(self, name: str, value: torch.Tensor, like: Node) -> Node:
        """Adds a weight.

        Args:
            name: Its name, unless that is taken.
            value: Its numbers; not copied where they are contiguous.
            like: Some node of the program with a tensor.

        Returns:
            Its placeholder.
        """
        while name in self._state:
            name += "_"
        self._state[name] = value = torch.nn.Parameter(value.detach().contiguous(), requires_grad=False)
        with self.graph.inserting_before(next(iter(self.graph.nodes))):  # parameters come first
            node = self.graph.placeholder(f"p_{name.replace('.', '_')}")
        node.target = node.name
        node.meta["val"] = like.meta["val"].fake_mode.from_tensor(value, static_shapes=True)
        self._signature.input_specs.insert(0, InputSpec(InputKind.PARAMETER, TensorArgument(node.name), name))
        return node

    def fold(self, node: Node) -> str:
        """Puts a weight with the numbers that a node computes in its place.

        Args:
            node: Of the program, and of its values.

        Returns:
            The name of the weight that they are computed of.
        """
        name = self.name(node)
        with torch.no_grad():
            value = self._values.value(node)
        self.copies[node].replace_all_uses_with(self.weight(f"{name}_dequantized", value, node))
        return name

    def leave_out(self, node: Node, other: Node) -> None:
        """Takes a node out.

        Args:
            node: Of the program.
            other: What stands in its place, of the program too.
        """
        made = self.copies.pop(node)
        made.replace_all_uses_with(self.copies[other])
        self.graph.erase_node(made)
        self._signature.replace_all_uses(node.name, other.name)  # outputs are known by the names of their nodes

    def finish(self) -> ExportedProgram:
        """The program, without the weights that nothing uses any more."""
        gone = set()
        for node in reversed(self._program.graph.nodes):
            made = self.copies.get(node)
            computed = node in self._values.nodes
            check = is_check(node) and self._values.nodes.issuperset(node.all_input_nodes)
            if made is None or made.users or not (check or (computed and node.users)):
                continue
            self.graph.erase_node(made)
            gone.add(node.name)
        kept = [spec for spec in self._signature.input_specs if spec.arg.name not in gone]
        lost = {spec.target for spec in self._signature.input_specs} - {spec.target for spec in kept}
        self._signature.input_specs[:] = kept
        for name in lost:
            self._state.pop(str(name), None)
        return with_graph(self._program, self.graph, self._signature, self._state)
