"""`save` for what Torch-TensorRT compiled: methods with engines and other operators, to a file."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from torchtrt_ws.export.by_name import by_name
from torchtrt_ws.export.file.write_program import write_program
from torchtrt_ws.export.options import SaveOptions, check_budget_forms
from torchtrt_ws.export.sources import torch_tensorrt
from torchtrt_ws.names import check_name, namer

__all__ = ["save_compiled"]


def save_compiled(
    target: Path,
    methods: Mapping[str, Any],
    options: SaveOptions,
    *,
    several: bool = False,
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
        several: True if the caller named the methods: the next three are then mappings from method name.
        arg_inputs: As `torchtrt_ws.save` takes it.
        kwarg_inputs: The same for keywords.
        dynamic_shapes: As `torch.export.export` takes it.
        xnnpack: Whether XNNPACK gets what lies around the engines, after the partitioners among the options.

    Raises:
        BudgetError: A budget that these engines cannot have.
        ProgramError: A method name that cannot be, a program that cannot be lowered, or a file that cannot be written.
        EngineError: A module, and Torch-TensorRT is not installed.
    """
    for name in methods:
        check_name("method name", name)
    check_budget_forms(options.total, options.per_engine)  # before the work
    inputs = [
        by_name("method", methods, several, keyword, value)
        for keyword, value in (
            ("arg_inputs", arg_inputs),
            ("kwarg_inputs", kwarg_inputs),
            ("dynamic_shapes", dynamic_shapes),
        )
    ]
    programs = {
        name: torch_tensorrt.to_program(name, each, *(values.get(name) for values in inputs))
        for name, each in methods.items()
    }
    if xnnpack and any(torch_tensorrt.needs_more(program) for program in programs.values()):
        from torchtrt_ws.export.graph.xnnpack import partitioner

        options = replace(options, partitioners=(*options.partitioners, partitioner()))
    unique = namer()
    with ExitStack() as stack:
        lowered = {
            name: stack.enter_context(torch_tensorrt.lower(name, program, unique)) for name, program in programs.items()
        }
        if options.total is not None or options.per_engine is not None:
            for method in lowered.values():
                for engine in method.engines.values():
                    torch_tensorrt.warn_of_resident(engine)
        write_program(target, lowered, options)
