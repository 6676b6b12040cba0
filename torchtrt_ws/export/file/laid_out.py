"""From methods with engine calls to the bytes of a .pte: delegates, then each engine behind its metadata, streamed.

exir would hold an engine as `bytes`, hash it, and copy it. It gets a name instead; the blob takes its place in the
segment when the file is laid out, and the engine is read when the file is written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from executorch.exir import EdgeCompileConfig, ExecutorchBackendConfig, to_edge_transform_and_lower
from executorch.exir._serialize._cord import Cord
from executorch.exir._serialize._program import PTEFile, _get_extended_header, serialize_pte_binary
from executorch.exir.schema import DelegateCall, ExecutionPlan, KernelCall, TensorShapeDynamism

from torchtrt_ws.errors import ProgramError, WeightStreamingError, first_line
from torchtrt_ws.export.file.shared_segments import share_segments
from torchtrt_ws.export.file.streamed_blobs import Member, StreamedBlobs
from torchtrt_ws.export.graph import backend
from torchtrt_ws.export.graph.call_partitioner import EngineCallPartitioner
from torchtrt_ws.identifiers import BACKEND_ID
from torchtrt_ws.pte.room import make_room

if TYPE_CHECKING:
    from executorch.devtools.etrecord import ETRecord
    from executorch.exir import ExecutorchProgramManager
    from executorch.exir.backend.compile_spec_schema import CompileSpec
    from executorch.exir.backend.partitioner import Partitioner

    from torchtrt_ws.export.engine.built_engine import LoweredMethod, SeekableFile
    from torchtrt_ws.export.engine.engine_blob import EngineBlob

__all__ = ["LaidOutProgram", "alignment_of", "lay_out", "with_room"]

_COPIES = ("et_copy::_d2h_copy", "et_copy::_h2d_copy")  # what exir puts around delegates on a device


class LaidOutProgram:
    """A .pte that is ready to be written. `size` is in bytes; `etrecord` is ExecuTorch's, where it was asked for."""

    def __init__(self, cord: Cord, etrecord: ETRecord | None = None) -> None:
        self._cord = cord
        self.size = len(cord)
        self.etrecord = etrecord

    def write_to(self, file: SeekableFile) -> None:
        """Writes the program to `file`, from its start; engines stream from where they are."""
        self._cord.write_to_file(file)


def lay_out(
    methods: Mapping[str, LoweredMethod],
    blobs: Mapping[str, EngineBlob],
    compile_specs: Mapping[str, Sequence[CompileSpec]],
    config: ExecutorchBackendConfig | None = None,
    partitioners: Sequence[Partitioner] = (),
    lowering: Mapping[str, Any] | None = None,
    etrecord: bool = False,
) -> LaidOutProgram:
    """Turns engine calls into delegates and lays the program out.

    Args:
        methods: Method name to the method.
        blobs: Token of an engine call to the engine's blob.
        compile_specs: Engine name to the delegate's compile specs.
        config: As `EdgeProgramManager.to_executorch` takes it; None for its defaults.
        partitioners: For what lies around the engine calls.
        lowering: More keywords of `to_edge_transform_and_lower`.
        etrecord: Whether to make the record that ExecuTorch's Inspector reads.

    Returns:
        The program.

    Raises:
        ProgramError: A graph that ExecuTorch or a partitioner cannot lower; a program that would need a second file for
            its data.
    """
    config = config or ExecutorchBackendConfig()
    try:
        edge = to_edge_transform_and_lower(
            {name: method.program for name, method in methods.items()},
            partitioner=[EngineCallPartitioner(blobs, compile_specs), *partitioners],
            generate_etrecord=etrecord,
            # The engine operator is no edge operator, which exir would check for.
            **{"compile_config": EdgeCompileConfig(_check_ir_validity=False), **(lowering or {})},
        )
        manager = edge.to_executorch(config)
    except WeightStreamingError:
        raise
    except Exception as error:  # exir and other people's partitioners raise what they like: this is the boundary
        listed = ", ".join(map(repr, methods))
        raise ProgramError(
            f"method{'s' if len(methods) > 1 else ''} {listed}",
            f"{type(error).__name__}: {first_line(error)}",
            "graphs that ExecuTorch and the partitioners can lower",
            "The error above this one says where it stopped; change that part of the module.",
        ) from error
    if manager._tensor_data:
        raise ProgramError(
            "tensor data",
            f"data outside of the program, for {', '.join(map(repr, manager._tensor_data))}",
            "a program that holds all its data",
            "Leave external_constants out of the config, and partitioners that keep weights outside.",
        )
    by_name = {each.engine.name: each for each in blobs.values()}
    return LaidOutProgram(_serialize(manager, config, by_name), manager.get_etrecord() if etrecord else None)


