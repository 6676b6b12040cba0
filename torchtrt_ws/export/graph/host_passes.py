"""Rewrites of a graph that keep its results and leave XNNPACK more of it, in fewer pieces.

`flatten_matmuls` works on what torch.export gave, before operators are decomposed; `tidy` on the edge program, before
it is partitioned. Neither retraces anything.

Source:
    XNNPACK multiplies batches of matrices with one batch dimension (aten.bmm), and its reshape infers one dimension:
    executorch/backends/xnnpack/partition/config (1.5.1). aten.matmul of four dimensions decomposes to an expand, a
    clone and a view around each operand, and the scale, mask and softmax between two of them are cut off by the views.
"""

from __future__ import annotations

import copy
import operator
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Graph, GraphModule, Node
from torch.fx.passes.infra.pass_base import PassResult

from torchtrt_ws.export.graph.copied import copied_graph, with_graph

__all__ = ["flatten_matmuls", "tidy"]

aten = torch.ops.aten

# What may lie between two products: each row of the last dimension is computed from the same row of the first argument.
ELEMENTWISE = (aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor, aten.mul.Scalar, aten.div.Scalar)
SOFTMAX = (aten.softmax.int, aten._softmax.default)


def flatten_matmuls(program: ExportedProgram) -> ExportedProgram:
    """Rewrites products of batches of matrices to `bmm`, and what lies between two of them to three dimensions.

    Args:
        program: As torch.export gives it; not modified.

    Returns:
        A program with the same results: aten.matmul of operands with the same leading dimensions is a view, a bmm and
        a view; scalars, masks, softmax and dropout between two products work on the flat value. The program itself if
        it has no such product.
    """
    if not any(_is_batched(node) for node in program.graph.nodes):
        return program
    graph, _ = copied_graph(program)
    signature = copy.deepcopy(program.graph_signature)
    for old, new in _Flattener(graph).run().items():
        signature.replace_all_uses(old, new)  # outputs are known by the names of their nodes
    return with_graph(program, graph, signature)


def tidy(module: GraphModule) -> PassResult:
    """Takes copies that change nothing out of an edge graph, and writes a view's one dynamic dimension as -1.

    Args:
        module: The graph of an edge program; changed in place.

    Returns:
        The same graph, as exir wants it from a pass.
    """
    from executorch.exir.dialects._ops import ops

    edge = ops.edge.aten
    for node in list(module.graph.nodes):
        if node.op != "call_function":
            continue
        if node.target == edge.expand_copy.default and _same(node, node.args[0]):
            _bypass(node)
        elif node.target in (edge.clone.default, ops.edge.dim_order_ops._clone_dim_order.default):
            if _same(node, node.args[0]):
                _bypass(node)
        elif node.target == edge.view_copy.default:
            dynamic = [size for size in node.meta["val"].shape if not isinstance(size, int)]
            if len(dynamic) == 1:
                node.update_arg(1, [size if isinstance(size, int) else -1 for size in node.meta["val"].shape])
    module.graph.eliminate_dead_code()
    module.recompile()
    return PassResult(module, True)


def _same(node: Node, source: Any) -> bool:
    before, after = source.meta["val"], node.meta["val"]
    return (
        _equal(before.shape, after.shape)
        and before.dtype == after.dtype
        and list(before.dim_order()) == list(after.dim_order())
    )


def _bypass(node: Node) -> None:
    """Takes a copy out, unless the method returns it or it copies an input: those must stay apart."""
    source = node.args[0]
    assert isinstance(source, Node)
    if source.op != "placeholder" and all(user.op != "output" for user in node.users):
        node.replace_all_uses_with(source)


def _is_batched(node: Node) -> bool:
    """Whether it is a product of operands with the same two or more leading dimensions."""
    if node.target != aten.matmul.default:
        return False
    args: tuple[Any, ...] = node.args
    left, right = (each.meta["val"] for each in args)
    return left.dim() == right.dim() >= 4 and _equal(left.shape[:-2], right.shape[:-2])


def _equal(left: Any, right: Any) -> bool:
    """Whether sizes are known to be equal. Adds no guard on the symbolic ones."""
    from torch.fx.experimental.symbolic_shapes import statically_known_true

    return len(left) == len(right) and all(statically_known_true(a == b) for a, b in zip(left, right, strict=True))


