"""The operator `torchtrt_ws::dequantize`: a weight of integers, which are multiplied with scales.

It stands for what torchao and others compute before a product, and becomes ONNX's DequantizeLinear: TensorRT makes one
kernel of that and the product, and keeps the weight as it is, in the plan and on its way to the device.
"""

from __future__ import annotations

import torch

__all__ = ["OPERATOR", "PER_ROW", "PER_TENSOR", "pack"]

PER_TENSOR, PER_ROW = 0, -1  # what `group` says of scales that are no groups'

_NAME = "torchtrt_ws::dequantize"
_library = torch.library.Library("torchtrt_ws", "FRAGMENT")  # type: ignore[no-untyped-call]
_library.define("dequantize(Tensor weight, Tensor scale, int group) -> Tensor")  # type: ignore[no-untyped-call]


def pack(weight: torch.Tensor) -> torch.Tensor:
    """Two integers a byte, the first in its lower bits, as ONNX has them.

    Args:
        weight: int8 [rows, columns], from -8 to 7; an even number of columns.

    Returns:
        uint8 [rows, columns / 2].
    """
    nibbles = weight.view(torch.uint8) & 15
    return nibbles[:, 0::2] | (nibbles[:, 1::2] << 4)


@torch.library.impl(_library, "dequantize", "CompositeExplicitAutograd")
def _run(weight: torch.Tensor, scale: torch.Tensor, group: int) -> torch.Tensor:
    """Numbers of the dtype of the scales.

    Args:
        weight: int8 [rows, columns], or as `pack` gives it.
        scale: [] for `PER_TENSOR`, [rows] for `PER_ROW`, else [rows, columns / group].
        group: How many numbers of a row have one scale; or one of these two.
    """
    if weight.dtype == torch.uint8:
        signed = torch.stack([weight << 4, weight & 0xF0], dim=-1).view(torch.int8) >> 4
        weight = signed.reshape(weight.shape[0], -1)
    if group > 0:
        scale = scale.repeat_interleave(group, dim=1)
    return weight.to(scale.dtype) * (scale[:, None] if group == PER_ROW else scale)


@torch.library.register_fake(_NAME)  # type: ignore[untyped-decorator]
def _fake(weight: torch.Tensor, scale: torch.Tensor, group: int) -> torch.Tensor:
    columns = weight.shape[1] * (2 if weight.dtype == torch.uint8 else 1)
    return weight.new_empty((weight.shape[0], columns), dtype=scale.dtype)


OPERATOR = torch.ops.torchtrt_ws.dequantize.default
