"""Weights of integers in an ONNX model: DequantizeLinear, which TensorRT makes one kernel of with the product."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from torchtrt_ws.export.graph.dequantize import PER_ROW

__all__ = ["FIRST_WITH_GROUPS", "dequantize_linear", "with_four_bits"]

FIRST_WITH_GROUPS = 21  # opset of DequantizeLinear with scales for groups, and of INT4


def dequantize_linear(weight: Any, scale: Any, group: int) -> Any:
    """What torch.onnx is to write for `torchtrt_ws::dequantize`.

    Args:
        weight: onnxscript's value for it; of UINT8 where two integers are in a byte (`with_four_bits`).
        scale: The scales.
        group: As the operator takes it.
    """
    from onnxscript import values

    opset = values.Opset("", FIRST_WITH_GROUPS)
    how = {"axis": 1, "block_size": group} if group > 0 else {"axis": 0} if group == PER_ROW else {}
    return values.Op(opset, "DequantizeLinear")(weight, scale, **how)


def with_four_bits(graph: Any) -> None:
    """Says of weights with two integers in a byte that they are INT4.

    Args:
        graph: An `onnx_ir.Graph` with what `dequantize_linear` wrote; changed in place. No weight is copied.
    """
    import onnx_ir

    for value in list(graph.initializers.values()):
        given = value.const_value
        if value.dtype != onnx_ir.DataType.UINT8 or given is None:
            continue
        users = value.uses()
        if not users or any(user.op_type != "DequantizeLinear" or index != 0 for user, index in users):
            continue
        packed = given.raw.detach().cpu().numpy() if isinstance(given.raw, torch.Tensor) else np.asarray(given.raw)
        shape = onnx_ir.Shape((packed.shape[0], 2 * packed.shape[1]))
        four = onnx_ir.DataType.INT4
        value.const_value = onnx_ir.PackedTensor(packed, four, shape=shape, name=value.name)
        value.shape, value.type = shape, onnx_ir.TensorType(four)
