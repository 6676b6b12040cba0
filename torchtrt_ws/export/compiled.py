"""`save` for what Torch-TensorRT compiled: methods with engines and other operators, to a file."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from torchtrt_ws.budget import is_engine_name
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.export import torch_tensorrt
from torchtrt_ws.export.finish import Options, check_budget_forms, finish

__all__ = ["save_compiled"]


def save_compiled(
    target: Path,
    methods: Mapping[str, Any],
    options: Options,
    arg_inputs: Any = None,
    kwarg_inputs: Any = None,
    dynamic_shapes: Any = None,
    xnnpack: bool = True,
) -> None:
    """Saves modules and programs that have engines of Torch-TensorRT.

    Args:
        target: The file, from `check_target`.
        methods: Method name to module or program; each of them `has_engines`.
        options: What the caller chose.
        arg_inputs: As `torchtrt_ws.save` takes it; with several methods a mapping, as for the next two.
        kwarg_inputs: The same for keywords.
        dynamic_shapes: As `torch.export.export` takes it.
        xnnpack: Whether XNNPACK gets what lies around the engines, after the partitioners among the options.

    Raises:
        BudgetError: A budget that these engines cannot have.
        ProgramError: A method name that cannot be, a program that cannot be lowered, or a file that cannot be written.
        EngineError: A module, and Torch-TensorRT is not installed.
    """
    for name in methods:
        if not is_engine_name(name):
            raise ProgramError("method name", repr(name), "1 to 39 of A-Z a-z 0-9 _ . -", "Rename it.")
    check_budget_forms(options.total, options.per_engine)  # before the work
    inputs = [_by_method(methods, value) for value in (arg_inputs, kwarg_inputs, dynamic_shapes)]
    programs = {
        name: torch_tensorrt.to_program(name, each, *(values.get(name) for values in inputs))
        for name, each in methods.items()
    }
    if xnnpack and any(torch_tensorrt.needs_more(program) for program in programs.values()):
        from torchtrt_ws.export.xnnpack import partitioner

        options = replace(options, partitioners=(*options.partitioners, partitioner()))
    unique = torch_tensorrt.namer()
    with ExitStack() as stack:
        lowered = {
            name: stack.enter_context(torch_tensorrt.lower(name, program, unique)) for name, program in programs.items()
        }
        if options.total is not None or options.per_engine is not None:
            for method in lowered.values():
                for engine in method.engines.values():
                    torch_tensorrt.warn_of_resident(engine)
        finish(target, lowered, options)


def _by_method(methods: Mapping[str, Any], value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    return value if isinstance(value, Mapping) and set(value) <= set(methods) else dict.fromkeys(methods, value)