def _serialize(
    manager: ExecutorchProgramManager, config: ExecutorchBackendConfig, blobs: dict[str, EngineBlob]
) -> Cord:
    """Serializes again what exir has emitted, with the engines in place. Cheap: nothing in it is big."""
    program = manager.executorch_program
    delegates = [delegate for plan in program.execution_plan for delegate in plan.delegates]
    ours = [delegate for delegate in delegates if delegate.id == backend.STAND_IN_ID]
    for plan in program.execution_plan:
        names = {
            index: backend.read_stand_in(program.backend_delegate_data[delegate.processed.index].data)[0]
            for index, delegate in enumerate(plan.delegates)
            if delegate.id == backend.STAND_IN_ID
        }
        _mark_data_dependent(plan, names, blobs)
    for delegate in ours:
        delegate.id = BACKEND_ID
    for index in {delegate.processed.index for delegate in ours}:
        inline: Any = program.backend_delegate_data[index]
        name, input_order = backend.read_stand_in(inline.data)
        inline.data = StreamedBlobs([Member(blobs[name], input_order)])
    cord = serialize_pte_binary(
        PTEFile(
            program=program,
            mutable_data=manager._emitter_output.mutable_data,
            named_data=manager._named_data,
        ),
        extract_delegate_segments=True,  # only segments can be freed at run time
        segment_alignment=config.segment_alignment,
        constant_tensor_alignment=config.constant_tensor_alignment,
        delegate_alignment=config.delegate_alignment,
    )
    return with_room(share_segments(cord, alignment_of(manager._named_data, config)))


def _mark_data_dependent(plan: ExecutionPlan, names: Mapping[int, str], blobs: Mapping[str, EngineBlob]) -> None:
    """An output whose size depends on the data is planned at its largest, and the engine makes it smaller.

    `names`: of our engines, by the index of the delegate.
    """
    found: set[int] = set()  # values
    for call in (each.instr_args for chain in plan.chains for each in chain.instructions):
        if isinstance(call, DelegateCall) and call.delegate_index in names:
            outputs = blobs[names[call.delegate_index]].engine.outputs
            for value, facts in zip(call.args[-len(outputs) :], outputs, strict=True):
                if any(low == 0 < high for low, high in zip(facts.min, facts.max, strict=True)):
                    found.add(value)
        elif isinstance(call, KernelCall) and plan.operators[call.op_index].name in _COPIES and call.args[0] in found:
            found.update(call.args[1:])  # of a program that is planned in device memory
    for value in found:
        plan.values[value].val.shape_dynamism = TensorShapeDynamism.DYNAMIC_BOUND


def alignment_of(named_data: Any, config: ExecutorchBackendConfig) -> int:
    """What is aligned for every segment: named data may ask for more than the others.

    Args:
        named_data: exir's NamedDataStoreOutput; None for none.
        config: How the program is laid out.

    Returns:
        Bytes.
    """
    named = named_data.pte_data.values() if named_data is not None else ()
    return math.lcm(config.segment_alignment, 16, *(each.alignment for each in named if each.alignment))


def with_room(cord: Cord) -> Cord:
    """The program in `cord` with room for another budget: `set_budget` then changes a file of any size at once."""
    flatbuffer, *rest = cord._buffers
    header = _get_extended_header(flatbuffer)
    if header is None:
        return cord  # no segments, so no engines
    head, _ = make_room(flatbuffer, header.segment_base_offset)
    if padding := header.segment_base_offset - len(flatbuffer):
        assert rest[0] == bytes(padding), "exir pads up to the first segment"
        rest = rest[1:]
    roomy = Cord(head)
    for each in rest:
        roomy.append(each)
    return roomy
