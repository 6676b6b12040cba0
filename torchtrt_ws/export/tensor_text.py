"""Tensors as people write them: "x:float16:1..8x4096". Pure: no torch, no executorch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NoReturn, TypeAlias

from torchtrt_ws.blob import MAX_RANK, TensorFacts
from torchtrt_ws.dtypes import ENGINE_DTYPES
from torchtrt_ws.errors import ProgramError

__all__ = ["TensorSpecs", "parse_tensor", "parse_tensors", "tensor_text"]

TensorSpecs: TypeAlias = "str | TensorFacts | Sequence[str | TensorFacts]"

_DIMENSION = re.compile(r"([0-9]{1,10})(?:\.\.([0-9]{1,10}))?")
_MAX_SIZE = 2**31 - 1  # sizes are int32 in a program (executorch, schema/program.fbs)
_FORM = 'NAME:DTYPE:SHAPE, such as "x:float16:16x4096", or "x:float16:1..8x4096" for a dynamic dimension'


def parse_tensor(given: str | TensorFacts, keyword: str = "tensor") -> TensorFacts:
    """Reads one input or output of an engine.

    Args:
        given: "NAME:DTYPE:SHAPE", or facts, which are checked. In the text, dimensions are joined by "x", a dynamic one
            is "MIN..MAX", and a scalar has no shape ("x:float32:"). The name is the engine's, and may hold colons.
        keyword: What an error names.

    Returns:
        The facts.

    Raises:
        ProgramError: Another form, a dtype that no engine has, or a size out of range.
    """
    if isinstance(given, TensorFacts):
        given_facts = given
        given = tensor_text(given_facts)  # checked as text, so that both forms have the same rules
        if parse_tensor(given, keyword) != given_facts:
            _refuse(keyword, repr(given_facts))
        return given_facts
    if not isinstance(given, str):
        _refuse(keyword, f"a {type(given).__name__}")
    name, dtype, shape = _parts(keyword, given)
    if dtype not in ENGINE_DTYPES:
        raise ProgramError(f"{keyword} {given!r}", f"dtype {dtype!r}", ", ".join(ENGINE_DTYPES), f"Write {_FORM}.")
    low, high = _bounds(keyword, given, shape)
    dims = tuple(a if a == b else -1 for a, b in zip(low, high, strict=True))
    return TensorFacts(name, dtype, dims, low, high)


def parse_tensors(given: TensorSpecs, keyword: str) -> tuple[TensorFacts, ...]:
    """Reads the inputs, or the outputs, of an engine.

    Args:
        given: One tensor, or several in order; each as `parse_tensor` takes it.
        keyword: What an error names: "inputs" or "outputs".

    Returns:
        The facts.

    Raises:
        ProgramError: As `parse_tensor`; or no tensor, or a name twice.
    """
    items: Sequence[str | TensorFacts] = (given,) if isinstance(given, str | TensorFacts) else given
    if not isinstance(items, Sequence):
        _refuse(keyword, f"a {type(items).__name__}")
    facts = tuple(parse_tensor(item, keyword) for item in items)
    if not facts:
        raise ProgramError(keyword, "no tensors", "at least one", f"Write {_FORM}.")
    names = [each.name for each in facts]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ProgramError(keyword, f"the name {twice[0]!r} twice", "a name of its own for each tensor", "Correct it.")
    return facts


def tensor_text(facts: TensorFacts) -> str:
    """The tensor that `facts` describe, as people write it; `parse_tensor` reads it back."""
    ranges = zip(facts.min, facts.max, strict=True)
    return f"{facts.name}:{facts.dtype}:" + "x".join(str(a) if a == b else f"{a}..{b}" for a, b in ranges)


def _parts(keyword: str, given: str) -> tuple[str, str, str]:
    """Name, dtype and shape: split from the right, since names of ONNX graphs hold colons ("add:0")."""
    parts = given.rsplit(":", 2)
    if len(parts) != 3 or not parts[0] or "\0" in given:
        _refuse(keyword, repr(given))
    return parts[0], parts[1], parts[2]


def _bounds(keyword: str, given: str, shape: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    low, high = [], []
    for dimension in shape.split("x") if shape else []:
        match = _DIMENSION.fullmatch(dimension)
        if match is None:
            _refuse(keyword, repr(given))
        low.append(int(match[1]))
        high.append(int(match[2] or match[1]))
        if not low[-1] <= high[-1] <= _MAX_SIZE:
            raise ProgramError(
                f"{keyword} {given!r}", f"a dimension {dimension}", f"MIN <= MAX <= {_MAX_SIZE}", "Correct the range."
            )
    if len(low) > MAX_RANK:
        raise ProgramError(f"{keyword} {given!r}", f"{len(low)} dimensions", f"at most {MAX_RANK}", "TensorRT's limit.")
    return tuple(low), tuple(high)


def _refuse(keyword: str, found: str) -> NoReturn:
    raise ProgramError(keyword, found, _FORM, "Write one of these for each tensor.")
