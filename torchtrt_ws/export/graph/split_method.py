"""A method in parts: lookups that the CPU does, an engine, and perhaps an engine behind it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.export import ExportedProgram
from torch.export.exported_program import ModuleCallSignature
from torch.export.graph_signature import InputKind
from torch.utils import _pytree as pytree

from torchtrt_ws.export.graph import engine_call
from torchtrt_ws.export.graph.interface import Interface
from torchtrt_ws.export.graph.state import StatefulMethod
from torchtrt_ws.export.graph.subprogram import CannotCutError, Copying, Part, constants, cut_out
from torchtrt_ws.export.graph.weight_uses import WeightUses, following

__all__ = ["Declared", "SplitMethod", "split_method"]

Node = torch.fx.Node


@dataclass(frozen=True)
class Declared:
    """A declared engine call of a part: its token, and what the engine takes and gives."""

    token: str
    interface: Interface


@dataclass(frozen=True)
class SplitMethod:
    """A method in parts.

    Args:
        whole: The method, its state among inputs and outputs.
        signature: How it is called, without its state.
        lookups: Its nodes that the CPU computes, in order, weights and inputs left out.
        body: What the first engine computes.
        body_outputs: The nodes of the whole method that it gives.
        head: What the second engine computes; None without one.
        head_outputs: The nodes that it gives.
        state: Inputs and outputs of the whole that are the first engine's state.
    """

    whole: ExportedProgram
    signature: ModuleCallSignature
    lookups: tuple[Node, ...]
    body: Part
    body_outputs: tuple[Node, ...]
    head: Part | None = None
    head_outputs: tuple[Node, ...] = ()
    state: frozenset[Node] = frozenset()

    @property
    def parts(self) -> tuple[Part, ...]:
        """What the engines compute, in order."""
        return (self.body,) if self.head is None else (self.body, self.head)

    def program(self, calls: Sequence[Declared]) -> ExportedProgram:
        """The method as lookups and engine calls.

        Args:
            calls: The call of each part's engine.

        Returns:
            A program with the inputs, outputs and range constraints of the whole, but for state. It holds the tables.
        """
        copying = Copying(self.whole)
        copying.weights({each: None for node in self.lookups for each in node.all_input_nodes})
        for node in _user_inputs(self.whole):
            if node not in self.state:
                copying.user_input(node)
        for node in self.lookups:
            copying.node(node)
        given: dict[Node, Node] = {}
        made: list[Node] = []
        of_parts = (self.body_outputs, self.head_outputs)[: len(self.parts)]
        for part, call, outputs in zip(self.parts, calls, of_parts, strict=True):
            inputs = [given.get(node) or copying.made[node] for node in part.inputs if node not in self.state]
            made = engine_call.add_call(copying.graph, call.token, inputs, call.interface)
            given.update(zip([node for node in outputs if node not in self.state], made, strict=True))
        if of_parts[-1] != _outputs(self.whole):  # else each has its own, also where the method returns one twice
            made = [given[node] for node in _outputs(self.whole) if node not in self.state]
        for node in made:
            copying.output(node)
        return copying.finish(self.signature.out_spec, self.signature.in_spec)


def split_method(
    method: StatefulMethod, uses: WeightUses, tables: Sequence[str], head: str | None, output_names: Sequence[str]
) -> SplitMethod:
    """Takes tables and a head out of a method.

    Args:
        method: The method; not modified.
        uses: Of its weights.
        tables: The weights whose lookups the CPU does.
        head: The weight that gets an engine of its own; None: no weight does.
        output_names: What the method's outputs are called, its state among them.

    Returns:
        The parts.

    Raises:
        CannotCutError: A method that is not made for it; the text says why.
    """
    whole, signature = method.program, method.signature
    state = _state(method)
    lookups = [node for table in tables for node in uses.lookups[table]]
    order = {node: index for index, node in enumerate(whole.graph.nodes)}
    known = [*_user_inputs(whole), *sorted(lookups, key=order.__getitem__)]
    outputs = _outputs(whole)
    given_back = next((node.name for node in outputs if node in known and node not in state), None)
    if given_back is not None:
        raise CannotCutError(f"the method returns {given_back!r}, which no engine computes")
    trees = whole.module_call_graph[0].signature
    assert trees is not None, "the first entry is the method itself"
    steps = tuple(_steps(whole, lookups, state))
    if head is None:
        body = cut_out(whole, known, outputs, trees.out_spec)
        return SplitMethod(whole, signature, steps, _checked(body), outputs, state=state)

    behind = following(whole, uses.product[head])
    last = tuple(node for node in outputs if node in behind)
    if not last:
        raise CannotCutError("the method returns nothing that is computed with it")
    if state.intersection(last):
        raise CannotCutError("a buffer that the method changes is computed with it")
    all_last = len(last) == len(outputs)
    names = dict(zip(outputs, output_names, strict=True))
    within = set(behind)
    alone = constants(whole)
    before = [node for node in order if node not in within and node not in alone and _is_tensor(node)]
    before.sort(key=lambda node: node not in known)  # sizes are read off the method's inputs first
    before = [node for node in before if node not in state]
    head_part = cut_out(whole, before, last, trees.out_spec if all_last else _named(names, last), within)
    first = tuple(
        dict.fromkeys(
            [node for node in head_part.inputs if node not in known] + [node for node in outputs if node not in behind]
        )
    )
    if not first:
        raise CannotCutError("nothing lies before it")
    body = cut_out(whole, known, first, _named(names, first))
    return SplitMethod(whole, signature, steps, _checked(body), first, _checked(head_part), last, state)


def _named(names: Mapping[Node, str], nodes: Sequence[Node]) -> pytree.TreeSpec:
    """A mapping from name to output: what the method returns has its name there, other tensors that of their node."""
    return pytree.tree_structure({names.get(node, node.name): 0 for node in nodes})


def _checked(part: Part) -> Part:
    if not part.inputs:
        raise CannotCutError("a part of it would have no inputs")
    return part


def _outputs(whole: ExportedProgram) -> tuple[Node, ...]:
    return tuple(whole.graph.output_node().args[0])


def _user_inputs(whole: ExportedProgram) -> list[Node]:
    names = [spec.arg.name for spec in whole.graph_signature.input_specs if spec.kind is InputKind.USER_INPUT]
    by_name = {node.name: node for node in whole.graph.nodes if node.op == "placeholder"}
    return [by_name[name] for name in names]


def _is_tensor(node: Node) -> bool:
    return node.op in ("placeholder", "call_function") and isinstance(node.meta.get("val"), torch.Tensor)


def _state(method: StatefulMethod) -> frozenset[Node]:
    """The nodes of a method that are its state: the last of its inputs and of its outputs."""
    first = len(method.states)
    return frozenset([*_user_inputs(method.program)[-first:], *_outputs(method.program)[-first:]] if first else [])


def _steps(whole: ExportedProgram, lookups: Sequence[Node], state: Collection[Node]) -> list[Node]:
    """The lookups and what computes their indices, in order."""
    needed = set(lookups)
    for node in reversed(list(whole.graph.nodes)):
        if node in needed:
            needed.update(node.all_input_nodes)
    if needed.intersection(state):
        raise CannotCutError("rows are looked up by a buffer that the method changes")
    return [node for node in whole.graph.nodes if node in needed and node.op == "call_function"]
