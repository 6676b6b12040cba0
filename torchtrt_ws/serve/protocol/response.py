"""An inference response: from arrays to the bytes of its body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from torchtrt_ws.errors import ProgramError
from torchtrt_ws.serve.protocol.datatypes import DATATYPES
from torchtrt_ws.serve.protocol.request import Array, InferRequest, Wanted

__all__ = ["encode"]


def encode(request: InferRequest, model: str, version: str, outputs: Mapping[str, Array]) -> tuple[bytes, int | None]:
    """Writes a response.

    Args:
        request: What was asked: which outputs, and how.
        model: Its name.
        version: Of the model.
        outputs: All that the model gave: array by name, in its order.

    Returns:
        The body; and how many of its bytes are the JSON object, for `Inference-Header-Content-Length`, where tensors
        lie behind it, else None.

    Raises:
        ProgramError: An output that the model does not have, or numbers that JSON does not have: infinities and NaN.
    """
    described: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for wanted in request.outputs or [Wanted(name, request.binary) for name in outputs]:
        array = outputs.get(wanted.name)
        if array is None:
            raise ProgramError(model, f"output {wanted.name!r}", f"one of {', '.join(outputs)}", "Mend the request.")
        item: dict[str, Any] = {
            "name": wanted.name,
            "datatype": DATATYPES[array.dtype.name],
            "shape": list(array.shape),
        }
        if wanted.binary:
            parts.append(np.ascontiguousarray(array).tobytes())
            item["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            plain = array.astype(np.float32) if array.dtype.name == "bfloat16" else array  # whose scalars JSON lacks
            item["data"] = plain.ravel().tolist()
        described.append(item)
    answer: dict[str, Any] = {"model_name": model, "model_version": version, "outputs": described}
    if request.id is not None:
        answer["id"] = request.id
    try:
        head = json.dumps(answer, allow_nan=False).encode()
    except ValueError:
        raise ProgramError(
            model, "outputs with NaN or infinity", "finite numbers in JSON", "Ask for them with binary_data."
        ) from None
    return b"".join([head, *parts]), len(head) if parts else None
