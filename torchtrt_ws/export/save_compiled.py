"""`save` for what Torch-TensorRT compiled: methods with engines and other operators, to a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from torchtrt_ws.export.by_name import by_name
from torchtrt_ws.export.file.write_program import write_program
from torchtrt_ws.export.options import SaveOptions, check_budget_forms
from torchtrt_ws.export.placement import HOST_MEMORY, Placement
from torchtrt_ws.export.sources import torch_tensorrt
from torchtrt_ws.names import check_name, namer

if TYPE_CHECKING:
    from executorch.exir import ExecutorchBackendConfig
    from torch.export import ExportedProgram

    from torchtrt_ws.export.engine.built_engine import LoweredMethod

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
            name: _placed(stack.enter_context(torch_tensorrt.lower(name, program, unique)), options.placement)
            for name, program in programs.items()
        }
        if options.total is not None or options.per_engine is not None:
            for method in lowered.values():
                for engine in method.engines.values():
                    torch_tensorrt.warn_of_resident(engine)
        write_program(target, lowered, _with_initial_state(options, lowered.values()))


def _placed(method: LoweredMethod, placement: Placement | None) -> LoweredMethod:
    """The method with engines that run where their inputs and outputs are planned, if a device was chosen for these."""
    if placement is None or placement.device is None:
        return method  # where each was compiled
    engines = {token: replace(each, device_id=placement.device_id) for token, each in method.engines.items()}
    return replace(method, engines=engines)


def _with_initial_state(options: SaveOptions, methods: Iterable[LoweredMethod]) -> SaveOptions:
    """The options with a pass that keeps what is in buffers which calls change: exir would leave them as memory comes.

    Those that hold zeros are left to it: loaders begin with zeros, and a cache would be the largest tensor of the file.
    So are all where ExecuTorch plans a method's inputs, and buffers among them, in device memory: its loader reads from
    the file straight into the buffer, as the host does.

    Source:
        ExecuTorch 1.5.1: exir/passes/init_mutable_pass.py and propagate_device_pass.py;
        runtime/executor/tensor_parser_exec_aten.cpp.
    """
    names = [name for method in methods for name in _initial_state(method.program)]
    config = options.config or (options.placement or HOST_MEMORY).config()
    if not names or _plans_inputs_on_device(config):
        return options
    from executorch.exir.passes.init_mutable_pass import InitializedMutableBufferPass

    return replace(options, config=replace(config, passes=[*config.passes, InitializedMutableBufferPass(names)]))


def _initial_state(program: ExportedProgram) -> Iterator[str]:
    """The inputs that are buffers in host memory and not all zeros; which of them change, only exir finds out."""
    for name, buffer in program.graph_signature.inputs_to_buffers.items():
        value = program.state_dict.get(buffer, program.constants.get(buffer))
        plain = type(value) is torch.Tensor  # subclasses, such as quantized ones, have no bytes of their own
        if plain and value.device.type == "cpu" and _bytes_of(value).any():
            yield name


def _bytes_of(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


def _plans_inputs_on_device(config: ExecutorchBackendConfig) -> bool:
    given: Any = config.propagate_device_config
    each = given.values() if isinstance(given, Mapping) else [given]
    return any(getattr(one, "skip_h2d_for_method_inputs", False) for one in each)
