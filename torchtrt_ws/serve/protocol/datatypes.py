"""Datatypes: the protocol's names, torch's and numpy's."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

__all__ = ["DATATYPES", "NAMES", "numpy_dtype"]

NAMES = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "BF16": "bfloat16",
    "FP32": "float32",
    "FP64": "float64",
}
"""torch's name of each datatype of the protocol. It has no float8, and programs have no BYTES."""

DATATYPES = {name: datatype for datatype, name in NAMES.items()}
"""The other way round."""


def numpy_dtype(datatype: str) -> np.dtype[Any]:
    """numpy's dtype of a datatype; BF16 is that of `ml_dtypes`.

    Args:
        datatype: One of `NAMES`.
    """
    return np.dtype(ml_dtypes.bfloat16 if datatype == "BF16" else NAMES[datatype])
