"""A method without operators that change a tensor in place: what they do is seen in the graph then."""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import (
    ExportGraphSignature,
    InputKind,
    OutputKind,
    OutputSpec,
    TensorArgument,
)
from torch.fx.experimental.symbolic_shapes import statically_known_true

from torchtrt_ws.export.graph.weight_uses import memory_of, weight_of

__all__ = ["make_functional"]

Node = torch.fx.Node

# Composite operators whose result is never a view of what they take. Of others their schemas do not tell.
_FRESH = frozenset(
    f"aten::{name}"
    for name in [
        *("linear", "matmul", "scaled_dot_product_attention", "layer_norm", "rms_norm", "group_norm", "batch_norm"),
        *("softmax", "log_softmax", "conv1d", "conv2d", "conv3d", "embedding", "silu", "max_pool2d"),
        *("sym_size", "sym_numel", "_assert_tensor_metadata", "_assert_scalar", "sym_constrain_range_for_size"),
    ]
)

# Their results have the dtype of what they write into, whatever they write.
_WRITES = frozenset(f"aten::{name}_" for name in ("copy", "index_copy", "index_put", "scatter", "fill", "zero"))


def make_functional(program: ExportedProgram) -> ExportedProgram:
    """Makes a method functional. The buffers and inputs that a call changes are outputs of its signature then.

    Args:
        program: The method; not modified.

    Returns:
        The same one where it has no such operator.
    """
    if not any(_is_mutating(node) for node in program.graph.nodes):
        return program
    rewritten = _Rewriting(program).run()
    if rewritten is not None:
        return rewritten
    with torch.no_grad():
        traced: ExportedProgram = program.run_decompositions({})  # knows all views, and takes seconds for a decoder
    return traced


