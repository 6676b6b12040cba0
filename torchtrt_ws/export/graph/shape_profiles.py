"""Several `dynamic_shapes` for one method: what torch.export takes for all, and an optimization profile for each."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.export import Dim
from torch.utils import _pytree as pytree

from torchtrt_ws.blob import OptimizationProfile, ProfileBounds, TensorFacts
from torchtrt_ws.errors import ProgramError

__all__ = ["ShapeProfiles", "are_profiles", "read_profiles", "refuse_profiles"]

Range = tuple[int, int]  # smallest and largest size of one dimension
_FORM = 'dynamic_shapes=[{"x": {0: Dim("rows", min=1, max=2)}}, {"x": {0: Dim("rows", min=4, max=8)}}]'
_HINTS = (type(Dim.AUTO),)


@dataclass(frozen=True)
class ShapeProfiles:
    """Checked, as far as that goes without an export.

    Args:
        hull: What torch.export takes: every shape of every profile is in it.
        ranges: For each profile, for each input tensor in calling order: of its dynamic dimensions.
    """

    hull: dict[str, Any]
    ranges: tuple[tuple[Mapping[int, Range], ...], ...]

    def bind(self, method: str, inputs: Sequence[TensorFacts]) -> tuple[OptimizationProfile, ...]:
        """The optimization profiles, each for the upper end of its bounds.

        Args:
            method: Its name, for errors.
            inputs: The exported method's, in calling order.

        Returns:
            One for each entry.

        Raises:
            ProgramError: A range that the exported method does not take.
        """
        return tuple(
            tuple(
                _bounds(f"method {method!r}, dynamic_shapes[{index}], input {facts.name!r}", facts, ranges)
                for facts, ranges in zip(inputs, profile, strict=True)
            )
            for index, profile in enumerate(self.ranges)
        )


def are_profiles(module: torch.nn.Module, dynamic_shapes: Any) -> bool:
    """Whether it is one `dynamic_shapes` for each profile.

    Args:
        module: Whose `forward` it is for.
        dynamic_shapes: A list of mappings from argument name to dimensions is; everything else torch.export takes as it
            is, also a list with the dimensions of each argument in turn.
    """
    if not isinstance(dynamic_shapes, list) or not all(isinstance(each, Mapping) for each in dynamic_shapes):
        return False
    names = inspect.signature(module.forward).parameters
    return not dynamic_shapes or any(key in names for each in dynamic_shapes for key in each)


def refuse_profiles(method: str, module: torch.nn.Module, dynamic_shapes: Any, found: str) -> None:
    """Refuses a list of profiles where an engine cannot have several.

    Args:
        method: The method's name.
        module: Whose `forward` it is for.
        dynamic_shapes: What was given.
        found: What there is, for which it cannot be.

    Raises:
        ProgramError: It is a list of profiles.
    """
    if are_profiles(module, dynamic_shapes):
        raise ProgramError(
            f"method {method!r}, dynamic_shapes",
            f"a list of {len(dynamic_shapes)} optimization profiles for {found}",
            'one for all shapes: only engine="tensorrt_rtx" builds profiles',
            "Give the smallest and the largest sizes of all of them.",
        )


def read_profiles(
    method: str,
    module: torch.nn.Module,
    arguments: tuple[Any, ...],
    keywords: Mapping[str, Any],
    given: Sequence[Mapping[str, Any]],
) -> ShapeProfiles:
    """Reads a list of `dynamic_shapes`.

    Args:
        method: The method's name, for errors.
        module: Whose `forward` they are for.
        arguments: Example arguments.
        keywords: Example keyword arguments, in the order of the signature.
        given: For each profile: argument name to dimensions, as torch.export takes them. A dimension that is a `Dim` in
            one of them is a `Dim` or a number in all of them. What is the same `Dim` in the first is one in all.

    Returns:
        The profiles.

    Raises:
        ProgramError: No profiles, names that there are not, dimensions that are dynamic in some of them only or without
            an upper bound, or a `Dim` with two ranges.
    """
    subject = f"method {method!r}, dynamic_shapes"
    if not given:
        raise ProgramError(subject, "an empty list", "one mapping for each optimization profile", f"Write {_FORM}.")
    try:
        bound = dict(inspect.signature(module.forward).bind(*arguments, **keywords).arguments)
    except TypeError as error:
        raise ProgramError(subject, str(error), "example inputs that forward() takes", "Correct the inputs.") from None
    for index, each in enumerate(given):
        if unknown := [name for name in each if name not in bound]:
            expected = "names of arguments that have example inputs: " + ", ".join(map(repr, bound))
            raise ProgramError(f"{subject}[{index}]", f"{unknown[0]!r}", expected, "Correct the name.")
    leaves, structure = pytree.tree_flatten_with_path(bound)
    hulls = _Hulls(subject)
    merged: list[dict[int, Any] | None] = []
    ranges: list[list[dict[int, Range]]] = []  # for each tensor, in each profile
    for path, leaf in leaves:
        where = "".join(f"[{_key(step)!r}]" for step in path)
        specs = [
            _sizes(f"{subject}[{index}]{where}", _spec_at(f"{subject}[{index}]", each, path), leaf)
            for index, each in enumerate(given)
        ]
        hull, found = _merge(subject, where, specs, hulls)
        merged.append(hull or None)
        ranges.append(found)
    return ShapeProfiles(pytree.tree_unflatten(merged, structure), tuple(zip(*ranges, strict=True)))


def _merge(
    subject: str, where: str, specs: Sequence[Mapping[int, Any]], hulls: _Hulls
) -> tuple[dict[int, Any], list[dict[int, Range]]]:
    """One tensor: what torch.export takes for it, and the ranges of its dynamic dimensions in each profile."""
    hull: dict[int, Any] = {}
    ranges: list[dict[int, Range]] = [{} for _ in specs]
    for dimension in sorted({dimension for spec in specs for dimension in spec}):
        sizes = [spec.get(dimension) for spec in specs]
        numbers = [size for size in sizes if size is not None]
        if all(size == numbers[0] and isinstance(size, int) for size in numbers):
            hull[dimension] = numbers[0]  # static: torch.export compares it with the example
            continue
        found = list(_ranges(f"{where}[{dimension}]", subject, sizes))
        hull[dimension] = hulls.of(f"{where}[{dimension}]", sizes, found)
        for in_profile, size in zip(ranges, found, strict=True):
            in_profile[dimension] = size
    return hull, ranges


class _Hulls:
    """One `Dim` for each name, so that what was one dimension stays one."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._made: dict[str, tuple[list[Range], Dim]] = {}

    def of(self, where: str, sizes: Sequence[Any], ranges: list[Range]) -> Any:
        first = next(size for size in sizes if not isinstance(size, int))
        low, high = min(range_[0] for range_ in ranges), max(range_[1] for range_ in ranges)
        if isinstance(first, _HINTS):
            return getattr(Dim, first.type.name)(min=low, max=high)
        known, dim = self._made.setdefault(first.__name__, (ranges, Dim(first.__name__, min=low, max=high)))
        if known != ranges:
            raise ProgramError(
                f"{self._subject}, {where}",
                f"{first!r} with the ranges {ranges}, elsewhere {known}",
                "the same ranges wherever it is the same Dim",
                "Give dimensions that differ names that differ.",
            )
        return dim


