"""Buffers that a method changes, as inputs and outputs of the engine that keeps them from call to call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.export import ExportedProgram
from torch.export.exported_program import ModuleCallSignature
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils import _pytree as pytree

from torchtrt_ws.errors import ProgramError
from torchtrt_ws.export.graph import cache_update
from torchtrt_ws.export.graph.interface import method_names, unique_names
from torchtrt_ws.export.graph.subprogram import Copying
from torchtrt_ws.export.graph.weight_uses import weight_of

__all__ = ["State", "StatefulMethod", "lift_state", "state_names"]

Node = torch.fx.Node


@dataclass(frozen=True)
class State:
    """A buffer that each call changes.

    Args:
        buffer: Its name in the module.
        input: The tensor that the engine takes, as it was before a call.
        output: The tensor that the engine gives, as it is after.
        in_place: Whether the engine writes rows into the input, so that both are one tensor.
    """

    buffer: str
    input: str
    output: str
    in_place: bool


@dataclass(frozen=True)
class StatefulMethod:
    """A method whose state is among its inputs and outputs, behind all others.

    Args:
        program: The method.
        states: What is its state, in their order.
        signature: How the method is called, without its state.
    """

    program: ExportedProgram
    states: tuple[State, ...]
    signature: ModuleCallSignature


def state_names(states: Iterable[State]) -> frozenset[str]:
    """The names of all tensors that are state.

    Args:
        states: What an engine keeps.
    """
    return frozenset(name for state in states for name in (state.input, state.output))


def lift_state(name: str, program: ExportedProgram) -> StatefulMethod:
    """Makes the buffers that a method changes inputs and outputs.

    Args:
        name: The method's name, for errors.
        program: The method, without operators that change a tensor in place; not modified.

    Returns:
        The method; the same one if it changes no buffer. What it writes before it reads it is no state.

    Raises:
        ProgramError: A buffer that does not begin with zeros, or that the method returns as well.
    """
    signature = program.graph_signature
    called = program.module_call_graph[0].signature
    assert called is not None, "the first entry is the method itself"
    nodes = {node.name: node for node in program.graph.nodes}
    after = {
        str(spec.target): nodes[spec.arg.name]
        for spec in signature.output_specs
        if spec.kind is OutputKind.BUFFER_MUTATION
    }
    if not after:
        return StatefulMethod(program, (), called)
    before: dict[str, Node] = {}
    for spec in signature.input_specs:
        if spec.kind is not InputKind.BUFFER or spec.target not in after:
            continue
        if _is_overwritten(nodes[spec.arg.name]):
            del after[spec.target]
            continue
        before[spec.target] = nodes[spec.arg.name]
        _check_zeros(name, spec.target, weight_of(program, spec))
    given = [nodes[spec.arg.name] for spec in signature.input_specs if spec.kind is InputKind.USER_INPUT]
    returned = [nodes[spec.arg.name] for spec in signature.output_specs if spec.kind is OutputKind.USER_OUTPUT]
    for buffer, node in after.items():
        _check_kept(name, buffer, node, returned)

    copying = Copying(program)
    copying.weights(node for node in program.graph.nodes if node not in before.values())
    for node in (*given, *before.values()):
        copying.user_input(node)
    in_place = _copy_nodes(copying, {after[buffer]: node for buffer, node in before.items()})
    for node in (*returned, *(after[buffer] for buffer in before)):
        copying.output(copying.made[node])
    takes, gives = method_names(program)
    outputs = unique_names([f"{node.name}_after" for node in before.values()], taken=[*takes, *gives])
    trees = pytree.tree_structure(dict.fromkeys([*gives, *outputs], 0))
    states = tuple(
        State(buffer, node.name, output, after[buffer] in in_place)
        for (buffer, node), output in zip(before.items(), outputs, strict=True)
    )
    return StatefulMethod(copying.finish(trees), states, called)


def _copy_nodes(copying: Copying, writes: Mapping[Node, Node]) -> set[Node]:
    """Takes what the method computes; of `writes`, from what a buffer becomes to what it was, those that the engine
    does in place as that operator. Returns these."""
    in_place = set()
    for node in copying.whole.graph.nodes:
        if node.op in ("placeholder", "output"):
            continue
        cache = writes.get(node)
        written = None if cache is None or not _is_apart(cache) else cache_update.first_row(node, cache)
        if cache is None or written is None:
            copying.node(node)
            continue
        arguments = tuple(copying.made[each] for each in (cache, *written))
        copying.made[node] = copying.graph.call_function(cache_update.OPERATOR, arguments)
        copying.made[node].meta = dict(node.meta)
        in_place.add(node)
    return in_place


def _is_overwritten(buffer: Node) -> bool:
    """Whether nothing reads a buffer before a call has written all of it: what the call before left is of no use."""
    return all(user.target is torch.ops.aten.copy.default and user.args[0] is buffer for user in buffer.users)


def _is_apart(cache: Node) -> bool:
    """Whether nothing but the write needs a buffer as it was before."""
    return cache_update.is_cache(cache.meta["val"]) and len(cache.users) == 1


def _check_zeros(name: str, buffer: str, tensor: torch.Tensor | None) -> None:
    if tensor is not None and not torch.count_nonzero(tensor):
        return
    raise ProgramError(
        f"method {name!r}, buffer {buffer!r}",
        "other values than zeros in a buffer that a call changes",
        "zeros: a TensorRT engine's state begins with them",
        "Set it to zeros before it is saved, or make the state an input and an output.",
    )


def _check_kept(name: str, buffer: str, node: Node, returned: Sequence[Node]) -> None:
    if node not in returned and not any(isinstance(size, torch.SymInt) for size in node.meta["val"].shape):
        return
    raise ProgramError(
        f"method {name!r}, buffer {buffer!r}",
        "a buffer that a call changes and returns" if node in returned else "a buffer of a size that varies",
        "state of a fixed size, which the engine keeps to itself",
        "Return what is computed from it, or make the state an input and an output.",
    )