def _is_mutating(node: Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


class _CannotTellError(Exception):
    """A graph where it takes a trace to know which tensors an operator changes."""


class _Rewriting:
    """Puts its functional form in the place of each operator that changes a whole buffer, or a whole result of another
    operator, that no view of is looked at later: caches are written like that."""

    def __init__(self, program: ExportedProgram) -> None:
        self._program = program
        self._graph = torch.fx.Graph()
        self._order = {node: index for index, node in enumerate(program.graph.nodes)}
        self._made: dict[Node, Node] = {}  # what stands for a node from here on
        self._same: defaultdict[Node, list[Node]] = defaultdict(list)  # nodes that are one tensor, by the first of them
        self._first: dict[Node, Node] = {}  # the other way
        self._buffers = dict(_own_buffers(program))
        self._changed: set[Node] = set()

    def run(self) -> ExportedProgram | None:
        """The method; None where the graph does not tell enough."""
        try:
            for node in self._program.graph.nodes:
                if node.op != "output":
                    self._take(node)
            return self._finish()
        except _CannotTellError:
            return None

    def _take(self, node: Node) -> None:
        if not _is_mutating(node):
            if node.op not in ("placeholder", "call_function") or not _is_plain(node):
                raise _CannotTellError
            self._made[node] = self._graph.node_copy(node, self._made.__getitem__)
            return
        form = _functional_form(node)
        changed = node.args[0]
        if form is None or not isinstance(changed, Node):
            raise _CannotTellError
        first = self._first.get(changed, changed)
        if not self._is_own(first) or any(self._is_seen_later(each, node) for each in [first, *self._same[first]]):
            raise _CannotTellError
        new = self._graph.call_function(form, *torch.fx.node.map_arg((node.args, node.kwargs), self._made.__getitem__))
        new.meta = dict(node.meta)
        self._first[node] = first
        self._same[first].append(node)
        self._made.update(dict.fromkeys([first, *self._same[first]], new))
        self._changed.add(first)

    def _is_own(self, node: Node) -> bool:
        """Whether a node's tensor is nobody else's."""
        if node.op == "placeholder":
            return node in self._buffers
        return not _may_be_view(node)

    def _is_seen_later(self, tensor: Node, write: Node) -> bool:
        """Whether views of a tensor that were made before a write are used after it."""
        waiting = [user for user in tensor.users if _may_be_view(user) and self._order[user] < self._order[write]]
        seen = set(waiting)
        while waiting:
            for user in waiting.pop().users:
                if self._order[user] >= self._order[write]:
                    return True
                if _may_be_view(user) and user not in seen:
                    seen.add(user)
                    waiting.append(user)
        return False

    def _finish(self) -> ExportedProgram:
        program = self._program
        changed = [(node, name) for node, name in self._buffers.items() if node in self._changed]
        returned = tuple(program.graph.output_node().args[0])
        made = [self._made[node] for node, _ in changed]
        given = [self._made[each] if isinstance(each, Node) else each for each in returned]
        if any(isinstance(each, Node) and self._made[each].name != each.name for each in returned):
            raise _CannotTellError  # of what it writes: names in signatures would have to follow
        self._graph.output((*made, *given))
        specs = [
            OutputSpec(OutputKind.BUFFER_MUTATION, TensorArgument(node.name), name)
            for node, (_, name) in zip(made, changed, strict=True)
        ]
        module = torch.fx.GraphModule(program.graph_module, self._graph)
        module.meta.update(program.graph_module.meta)
        return ExportedProgram(
            root=module,
            graph=self._graph,
            graph_signature=ExportGraphSignature(
                list(program.graph_signature.input_specs), [*specs, *program.graph_signature.output_specs]
            ),
            state_dict=program.state_dict,
            range_constraints=dict(program.range_constraints),
            module_call_graph=program.module_call_graph,
            example_inputs=program.example_inputs,
            constants=program.constants,
            verifiers=program.verifiers,
        )


def _own_buffers(program: ExportedProgram) -> Iterator[tuple[Node, str]]:
    """The buffers whose memory no other weight has, with their names."""
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    weights = [(spec, weight_of(program, spec)) for spec in program.graph_signature.input_specs]
    users: defaultdict[int, int] = defaultdict(int)
    for _, tensor in weights:
        if tensor is not None:
            users[memory_of(tensor)] += 1
    for spec, tensor in weights:
        if spec.kind is InputKind.BUFFER and tensor is not None and users[memory_of(tensor)] == 1 and memory_of(tensor):
            yield nodes[spec.arg.name], str(spec.target)


def _functional_form(node: Node) -> torch._ops.OpOverload | None:
    """The operator that returns what this one writes, if it writes all of its first argument and nothing else."""
    assert isinstance(node.target, torch._ops.OpOverload), "it is mutating"
    schema = node.target._schema
    written = [each.alias_info is not None and each.alias_info.is_write for each in schema.arguments]
    if not schema.name.startswith("aten::") or not schema.name.endswith("_") or written.index(True) or sum(written) > 1:
        return None
    packet = getattr(torch.ops.aten, schema.name.removeprefix("aten::")[:-1], None)
    form = getattr(packet, node.target._overloadname, None)
    if not isinstance(form, torch._ops.OpOverload) or form._schema.is_mutable:
        return None
    if [each.name for each in form._schema.arguments] != [each.name for each in schema.arguments]:
        return None
    changed = getattr(node.args[0], "meta", {}).get("val")
    if not isinstance(changed, torch.Tensor) or not _is_contiguous(changed):
        return None
    return form if schema.name in _WRITES or _gives_alike(form, node, changed) else None


def _gives_alike(form: torch._ops.OpOverload, node: Node, changed: torch.Tensor) -> bool:
    """Whether the functional form gives the dtype of what is written, which no operator in place can change."""
    arguments, keywords = torch.fx.node.map_arg((node.args, node.kwargs), lambda each: each.meta["val"])
    with torch.no_grad():
        found = form(*arguments, **keywords)
    return isinstance(found, torch.Tensor) and found.dtype == changed.dtype and _is_contiguous(found)


def _is_contiguous(tensor: torch.Tensor) -> bool:
    """Whether a fake tensor is known to be. Adds no guard on its sizes."""
    expected: Any = 1
    for size, stride in zip(reversed(tensor.shape), reversed(tensor.stride()), strict=True):
        if not statically_known_true(stride == expected):
            return False
        expected = expected * size
    return True


def _is_plain(node: Node) -> bool:
    """Whether a node is an operator as others are: no call of a graph, and no tensor from Python's functions."""
    if node.op == "placeholder" or isinstance(node.target, torch._ops.OpOverload) or node.target is operator.getitem:
        return True
    return not isinstance(node.meta.get("val"), torch.Tensor | list | tuple) and callable(node.target)


def _may_be_view(node: Node) -> bool:
    """Whether a node's tensor may lie in the memory of another one."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return node.op == "call_function" and isinstance(node.meta.get("val"), torch.Tensor)
    schema = node.target._schema
    if schema.is_mutable or any(each.alias_info is not None for each in schema.returns):
        return not schema.is_mutable  # what an operator in place returns is known by `_same`
    return schema.name not in _FRESH and node.target._can_decompose()
