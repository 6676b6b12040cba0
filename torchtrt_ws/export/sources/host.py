"""The source of host engines: methods lowered to XNNPACK, as ExecuTorch programs inside the program.

Methods with weights in common are one such program, which holds them once. The weights travel as named data, under
names made from their content: that is what lets XNNPACK keep the packed weights in a file (`packed_cache_path`), which
is what the host engine streams from, and find those that another method has packed.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from torchtrt_ws.errors import ProgramError, first_line
from torchtrt_ws.export.engine.built_engine import BuiltEngine
from torchtrt_ws.export.engine.payload import StreamedPayload
from torchtrt_ws.export.engine.weight import Weight
from torchtrt_ws.export.graph.interface import DTYPES, Interface
from torchtrt_ws.export.graph.weight_uses import memory_of
from torchtrt_ws.export.sources import host_kernels
from torchtrt_ws.identifiers import HOST

if TYPE_CHECKING:
    from executorch.exir import ExecutorchProgramManager
    from torch.export import ExportedProgram

__all__ = ["NESTED_METHOD", "build"]

_LOG = logging.getLogger(__name__)
NESTED_METHOD = "forward"  # of a program inside that has one, whatever the method outside is called


def build(
    programs: Mapping[str, ExportedProgram], interfaces: Mapping[str, Interface], separate: bool = False
) -> dict[str, BuiltEngine]:
    """Builds the host engines of methods.

    Args:
        programs: Method name, which becomes the engine's, to the method; not modified.
        interfaces: Method name to its inputs and outputs.
        separate: Whether the engines are without their weights.

    Returns:
        Method name to the engine. Its streamable bytes are those of the weights XNNPACK was given: an estimate, since
        packing pads. Engines of methods with weights in common have one payload.

    Raises:
        ProgramError: Weights that are not on the CPU, an operator ExecuTorch does not have, or not with these dtypes or
            dimensions, or a tensor that is not in the default memory format.
    """
    from torchtrt_ws.export.graph.common_weights import in_groups

    for name, program in programs.items():
        _check_on_cpu(name, program, interfaces[name])
    _check_state(programs, interfaces)
    built: dict[str, BuiltEngine] = {}
    for group in in_groups(programs):
        built.update(_build({name: programs[name] for name in group}, interfaces, separate))
    return {name: built[name] for name in programs}


def _build(
    programs: Mapping[str, ExportedProgram], interfaces: Mapping[str, Interface], separate: bool
) -> Iterator[tuple[str, BuiltEngine]]:
    """Methods that become one program inside."""
    inside = {NESTED_METHOD if len(programs) == 1 else name: name for name in programs}
    nested = _lower({method: programs[name] for method, name in inside.items()}, _subject(programs))
    host_kernels.check_operators(_subject(programs), nested.executorch_program)
    streamable = _weight_bytes(nested)
    payload, weights = _without_weights(nested, programs) if separate else (StreamedPayload(nested.write_to_file), ())
    for plan in nested.executorch_program.execution_plan:
        name = inside[plan.name]
        interface = interfaces[name]
        host_kernels.check_convolutions(name, plan)
        host_kernels.check_dtypes(name, plan)
        _check_tensors(name, plan, interface)
        yield (
            name,
            BuiltEngine(
                name=name,
                kind=HOST,
                builder=f"executorch {version('executorch')}",
                payload=payload,
                inputs=interface.inputs,
                outputs=interface.outputs,
                streamable_bytes=streamable,
                streamable_estimated=streamable > 0,
                nested_method=None if plan.name == NESTED_METHOD else plan.name,
                keeps_state=bool(interface.changed_buffers),
                weights=weights,
            ),
        )


def _without_weights(
    nested: ExecutorchProgramManager, programs: Mapping[str, ExportedProgram]
) -> tuple[StreamedPayload, tuple[Weight, ...]]:
    from executorch.exir._serialize._program import PTEFile

    from torchtrt_ws.export.sources import host_weights  # not at the top: few engines are built without their weights

    # exir has no public names for these (1.5.1)
    whole = PTEFile(nested.executorch_program, nested._emitter_output.mutable_data, nested._named_data)
    stripped, weights = host_weights.take_out(whole, host_weights.weight_names(programs.values()))
    return StreamedPayload(host_weights.serialized(stripped).write_to_file), weights


def _subject(names: Iterable[str]) -> str:
    listed = [repr(name) for name in names]
    return f"method{'s' if len(listed) > 1 else ''} {', '.join(listed)}"


def _lower(programs: Mapping[str, ExportedProgram], subject: str) -> ExecutorchProgramManager:
    from executorch.exir import EdgeCompileConfig, ExecutorchBackendConfig, to_edge_transform_and_lower
    from executorch.exir.passes.init_mutable_pass import InitializedMutableBufferPass

    from torchtrt_ws.export.graph import host_passes, xnnpack

    try:
        edge = to_edge_transform_and_lower(
            {name: _folded(name, program) for name, program in programs.items()},
            transform_passes=[host_passes.tidy],
            partitioner=[xnnpack.partitioner()],
            # Operators outside of core ATen are fine if a kernel exists: `host_kernels` asks for it.
            compile_config=EdgeCompileConfig(_check_ir_validity=False),
        )
        # Buffers that a call changes begin with what the module has in them: exir would leave them as memory comes.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Mutation on a buffer", category=UserWarning)  # so exir says
            return edge.to_executorch(ExecutorchBackendConfig(passes=[InitializedMutableBufferPass([""])]))
    except Exception as error:  # exir raises what it likes: this is the boundary
        raise ProgramError(
            subject,
            f"{type(error).__name__}: {first_line(error)}",
            "a graph that ExecuTorch can lower",
            "The error above this one says where it stopped; change that part of the module.",
        ) from error


def _folded(name: str, program: ExportedProgram) -> ExportedProgram:
    from torchtrt_ws.export.graph.folded_weights import fold_weights

    folded, names = fold_weights(program)
    if names:
        text = "method %r: %d quantized weights are float in the engine, such as %r: XNNPACK has products of quantized "
        _LOG.warning(text + "weights with quantized activations only", name, len(names), names[0])
    return folded


def _check_on_cpu(name: str, program: ExportedProgram, interface: Interface) -> None:
    inputs = {tensor.name: value for tensor, value in zip(interface.inputs, interface.input_values, strict=True)}
    for what, tensors in (("weight", program.state_dict), ("constant", program.constants), ("input", inputs)):
        for key, tensor in tensors.items():
            device = getattr(tensor, "device", None)  # constants may be other objects
            if device is not None and device.type != "cpu":
                raise ProgramError(
                    f"method {name!r}, {what} {key!r}",
                    f"device {device}",
                    "the CPU, for a host engine",
                    'Move the module and its inputs there with .to("cpu") before you export.',
                )


def _check_state(programs: Mapping[str, ExportedProgram], interfaces: Mapping[str, Interface]) -> None:
    """Refuses buffers that one method changes and another one has: each engine would have its own."""
    for name, program in programs.items():
        for buffer in interfaces[name].changed_buffers:
            memory = memory_of(program.state_dict[buffer]) if buffer in program.state_dict else None
            for other, others in programs.items():
                tensors = others.state_dict.values() if other != name and memory else ()
                if any(memory_of(tensor) == memory for tensor in tensors):
                    raise ProgramError(
                        f"methods {name!r} and {other!r}",
                        f"the buffer {buffer!r}, which {name!r} changes and {other!r} has as well",
                        "buffers of one method: each engine keeps state of its own",
                        "Make the state an input and an output of both, or put both into one method.",
                    )


def _check_tensors(name: str, plan: Any, interface: Interface) -> None:
    """The program inside must take and give what the metadata says, in the default memory format."""
    for what, facts, indices in (("input", interface.inputs, plan.inputs), ("output", interface.outputs, plan.outputs)):
        assert len(facts) == len(indices), f"{len(indices)} {what}s in the program inside, {len(facts)} outside"
        for tensor, index in zip(facts, indices, strict=True):
            _check_tensor(f"method {name!r}, {what} {tensor.name!r}", tensor.dtype, plan.values[index].val)


def _check_tensor(subject: str, dtype: str, emitted: Any) -> None:
    from executorch.exir.tensor import get_scalar_type

    inside = DTYPES.get(get_scalar_type(emitted.scalar_type))
    assert inside == dtype, f"{subject}: {inside} inside, {dtype} outside"
    if list(emitted.dim_order) != list(range(len(emitted.dim_order))):
        raise ProgramError(
            subject,
            f"dimension order {list(emitted.dim_order)}, such as channels_last has",
            "the default memory format",
            "Call .contiguous() on example inputs, and on what the module returns.",
        )


def _weight_bytes(nested: ExecutorchProgramManager) -> int:
    named_data = nested._named_data  # exir has no public name for it (1.5.1)
    buffers: Iterable[Any] = named_data.buffers if named_data is not None else ()
    return sum(len(buffer) for buffer in buffers)
