"""A constant of a graph as a matrix of integers with scales, as torchao and others compute it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.fx import Node

from torchtrt_ws.export.graph.dequantize import PER_ROW, PER_TENSOR
from torchtrt_ws.export.graph.weight_values import WeightValues, is_check, schema

__all__ = ["CASTS", "INTEGERS", "QuantizedMatrix", "matrix_of", "with_scale_behind"]

INTEGERS = (torch.int8,)
CASTS = ("aten::_to_copy", "aten::to")
_SAME = ("aten::detach", "aten::alias", "aten::clone", "aten::contiguous")


@dataclass(frozen=True)
class QuantizedMatrix:
    """What a node computes: integers times scales.

    Args:
        integers: int8 [rows, columns].
        scale: As `torchtrt_ws::dequantize` takes it.
        group: The same.
        transposed: Whether the node has rows as columns.
        four_bits: Whether the integers are from -8 to 7.
    """

    integers: torch.Tensor
    scale: torch.Tensor
    group: int = PER_TENSOR
    transposed: bool = False
    four_bits: bool = False


def matrix_of(node: Node, values: WeightValues) -> QuantizedMatrix | None:
    """Reads what a node computes.

    Args:
        node: Of `values.nodes`, with a tensor.
        values: Of the program.

    Returns:
        It; None where it is something else.
    """
    name = schema(node)
    source: Any = node.args[0] if node.args else None
    if node not in values.quantized or node.meta["val"].dim() != 2 or not isinstance(source, Node):
        return None
    if name == "torchao::dequantize_affine":
        return _affine(node, values)
    if name in CASTS and source.meta["val"].dtype in INTEGERS:
        return _plain(node, source, values)
    if name in ("aten::mul", "aten::div"):
        return _scaled(node, values)
    found = matrix_of(source, values) if name in (*CASTS, *_SAME) or _turns(node) else None
    if found is None:
        return None
    scale = found.scale.to(node.meta["val"].dtype)
    return replace(found, scale=scale, transposed=found.transposed != _turns(node))


def _affine(node: Node, values: WeightValues) -> QuantizedMatrix | None:
    assert isinstance(node.target, torch._ops.OpOverload), "it has a schema"
    arguments: dict[str, Any] = dict(
        zip((each.name for each in node.target._schema.arguments), node.args, strict=False)
    )
    arguments.update(node.kwargs)
    integers = values.value(arguments["input"])
    zero = arguments.get("zero_point")
    if integers.dtype not in INTEGERS or (zero is not None and values.value(zero).any()):
        return None
    (rows, columns), block = integers.shape, list(arguments["block_size"])
    if block == [rows, columns]:
        group, shape = PER_TENSOR, []
    elif block == [1, columns]:
        group, shape = PER_ROW, [rows]
    elif block[0] == 1 and columns % block[1] == 0:
        group, shape = block[1], [rows, columns // block[1]]
    else:
        return None
    scale = values.value(arguments["scale"]).reshape(shape).to(node.meta["val"].dtype)
    smallest, largest = arguments.get("quant_min"), arguments.get("quant_max")
    declared = smallest is not None and largest is not None and smallest >= -8 and largest <= 7
    four_bits = declared and columns % 2 == 0 and bool(integers.min() >= -8) and bool(integers.max() <= 7)
    return QuantizedMatrix(integers.contiguous(), scale, group, four_bits=four_bits)


def _plain(node: Node, source: Node, values: WeightValues) -> QuantizedMatrix | None:
    integers = values.value(source)
    transposed = not integers.is_contiguous() and integers.t().is_contiguous()
    integers = integers.t() if transposed else integers.contiguous()
    return QuantizedMatrix(integers, torch.ones((), dtype=node.meta["val"].dtype), transposed=transposed)


def _scaled(node: Node, values: WeightValues) -> QuantizedMatrix | None:
    """A product, element by element, with a number, or with one for each row."""
    pairs = [node.args, node.args[::-1]] if schema(node) == "aten::mul" else [node.args]
    for source, factor in pairs:
        found = matrix_of(source, values) if isinstance(source, Node) and source in values.quantized else None
        if found is None:
            continue
        factors = values.value(factor) if isinstance(factor, Node) else torch.tensor(factor)
        if schema(node) == "aten::div":
            factors = 1 / factors
        scaled = _times(found, factors)
        if scaled is not None:
            return replace(scaled, scale=scaled.scale.to(node.meta["val"].dtype))
    return None


def _times(matrix: QuantizedMatrix, factors: torch.Tensor) -> QuantizedMatrix | None:
    """With scales that are multiplied, if `factors` is a number, or one for each row."""
    rows = matrix.integers.shape[0]
    shape = list(factors.shape)
    if factors.numel() == 1:
        return replace(matrix, scale=matrix.scale * factors.reshape(()))
    for_rows = shape in ([rows], [1, rows]) if matrix.transposed else shape == [rows, 1]
    if not for_rows:
        return None
    factors = factors.reshape(rows)
    if matrix.group > 0:
        return replace(matrix, scale=matrix.scale * factors[:, None])
    return replace(matrix, scale=matrix.scale * factors, group=PER_ROW)


def _turns(node: Node) -> bool:
    """Whether it makes rows of a matrix columns."""
    name, places = schema(node), list(node.args[1:])
    if name in ("aten::t", "aten::numpy_T"):
        return True
    if name == "aten::transpose":
        return sorted(each % 2 for each in places if isinstance(each, int)) == [0, 1]
    return name == "aten::permute" and [each % 2 for each in places[0]] == [1, 0]  # type: ignore[union-attr, operator]


def with_scale_behind(
    root: Node, matrix: QuantizedMatrix, values: WeightValues
) -> tuple[QuantizedMatrix, list[tuple[Node, Node]]]:
    """A product that is multiplied with a scale for each of its columns, as torchao has it, as one with scaled weights:
    that is what TensorRT makes one kernel of, and integers times float16 may be above what float16 has.

    Args:
        root: Of `values.nodes`.
        matrix: What it computes.
        values: Of the program.

    Returns:
        The matrix, and which products are what which nodes were; none where it is something else.
    """
    users = [user for user in root.users if not is_check(user)]
    found = [_scale_behind(root, user, matrix, values) for user in users]
    scales = [each for each in found if each is not None]
    if not scales or len(scales) < len(found):
        return matrix, []
    first = scales[0][1]
    if any(each.shape != first.shape or not torch.equal(each, first) for _, each in scales):
        return matrix, []
    scaled = _times(matrix, first)
    if scaled is None:
        return matrix, []
    scaled = replace(scaled, scale=scaled.scale.to(matrix.scale.dtype))
    return scaled, [(user, node) for user, (node, _) in zip(users, scales, strict=True)]


def _scale_behind(
    root: Node, product: Node, matrix: QuantizedMatrix, values: WeightValues
) -> tuple[Node, torch.Tensor] | None:
    """The node that multiplies a product, and its factors."""
    users = [user for user in product.users if not is_check(user)]
    multiplied = matrix.transposed and schema(product) in ("aten::mm", "aten::matmul") and product.args[1] is root
    if not multiplied or product.args[0] is root or len(users) != 1 or schema(users[0]) != "aten::mul":
        return None
    (scaled,) = users
    others = [each for each in scaled.args if each is not product]
    if len(others) != 1 or not isinstance(others[0], Node) or others[0] not in values.nodes:
        return None
    if scaled.meta["val"].dtype != product.meta["val"].dtype or scaled.meta["val"].dim() != product.meta["val"].dim():
        return None
    factors = values.value(others[0])
    rows = matrix.integers.shape[0]
    return (scaled, factors) if list(factors.shape) in ([], [1], [rows]) else None
