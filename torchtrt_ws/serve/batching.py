"""Which requests go into one call, and which rows of its outputs are whose. Knows no Ray and no programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["grouped", "joined", "rows", "shares"]

Array = np.ndarray[Any, Any]
Tensors = Mapping[str, Array]


def rows(tensors: Tensors) -> int | None:
    """Rows of a request with `tensors`: the size of their first dimensions, if all have the same, not 0; else None."""
    sizes = {array.shape[0] if array.ndim else 0 for array in tensors.values()}
    size = sizes.pop() if len(sizes) == 1 else 0
    return size or None


def grouped(requests: Sequence[Tensors], limit: int | None) -> list[list[int]]:
    """Puts requests into calls: those of one call differ in rows only, and have at most `limit` of them together.

    Args:
        requests: Tensors by name.
        limit: Rows of a call. None: each request is a call of its own.

    Returns:
        Positions in `requests`, each once; within a call, and among calls of equal shapes, in the order of arrival.
    """
    calls: list[list[int]] = []
    open_calls: dict[object, tuple[list[int], int]] = {}  # by shapes: the last call of these, and its rows
    for position, tensors in enumerate(requests):
        size = rows(tensors)
        if limit is None or size is None:
            calls.append([position])
            continue
        key = tuple((name, array.dtype.str, array.shape[1:]) for name, array in sorted(tensors.items()))
        call, taken = open_calls.get(key, ([], limit))
        if taken + size > limit:
            call, taken = [], 0
            calls.append(call)
        call.append(position)
        open_calls[key] = call, taken + size
    return calls


def joined(requests: Sequence[Tensors]) -> Tensors:
    """The inputs of one call for `requests`: along the first dimension, in order. A single one's are its own memory."""
    if len(requests) == 1:
        return requests[0]
    return {name: np.concatenate([tensors[name] for tensors in requests]) for name in requests[0]}


def shares(outputs: Tensors, sizes: Sequence[int]) -> list[Tensors]:
    """The outputs of one call, taken apart again: views, no copies.

    Args:
        outputs: Array by name.
        sizes: Rows of each request, in the order of `joined`.
    """
    ends = np.cumsum(sizes)
    return [
        {name: array[end - size : end] for name, array in outputs.items()}
        for size, end in zip(sizes, ends.tolist(), strict=True)
    ]