def _bounds(subject: str, facts: TensorFacts, ranges: Mapping[int, Range]) -> ProfileBounds:
    low, high = list(facts.min), list(facts.max)
    for dimension, (smallest, largest) in ranges.items():
        taken = (low[dimension], high[dimension])
        smallest = smallest or taken[0]  # 0 is what a Dim has that was given none
        if not taken[0] <= smallest <= largest <= taken[1]:
            raise ProgramError(
                f"{subject}, dimension {dimension}",
                f"{smallest} to {largest}",
                f"sizes from {taken[0]} to {taken[1]}, which the exported method takes",
                "Change the range, or what in the module narrows it.",
            )
        low[dimension], high[dimension] = smallest, largest
    return ProfileBounds(facts.name, tuple(low), tuple(high), tuple(high))


def _key(step: Any) -> Any:
    return getattr(step, "key", getattr(step, "idx", getattr(step, "name", None)))


def _spec_at(subject: str, spec: Any, path: Sequence[Any]) -> Any:
    """What an entry says of one tensor: nothing where it says nothing of what the tensor is in."""
    for step in path:
        if spec is None:
            return None
        try:
            spec = spec.get(_key(step)) if isinstance(spec, Mapping) else spec[_key(step)]
        except (TypeError, IndexError, KeyError):
            raise ProgramError(
                subject, f"{spec!r}", "dimensions in the structure of the example inputs", f"Write {_FORM}."
            ) from None
    return spec


def _sizes(subject: str, spec: Any, leaf: Any) -> dict[int, Any]:
    """Dimension to what is given for it; without those that are static as in the example."""
    if spec is None:
        return {}
    rank = leaf.dim() if isinstance(leaf, torch.Tensor) else 0
    pairs = spec.items() if isinstance(spec, Mapping) else enumerate(spec) if isinstance(spec, list | tuple) else None
    if pairs is None:
        raise ProgramError(subject, f"{spec!r}", "dimension numbers to Dims, or a Dim for each", f"Write {_FORM}.")
    sizes = {}
    for dimension, size in pairs:
        known = size is None or isinstance(size, (int, Dim, *_HINTS))
        if not isinstance(dimension, int) or not 0 <= dimension < rank or not known or isinstance(size, bool):
            raise ProgramError(
                subject, f"{dimension!r}: {size!r}", f"dimensions from 0 to {rank - 1}, Dims and numbers", "Correct it."
            )
        if size is not None and not (isinstance(size, _HINTS) and size.type.name == "STATIC"):
            sizes[dimension] = size
    return sizes


def _ranges(where: str, subject: str, sizes: Sequence[Any]) -> Iterator[Range]:
    """Of a dimension that is dynamic, in each profile."""
    dynamic = [index for index, size in enumerate(sizes) if size is not None and not isinstance(size, int)]
    for index, size in enumerate(sizes):
        if size is None or not dynamic:
            other = f"dynamic in dynamic_shapes[{dynamic[0]}]" if dynamic else "of other sizes elsewhere"
            raise ProgramError(
                f"{subject}[{index}]{where}",
                f"{'nothing' if size is None else repr(size)}, and it is {other}",
                "a Dim in one profile, and a Dim or a number in all others",
                "Give its range, or its size, in every profile.",
            )
        low, high = (size, size) if isinstance(size, int) else (size.min or 0, size.max)
        if not isinstance(high, int) or hasattr(size, "root"):
            found = f"{size!r}, which " + ("follows from another" if hasattr(size, "root") else "has no upper bound")
            raise ProgramError(
                f"{subject}[{index}]{where}", found, "a Dim with an upper bound of its own", f"Write {_FORM}."
            )
        yield low, high