class _Flattener:
    """Computes [a, b, .., m, n] as [a * b * .., m, n], from a product on for as long as the operators allow."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.flats: dict[Node, Node] = {}  # of nodes that are computed flat
        self.shapes: dict[Node, list[Any]] = {}  # of the same: their sizes, each an int or a node
        self.views: dict[Any, Node] = {}  # flat views of other nodes
        self.known: dict[Any, Node] = {}  # symbolic sizes that have a node already

    def run(self) -> dict[str, str]:
        """Rewrites the graph. Returns the names of nodes that it replaced, and of what stands for them."""
        old = list(self.graph.nodes)
        for node in old:
            value = node.meta.get("val")
            if isinstance(value, torch.SymInt):
                self.known.setdefault(value.node.expr, node)
            if node.op == "call_function":
                with self.graph.inserting_before(node):
                    self.compute(node)
        names = {}
        others = set(old) - set(self.flats)
        for node in self.flats:
            if others.intersection(node.users):
                with self.graph.inserting_before(node):
                    back = self.emit(aten.view.default, self.flats[node], self.shapes[node])
                back.meta = {**node.meta, "val": back.meta["val"]}
                node.replace_all_uses_with(back, lambda user: user in others)
                names[node.name] = back.name
        self.graph.eliminate_dead_code()
        return names

    def compute(self, node: Node) -> None:
        """Gives a product, or what continues one, its flat value."""
        args: tuple[Any, ...] = node.args
        if _is_batched(node):
            left, right = args
            flat = self.emit(aten.bmm.default, self.operand(left), self.operand(right))
            rank = node.meta["val"].dim()
            shape = [self.size(left, dim) for dim in range(rank - 1)] + [self.size(right, rank - 1)]
        else:
            source = next((each for each in args[:2] if isinstance(each, Node) and each in self.flats), None)
            continued = None if source is None else self.proceed(node, source)
            if source is None or continued is None:
                return
            flat, shape = continued, self.shapes[source]
        if flat not in self.flats.values():
            flat.meta = {**node.meta, "val": flat.meta["val"]}
        self.flats[node], self.shapes[node] = flat, shape

    def proceed(self, node: Node, source: Node) -> Node | None:
        """The flat value of what continues a product, if it is of the operators that may."""
        args: tuple[Any, ...] = node.args
        rank = source.meta["val"].dim()
        if node.target == aten.dropout.default and args[2] is False:
            return self.flats[source]
        if node.target in SOFTMAX and args[1] in (-1, rank - 1):
            return self.emit(node.target, self.flats[source], -1, *args[2:], **node.kwargs)
        if node.target in ELEMENTWISE and _equal(node.meta["val"].shape, source.meta["val"].shape):
            operands = [self.flat_like(each, source) for each in args[:2]]
            return self.emit(node.target, *operands, *args[2:], **node.kwargs)
        return None

    def flat_like(self, operand: Any, source: Node) -> Any:
        """An operand for the flat value of `source`: flat itself, if it has the same leading dimensions."""
        leading = source.meta["val"].shape[:-2]
        if operand in self.flats and _equal(operand.meta["val"].shape[:-2], leading):
            return self.flats[operand]
        return self.broadcast(operand, source)

    def operand(self, node: Node) -> Node:
        """A value of four or more dimensions with its leading ones as one."""
        if node in self.flats:
            return self.flats[node]
        if node not in self.views:
            args: tuple[Any, ...] = node.args
            rank = node.meta["val"].dim()
            if node.target == aten.transpose.int and {dim % rank for dim in args[1:]} == {rank - 2, rank - 1}:
                self.views[node] = self.emit(aten.transpose.int, self.operand(args[0]), 1, 2)
            else:
                leading = [self.size(node, dim) for dim in range(rank - 2)]
                last = [self.size(node, dim) for dim in (rank - 2, rank - 1)]
                self.views[node] = self.view(node, [self.product(leading), *last])
        return self.views[node]

    def broadcast(self, other: Any, to: Node) -> Any:
        """The other operand of an element-wise operator, a mask or a number, for the flat value of `to`."""
        value = other.meta["val"] if isinstance(other, Node) else None
        if not isinstance(value, torch.Tensor) or value.dim() <= 2:
            return other
        last = [self.size(other, dim) for dim in (value.dim() - 2, value.dim() - 1)]
        leading = [self.size(to, dim) for dim in range(to.meta["val"].dim() - 2)]
        key = (other, *leading)
        if key not in self.views:
            if _equal(value.shape[:-2], [1] * (value.dim() - 2)):
                self.views[key] = self.view(other, [1, *last])
            else:
                wide = self.emit(aten.expand.default, other, [*leading, *last])
                self.views[key] = self.view(wide, [self.product(leading), *last])
        return self.views[key]

    def view(self, node: Node, shape: list[Any]) -> Node:
        # What is viewed is permuted as a rule, and a view wants it in order; `tidy` takes out the copies of no use.
        copy = self.emit(aten.clone.default, node, memory_format=torch.contiguous_format)
        return self.emit(aten.view.default, copy, shape)

    def size(self, node: Node, dim: int) -> Any:
        """A size as an int, or as the node that computes it."""
        if node in self.shapes:
            return self.shapes[node][dim]
        size = node.meta["val"].shape[dim]
        return size if isinstance(size, int) else self.symbolic(size, aten.sym_size.int, node, dim)

    def product(self, sizes: list[Any]) -> Any:
        result = sizes[0]
        for size in sizes[1:]:
            if isinstance(result, int) and isinstance(size, int):
                result *= size
            else:
                result = self.symbolic(_value(result) * _value(size), operator.mul, result, size)
        return result

    def symbolic(self, value: Any, target: Any, *args: Any) -> Node:
        expression = value.node.expr
        if expression not in self.known:
            self.known[expression] = self.emit(target, *args)
        return self.known[expression]

    def emit(self, target: Any, *args: Any, **kwargs: Any) -> Node:
        node = self.graph.call_function(target, args, kwargs)
        values = torch.fx.node.map_arg((args, kwargs), _value)
        node.meta["val"] = target(*values[0], **values[1])
        return node


def _value(of: Any) -> Any:
    return of.meta["val"] if isinstance(of, Node) else of
