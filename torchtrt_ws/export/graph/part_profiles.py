"""Optimization profiles of a method, as those of a part of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torchtrt_ws.blob import OptimizationProfile, ProfileBounds
from torchtrt_ws.export.graph.engine_call import dimensions, symbols_from

if TYPE_CHECKING:
    from torchtrt_ws.export.graph.interface import Interface

__all__ = ["part_profiles"]

_ENDS = ("min", "opt", "max")


def part_profiles(
    profiles: Sequence[OptimizationProfile], whole: Interface, part: Interface
) -> tuple[OptimizationProfile, ...]:
    """Profiles of a part, by the dynamic dimensions that it has in common with the whole.

    Args:
        profiles: Of the method, each with all inputs of `whole` in their order.
        whole: The method's inputs and outputs.
        part: Those of the part.

    Returns:
        One for each, with all inputs of the part. A dimension that no input of the method decides has its own bounds.
    """
    found = []
    for profile in profiles:
        known = [_symbols(profile, whole, end) for end in _ENDS]
        bounds = []
        for facts, value in zip(part.inputs, part.input_values, strict=True):
            low, best, high = (
                tuple(_size(dimension, symbols, own) for dimension, own in zip(dimensions(value), bound, strict=True))
                for symbols, bound in zip(known, (facts.min, facts.max, facts.max), strict=True)
            )
            bounds.append(ProfileBounds(facts.name, low, best, high))
        found.append(tuple(bounds))
    return tuple(found)


def _symbols(profile: OptimizationProfile, whole: Interface, end: str) -> dict[Any, int]:
    """Symbol, or expression that is a dimension of an input, to its size at one end of a profile."""
    known: dict[Any, int] = {}
    for bounds, value in zip(profile, whole.input_values, strict=True):
        for dimension, size in zip(dimensions(value), getattr(bounds, end), strict=True):
            known[dimension] = size
            for symbol, (scale, offset) in symbols_from(dimension).items():
                known.setdefault(symbol, (size - offset) // scale)
    return known


def _size(dimension: Any, known: Mapping[Any, int], own: int) -> int:
    if isinstance(dimension, int):
        return dimension
    if dimension in known:
        return known[dimension]
    value = dimension.subs({symbol: known[symbol] for symbol in dimension.free_symbols if symbol in known})
    return int(value) if value.is_Integer else own
