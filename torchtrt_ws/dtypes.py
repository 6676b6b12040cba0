"""The dtypes of tensors, in one table: torch's names, sizes, and what ExecuTorch and TensorRT call them. Pure.

The C++ twin is cpp/engine/dtype.cpp; a test holds both equal.

Source:
    ExecuTorch 1.5.1, runtime/core/portable_type/scalar_type.h (numbers); TensorRT, NvInferRuntimeBase.h, DataType,
    where FP8 is E4M3.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["BY_SCALAR_TYPE", "ENGINE_DTYPES", "FROM_TENSORRT", "TABLE", "TO_TENSORRT", "Dtype"]


class Dtype(NamedTuple):
    """One dtype: torch's name, bytes of an element, ExecuTorch's ScalarType, TensorRT's DataType.

    `tensorrt` is the name in TensorRT's Python bindings; None: TensorRT has no such type. `exported` is False for what
    ExecuTorch's exporter cannot write into a program (executorch/exir/tensor.py, 1.5.1).
    """

    name: str
    nbytes: int
    scalar_type: int
    tensorrt: str | None = None
    exported: bool = True


TABLE = (
    Dtype("uint8", 1, 0, "UINT8"),
    Dtype("int8", 1, 1, "INT8"),
    Dtype("int16", 2, 2),
    Dtype("int32", 4, 3, "INT32"),
    Dtype("int64", 8, 4, "INT64"),
    Dtype("float16", 2, 5, "HALF"),
    Dtype("float32", 4, 6, "FLOAT"),
    Dtype("float64", 8, 7),
    Dtype("bool", 1, 11, "BOOL"),
    Dtype("bfloat16", 2, 15, "BF16"),
    Dtype("float8_e5m2", 1, 23),
    Dtype("float8_e4m3fn", 1, 24, "FP8"),
    Dtype("float8_e5m2fnuz", 1, 25, exported=False),
    Dtype("float8_e4m3fnuz", 1, 26, exported=False),
    Dtype("uint16", 2, 27),
    Dtype("uint32", 4, 28),
    Dtype("uint64", 8, 29, exported=False),
)

BY_SCALAR_TYPE = {dtype.scalar_type: dtype for dtype in TABLE}
TO_TENSORRT = {dtype.name: dtype.tensorrt for dtype in TABLE if dtype.tensorrt is not None}
FROM_TENSORRT = {tensorrt: name for name, tensorrt in TO_TENSORRT.items()}

# What an engine's inputs and outputs may be.
ENGINE_DTYPES = tuple(dtype.name for dtype in TABLE if dtype.exported)
