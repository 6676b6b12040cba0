"""The forms of quantized weights that TensorRT-RTX multiplies with as they are.

Source:
    TensorRT-RTX 1.6.1 on an H200 (benchmarks/gpu/forms.py, benchmarks/results/forms-h200.md). One kernel takes the
    integers and multiplies: int8 with one scale, or with one for each row; int4 with one for each group of a row, of 16
    to 1024 numbers. Other scales are multiplied in a kernel before it: it writes the weight as floats, and those of all
    products lie in the memory of the execution context together, which is what quantizing was to save. int4 in a model
    of float32 builds, and no execution context can be made of it.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from torchtrt_ws.export.graph.dequantize import PER_ROW, PER_TENSOR
from torchtrt_ws.export.graph.quantized_matrix import QuantizedMatrix

__all__ = ["in_a_form_of_tensorrt"]

_GROUPS = (128, 64, 32, 16, 256, 512, 1024)  # the first that fits is taken; torchao's own default is the first


def in_a_form_of_tensorrt(matrix: QuantizedMatrix) -> QuantizedMatrix | None:
    """The same numbers in such a form.

    Args:
        matrix: What a module has.

    Returns:
        It, or one that has scales repeated; None if there is no such form.
    """
    if matrix.four_bits and matrix.scale.dtype != torch.float32:
        grouped = _in_groups(matrix)
        if grouped is not None:
            return grouped
    if matrix.group in (PER_ROW, PER_TENSOR):
        return replace(matrix, four_bits=False)
    return None


def _in_groups(matrix: QuantizedMatrix) -> QuantizedMatrix | None:
    rows, columns = matrix.integers.shape
    whole = matrix.group if matrix.group > 0 else columns
    group = whole if whole in _GROUPS and matrix.group > 0 else next((each for each in _GROUPS if whole % each == 0), 0)
    if not group:
        return None
    scale = matrix.scale.reshape(-1, 1) if matrix.group <= 0 else matrix.scale
    scale = scale.expand(rows, scale.shape[1]).repeat_interleave(whole // group, dim=1)
    return replace(matrix, scale=scale, group=group)
