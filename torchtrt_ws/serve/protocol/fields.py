"""Fields of JSON objects that nobody checked yet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torchtrt_ws.errors import ProgramError

__all__ = ["MAX_RANK", "objects", "parameters", "refused", "shape", "text"]

MAX_RANK = 16  # of a tensor, as ExecuTorch has it (runtime/core/exec_aten/util/tensor_dimension_limit.h)
_MAX_TENSORS = 4096
_MAX_ELEMENTS = 2**40


def refused(subject: str, found: object, expected: str) -> ProgramError:
    """The error for a request that is not of the protocol.

    Args:
        subject: What is wrong.
        found: What was there; 80 characters of it are shown.
        expected: What is accepted.
    """
    return ProgramError(subject, f"{found!r:.80}", expected, "Mend the request.")


def text(item: Mapping[str, Any], key: str, subject: str) -> str:
    """A string of at most 1024 characters.

    Args:
        item: The object.
        key: Of the field.
        subject: What an error names.
    """
    value = item.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= 1024:
        raise refused(f"{key!r} of {subject}", value, "a string")
    return value


def objects(item: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """A list of objects; empty where the field is missing.

    Args:
        item: The object.
        key: Of the field.
    """
    value = item.get(key, [])
    if not isinstance(value, list) or len(value) > _MAX_TENSORS or not all(isinstance(each, dict) for each in value):
        raise refused(repr(key), value, f"a list of at most {_MAX_TENSORS} objects")
    return value


def parameters(item: Mapping[str, Any], subject: str) -> Mapping[str, Any]:
    """The object under "parameters"; an empty one where the field is missing.

    Args:
        item: What may have it.
        subject: What an error names.
    """
    value = item.get("parameters", {})
    if not isinstance(value, dict):
        raise refused(f"'parameters' of {subject}", value, "an object")
    return value


def shape(item: Mapping[str, Any], subject: str) -> tuple[int, ...]:
    """The sizes under "shape".

    Args:
        item: The tensor.
        subject: What an error names.
    """
    value = item.get("shape")
    sizes = value if isinstance(value, list) and len(value) <= MAX_RANK else [None]
    if (
        any(type(size) is not int or not 0 <= size < _MAX_ELEMENTS for size in sizes)
        or math.prod(size or 1 for size in sizes) > _MAX_ELEMENTS  # numpy asks it of the others, too
    ):
        raise refused(f"'shape' of {subject}", value, f"a list of at most {MAX_RANK} sizes")
    return tuple(sizes)
