"""Attention as products and a softmax.

From opset 23 on torch.onnx writes ONNX's Attention for it. TensorRT-RTX 1.6.1 refuses some networks with several of
them (float16, one mask for all: "Graph contains more than one op named ..._iota"). Below opset 23, what it writes gives
NaN or a mean where a query sees no key.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.export import ExportedProgram

__all__ = ["in_parts"]

# A mask that is that low hides a key. Where it hides all keys of a query, torch still compares these by their scores:
# it adds both in float32, where a mask that is not lower than the other leaves room for fractions.
_HIDES, _LEAVES_ROOM = -1000.0, -(2.0**17)

_ATTENTION = torch.ops.aten.scaled_dot_product_attention.default


def in_parts(program: ExportedProgram) -> ExportedProgram:
    """The method as one whose decompositions leave no `scaled_dot_product_attention`.

    Decompositions trace a method, half a second for a layer of a decoder: torch.onnx runs them anyway.

    Args:
        program: The method; not modified. Its weights are not copied.
    """
    return _InParts(program)


class _InParts(ExportedProgram):
    def __init__(self, program: ExportedProgram) -> None:
        vars(self).update(vars(program))  # it is verified already, and nothing of it changes

    def run_decompositions(self, decomp_table: Any = None, *arguments: Any, **keywords: Any) -> ExportedProgram:
        table = torch.export.default_decompositions() if decomp_table is None else dict(decomp_table)
        table[_ATTENTION] = _attention
        with torch.no_grad():
            parts: ExportedProgram = super().run_decompositions(table, *arguments, **keywords)
        return parts


def _attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """What its documentation says it is; nothing is dropped, since programs are for inference.

    Queries that see no key, such as those of padding on the left, get zeros, as torch's `_safe_softmax` gives them.
    That is put right behind the last product, by the mask alone: TensorRT-RTX 1.6.1 makes one kernel of the products
    and what is between them, but not if a `where` on the softmax is (seen by the kernels in its plans).

    Queries that see no key because of a mask of finfo.min compare all keys, as torch's kernels do. A softmax does not
    change with a number added to all of a row: where that is the mask, it is taken off before, since float16 has
    nothing below finfo.min but -inf, and few numbers above it.
    """
    seen: torch.Tensor | None = None  # whether a query sees a key
    if enable_gqa:
        groups = query.shape[-3] // key.shape[-3]
        key, value = (each.repeat_interleave(groups, dim=-3) for each in (key, value))
    if is_causal:
        attn_mask = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    scores = (query * factor) @ key.transpose(-2, -1)
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = torch.where(attn_mask, scores, float("-inf"))
        seen = None if is_causal else attn_mask.any(dim=-1, keepdim=True)  # causal: all see the first key
    elif attn_mask is not None:
        highest = attn_mask.amax(dim=-1, keepdim=True)
        seen = highest != float("-inf")
        if attn_mask.dtype in (torch.float16, torch.bfloat16):
            attn_mask = attn_mask - torch.where((highest < _HIDES) & (highest > _LEAVES_ROOM), highest, 0.0)
        scores = scores + attn_mask
    made = torch.softmax(scores, dim=-1) @ value
    if seen is not None:
        made = torch.where(seen, made, 0.0)
    if made.dim() < 4:
        return made
    return made.transpose(-3, -2).contiguous().transpose(-3, -2)  # where torch's own lies: views are taken of it
