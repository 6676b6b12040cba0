"""The operator `torchtrt_ws::cache_update`: writes rows that lie together into a cache, which TensorRT does in place.

Modules have `index_copy_` or an assignment with indices, which may be any rows. TensorRT's `IKVCacheUpdateLayer`
(ONNX's TensorScatter) takes where the first of them goes: it stands for writes whose rows are seen to lie together.
"""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["AXIS", "OPERATOR", "first_row", "is_cache"]

Node = torch.fx.Node

AXIS = 2  # of a cache: [batch, heads, rows, size]
_NAME = "torchtrt_ws::cache_update"
_library = torch.library.Library("torchtrt_ws", "FRAGMENT")  # type: ignore[no-untyped-call]
_library.define("cache_update(Tensor cache, Tensor rows, Tensor first) -> Tensor")  # type: ignore[no-untyped-call]


@torch.library.impl(_library, "cache_update", "CompositeExplicitAutograd")
def _run(cache: torch.Tensor, rows: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
    return cache.index_copy(AXIS, first + torch.arange(rows.shape[AXIS], device=first.device), rows)


@torch.library.register_fake(_NAME)  # type: ignore[untyped-decorator]
def _fake(cache: torch.Tensor, rows: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(cache)


OPERATOR = torch.ops.torchtrt_ws.cache_update.default

# The same numbers in the same order.
_VIEWS = frozenset(f"aten::{name}" for name in ("view", "reshape", "alias", "clone", "contiguous", "detach", "squeeze"))


def is_cache(value: Any) -> bool:
    """Whether TensorRT has such a cache: [batch, heads, rows, size], all fixed.

    Args:
        value: A fake tensor.
    """
    return value.dim() == 4 and all(isinstance(size, int) for size in value.shape)


def first_row(node: Node, cache: Node) -> tuple[Node, Node] | None:
    """What a node writes into a cache, if it does only that and the rows lie together.

    Args:
        node: A node of a graph without operators that change a tensor in place.
        cache: The cache.

    Returns:
        The rows [batch, heads, count, size], and a tensor of one integer, where the first of them goes.
    """
    name = _operator(node)
    if name == "aten::index_copy" and node.args[0] is cache and node.args[1] in (AXIS, AXIS - 4):
        index, rows = node.args[2], node.args[3]
    elif name == "aten::index_put" and node.args[0] is cache and not (len(node.args) > 3 and node.args[3]):
        indices = node.args[1]
        if not isinstance(indices, list | tuple) or len(indices) != AXIS + 1 or any(each for each in indices[:AXIS]):
            return None
        index, rows = indices[AXIS], node.args[2]
    else:
        return None
    assert isinstance(index, Node) and isinstance(rows, Node), "operators of aten"
    rows = _seen_through(rows)
    shape, whole = rows.meta["val"].shape, cache.meta["val"].shape
    if len(shape) != len(whole) or any(shape[each] != whole[each] for each in range(4) if each != AXIS):
        return None  # index_put broadcasts
    first = _first_of(index, shape[AXIS])
    return None if first is None else (rows, first)


def _first_of(index: Node, count: Any) -> Node | None:
    """The node with the first index of `count`, where the others follow it."""
    index = _seen_through(index)
    value = index.meta["val"]
    if value.numel() == 1 and count == 1:
        return index
    if _operator(index) != "aten::add" or index.kwargs.get("alpha", 1) != 1:
        return None
    for steps, first in (index.args, reversed(index.args)):
        if not isinstance(steps, Node) or not isinstance(first, Node) or not _counts_from_zero(_seen_through(steps)):
            continue
        if isinstance(first.meta["val"], torch.Tensor) and first.meta["val"].numel() == 1:
            return first
    return None


def _counts_from_zero(node: Node) -> bool:
    """Whether it is 0, 1, 2, ..."""
    if _operator(node) != "aten::arange":
        return False
    given = node.args
    start = given[0] if len(given) > 1 else 0
    step = given[2] if len(given) > 2 else 1
    return bool(start == 0 and step == 1)


def _seen_through(node: Node) -> Node:
    """The node that has the same numbers in another shape."""
    while _operator(node) in _VIEWS and isinstance(node.args[0], Node):
        node = node.args[0]
    return node


def _operator(node: Node) -> str:
    return node.target._schema.name if isinstance(node.target, torch._ops.OpOverload) else ""
