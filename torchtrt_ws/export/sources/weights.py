"""The keyword `weights` of `save_plan`: from where a plan that was built without its weights gets which of them."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from torchtrt_ws.errors import ProgramError
from torchtrt_ws.export.engine.weight import Weight
from torchtrt_ws.export.sources.weight_arrays import from_arrays, from_safetensors
from torchtrt_ws.export.sources.weight_onnx import from_onnx

__all__ = ["MissingWeight", "WeightSource", "checked", "from_onnx", "read_source", "taken"]

_LOG = logging.getLogger(__name__)

# Name to array, a torch module, or the path of a .safetensors or .onnx file.
WeightSource: TypeAlias = "Mapping[str, Any] | Any | str | os.PathLike[str]"


@dataclass(frozen=True)
class MissingWeight:
    """What an engine asks for: `count` elements of `dtype`; None: TensorRT was not asked."""

    name: str
    dtype: str | None = None
    count: int | None = None


def read_source(subject: str, source: WeightSource) -> dict[str, Weight]:
    """Reads all weights of a source.

    Args:
        subject: What an error names.
        source: As `torchtrt_ws.save_plan` takes it for one engine.

    Returns:
        Name to weight.

    Raises:
        ProgramError: Something else, or arrays that no engine can have.
        EngineError: A package that reads the file is not installed.
    """
    if isinstance(source, Mapping):
        return from_arrays(subject, source)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(source, torch.nn.Module):
        return from_arrays(subject, source.state_dict())
    if isinstance(source, str | os.PathLike):
        readers = {".safetensors": from_safetensors, ".onnx": from_onnx}
        reader = readers.get(Path(source).suffix)
        if reader is not None:
            return reader(subject, source)
    raise ProgramError(
        f"{subject}, weights",
        repr(source) if isinstance(source, str | os.PathLike) else f"a {type(source).__name__}",
        "a mapping from name to array, a torch module, or the path of a .safetensors or .onnx file",
        "Give one of these.",
    )


def taken(
    subject: str, source: WeightSource, missing: Sequence[MissingWeight] | None, why: str = ""
) -> tuple[Weight, ...]:
    """The weights that a plan was built without.

    Args:
        subject: What an error names.
        source: As for `read_source`.
        missing: What TensorRT says is missing; None: it could not be asked, and all of the source are.
        why: Why it could not be asked.

    Returns:
        The weights, in the order of `missing`.

    Raises:
        ProgramError: A weight that is not in the source, or is of another dtype or size; or in a mapping, one that the
            engine does not miss.
        EngineError: As `read_source`.
    """
    found = read_source(subject, source)
    if missing is None:
        if not found:
            raise ProgramError(f"{subject}, weights", "none", "those that the plan was built without", "Give them.")
        _LOG.warning(
            "%s: TensorRT was not asked which weights are missing (%s): they are taken to be the %d that were given, "
            "and loading checks that",
            subject,
            why,
            len(found),
        )
        return tuple(found.values())
    wanted = {each.name for each in missing}
    if isinstance(source, Mapping) and (extra := [name for name in found if name not in wanted]):
        listed = f"{', '.join(map(repr, list(wanted)[:3]))}, ..." if len(wanted) > 3 else ", ".join(map(repr, wanted))
        raise ProgramError(
            f"{subject}, weights", f"{extra[0]!r}", f"what the plan misses: {listed}", "Leave the others out."
        )
    return checked(subject, found, missing)


def checked(subject: str, found: Mapping[str, Weight], missing: Sequence[MissingWeight]) -> tuple[Weight, ...]:
    """The weights that TensorRT says are missing, or raises as `taken` does.

    Args:
        subject: What an error names.
        found: Name to weight.
        missing: What it says.
    """
    return tuple(_checked(subject, each, found.get(each.name)) for each in missing)


def _checked(subject: str, missing: MissingWeight, weight: Weight | None) -> Weight:
    subject = f"{subject}, weight {missing.name!r}"
    if weight is None:
        raise ProgramError(subject, "nothing of that name", "a weight that the plan misses", "Add it to the source.")
    if (weight.dtype, weight.count) != (missing.dtype, missing.count):
        raise ProgramError(
            subject,
            f"{weight.count} of {weight.dtype}",
            f"{missing.count} of {missing.dtype}",
            "Convert it to what the plan was built with.",
        )
    return replace(weight, shape=None)
