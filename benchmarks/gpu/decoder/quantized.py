"""The decoder's matrices as integers with scales, as torchao's weight-only quantization leaves them.

They are drawn so, not rounded: what each scale is does not depend on the others' numbers, and heads.py, which has no
weights, knows it. All but the table are quantized.
"""

from __future__ import annotations

from typing import Any

import torch

GROUP = 128  # numbers of a row that have one scale, of int4
KINDS = {"int8": (127, 4.0), "int4": (7, 2.5)}  # the largest integer, and how many standard deviations it stands for


def scales(size: tuple[int, int], kind: str, seed: int, deviation: float) -> torch.Tensor:
    """float16 [rows, 1] for int8, [rows, columns / GROUP] for int4; no two the same by design.

    Args:
        size: Rows and columns of the matrix.
        kind: One of KINDS.
        seed: The matrix's.
        deviation: Of its numbers.
    """
    rows, columns = size
    largest, deviations = KINDS[kind]
    groups = 1 if kind == "int8" else columns // GROUP
    drawn = torch.rand(rows, groups, generator=torch.Generator().manual_seed(seed))
    return ((0.75 + 0.5 * drawn) * deviation * deviations / largest).half()


def integers(normal: torch.Tensor, kind: str) -> torch.Tensor:
    """int8 numbers for normally distributed ones, of the same shape."""
    largest, deviations = KINDS[kind]
    return (normal * (largest / deviations)).round().clamp(-largest - 1, largest).to(torch.int8)


def dequantized(numbers: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """float16 [rows, columns], computed as torchao does."""
    rows, groups = scale.shape
    made = numbers.view(rows, groups, -1).to(scale.dtype) * scale[:, :, None]
    return made.view(rows, -1)


def scales_behind(scale: torch.Tensor) -> torch.Tensor:
    """float32 [rows]: what the product of one row and an int8 weight is multiplied with, as
    torchtrt_ws/export/sources/onnx_scales.py has it."""
    flat = scale.float().flatten()
    return flat / 2.0 ** float(flat.max().log2().floor())


def packed(numbers: torch.Tensor) -> torch.Tensor:
    """uint8 [rows, columns / 2] of int8 numbers from -8 to 7, the first of two in the lower bits, as ONNX has INT4."""
    low, high = numbers.view(torch.uint8).view(numbers.shape[0], -1, 2).unbind(-1)
    return (low & 15) | (high << 4)


def as_torchao(numbers: torch.Tensor, scale: torch.Tensor, kind: str) -> Any:
    """The tensor that `quantize_` puts in a weight's place.

    Args:
        numbers: int8 [rows, columns]; not copied.
        scale: As `scales` gives it.
        kind: One of KINDS.
    """
    from torchao.quantization import IntxUnpackedToInt8Tensor

    return IntxUnpackedToInt8Tensor(
        qdata=numbers,
        scale=scale,
        zero_point=torch.zeros_like(scale, dtype=torch.int8),
        target_dtype=getattr(torch, kind),
        block_size=(1, numbers.shape[1] // scale.shape[1]),
        dtype=scale.dtype,
        activation_quantization=None,
    )
