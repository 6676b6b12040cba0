"""What the caller of `save` gives, as one `ExportedProgram` for each method."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.export import ExportedProgram

from torchtrt_ws.errors import ProgramError, first_line
from torchtrt_ws.export.by_name import by_name
from torchtrt_ws.export.graph.shape_profiles import ShapeProfiles, are_profiles, read_profiles, refuse_profiles
from torchtrt_ws.names import check_name

__all__ = ["Method", "ModuleOrProgram", "in_signature_order", "read_methods"]

ModuleOrProgram = torch.nn.Module | ExportedProgram


@dataclass(frozen=True)
class Method:
    """An exported method, with the optimization profiles that were asked for."""

    program: ExportedProgram
    profiles: ShapeProfiles | None = None


def read_methods(
    default: str,
    given: ModuleOrProgram | Mapping[str, ModuleOrProgram],
    arg_inputs: Any,
    kwarg_inputs: Any,
    dynamic_shapes: Any,
    with_profiles: bool = False,
) -> dict[str, Method]:
    """Exports what is not exported yet.

    Args:
        default: The method's name where no mapping names it.
        given: A module or an exported program; or a mapping from method name to one.
        arg_inputs: A tuple of example arguments; for a mapping, a mapping from method name to that.
        kwarg_inputs: A mapping of example keyword arguments; for a mapping, a mapping from method name to that.
        dynamic_shapes: As for `torch.export.export`, or a list of profiles (`shape_profiles.are_profiles`); for a
            mapping, a mapping from method name to that.
        with_profiles: Whether the engines can have several optimization profiles.

    Returns:
        Method name to program, in the order given.

    Raises:
        ProgramError: Something that is neither module nor program, a name no method can have, inputs that are missing
            or not wanted, profiles that cannot be, or a module that torch.export refuses.
    """
    if not isinstance(given, Mapping):
        return {default: _read_method(default, given, with_profiles, arg_inputs, kwarg_inputs, dynamic_shapes)}
    if not given:
        raise ProgramError("methods", "an empty mapping", "at least one method", "Name a module or a program.")
    for name in given:
        check_name("method name", name)
    options = [
        by_name("method", given, True, keyword, value)
        for keyword, value in (
            ("arg_inputs", arg_inputs),
            ("kwarg_inputs", kwarg_inputs),
            ("dynamic_shapes", dynamic_shapes),
        )
    ]
    return {
        name: _read_method(name, method, with_profiles, *(values.get(name) for values in options))
        for name, method in given.items()
    }


def in_signature_order(module: torch.nn.Module, keywords: Mapping[str, Any] | None) -> dict[str, Any]:
    """Keyword inputs in the order of the module's signature: a program takes its inputs by position.

    Args:
        module: Whose `forward` it is.
        keywords: Example inputs by name, in any order; torch.export would keep that order.

    Returns:
        The same. What `forward` does not name comes last.
    """
    given = dict(keywords or {})
    named = [name for name in inspect.signature(module.forward).parameters if name in given]
    return {name: given[name] for name in dict.fromkeys([*named, *given])}


def _read_method(
    name: str, given: Any, with_profiles: bool, arg_inputs: Any, kwarg_inputs: Any, dynamic_shapes: Any
) -> Method:
    subject = f"method {name!r}"
    if isinstance(given, ExportedProgram):
        if dynamic_shapes is not None:
            raise ProgramError(
                subject,
                "dynamic_shapes for a program that is already exported",
                "dynamic_shapes with a module only",
                "Give them to torch.export.export.",
            )
        return Method(given)
    if not isinstance(given, torch.nn.Module):
        raise ProgramError(
            subject,
            f"a {type(given).__name__}",
            "a torch.nn.Module or a torch.export.ExportedProgram",
            "Wrap functions in a module.",
        )
    arguments = _arguments(subject, arg_inputs, kwarg_inputs)
    keywords = in_signature_order(given, kwarg_inputs)
    profiles = None
    if not with_profiles:
        refuse_profiles(name, given, dynamic_shapes, "a host engine")
    elif are_profiles(given, dynamic_shapes):
        profiles = read_profiles(name, given, arguments, keywords, dynamic_shapes)
        dynamic_shapes = profiles.hull
    try:
        with torch.no_grad(), _in_eval(given):
            program = torch.export.export(given, arguments, keywords, dynamic_shapes=dynamic_shapes, strict=False)
    except Exception as error:  # torch.export raises whatever the module's code does
        raise ProgramError(
            subject,
            f"{type(error).__name__}: {first_line(error)}",
            "a module that torch.export.export takes with these inputs and dynamic_shapes",
            "The error above this one says why it does not.",
        ) from error
    return Method(program, profiles)


def _arguments(subject: str, arg_inputs: Any, kwarg_inputs: Any) -> tuple[Any, ...]:
    if kwarg_inputs is not None and not isinstance(kwarg_inputs, Mapping):
        found = f"a {type(kwarg_inputs).__name__}"
        raise ProgramError(f"{subject}, kwarg_inputs", found, "a mapping from name to value", "Give a dict.")
    if arg_inputs is None and kwarg_inputs is None:
        raise ProgramError(
            f"{subject}, arg_inputs",
            "no example inputs",
            "a tuple of example tensors, to trace the module with",
            "Give arg_inputs=(x, ...), kwarg_inputs={...}, or both.",
        )
    if arg_inputs is not None and not isinstance(arg_inputs, tuple | list):
        found = f"a {type(arg_inputs).__name__}"
        raise ProgramError(f"{subject}, arg_inputs", found, "a tuple", "Write arg_inputs=(x,) for one argument.")
    return tuple(arg_inputs or ())


@contextmanager
def _in_eval(module: torch.nn.Module) -> Iterator[None]:
    """Exports for inference (no dropout, no batch statistics) whatever mode the module is in, and leaves it in that."""
    training = [each for each in module.modules() if each.training]
    for each in training:
        each.training = False
    try:
        yield
    finally:
        for each in training:
            each.training = True
