"""The exir side: turns a tagged engine call into the delegate's payload.

exir finds a backend by its class name, and Torch-TensorRT has one called TensorRTBackend. Ours goes by another name
until the program is emitted, so that both packages can be in one process; the file has the backend's real name.
"""

from __future__ import annotations

import json
import operator
from typing import TYPE_CHECKING, final

from executorch.exir.backend.backend_details import BackendDetails, PreprocessResult

from torchtrt_ws.errors import ProgramError

if TYPE_CHECKING:
    import torch
    from executorch.exir.backend.compile_spec_schema import CompileSpec
    from torch.export import ExportedProgram

    from torchtrt_ws.export.engine.engine_blob import EngineBlob

__all__ = ["BLOB_META", "STAND_IN_ID", "TorchTrtWsEngine", "read_call", "read_stand_in"]

BLOB_META = "torchtrt_ws_blob"  # node.meta key: the EngineBlob of an engine call, set by a partitioner


@final
class TorchTrtWsEngine(BackendDetails):  # type: ignore[misc]  # executorch has no types
    """What exir sees instead of engines: `file/laid_out.py` puts each blob in its place, so that exir never holds,
    copies or hashes one."""

    @classmethod
    def copy_exported_program_for_preprocess(
        cls, edge_program: ExportedProgram, compile_specs: list[CompileSpec]
    ) -> ExportedProgram:
        """`edge_program` itself: `preprocess` only reads, and the default would deep-copy what the program holds.
        `compile_specs` do not matter."""
        return edge_program

    @staticmethod
    def preprocess(edge_program: ExportedProgram, compile_specs: list[CompileSpec]) -> PreprocessResult:
        """Returns what stands for the blob in `edge_program`: the engine's name, and the order of its inputs. exir
        writes `compile_specs` itself."""
        blob, order = read_call(edge_program)
        return PreprocessResult(processed_bytes=json.dumps([blob.engine.name, order]).encode("ascii"))


STAND_IN_ID = TorchTrtWsEngine.__name__


def read_call(program: ExportedProgram) -> tuple[EngineBlob, tuple[int, ...]]:
    """Reads the one engine call of a partition.

    Args:
        program: The partition, from a partitioner that sets `BLOB_META`.

    Returns:
        The engine's blob, and for each delegate argument which of the engine's inputs it is.

    Raises:
        ProgramError: Inputs or outputs that a delegate cannot bind.
    """
    nodes = [node for node in program.graph.nodes if BLOB_META in node.meta]
    assert len(nodes) == 1, f"the partitioner tags one engine call a partition, not {len(nodes)}"
    blob: EngineBlob = nodes[0].meta[BLOB_META]
    _check_outputs(program, nodes[0], blob)
    return blob, _input_order(program, nodes[0], blob)


def read_stand_in(processed: bytes) -> tuple[str, tuple[int, ...]]:
    """Reads what `TorchTrtWsEngine.preprocess` returned.

    Args:
        processed: The delegate's payload as exir has it.

    Returns:
        The engine's name, and for each delegate argument which of the engine's inputs it is.
    """
    name, order = json.loads(processed)
    return name, tuple(order)


def _input_order(program: ExportedProgram, node: torch.fx.Node, blob: EngineBlob) -> tuple[int, ...]:
    """For each argument of the delegate, its position in the engine call: exir orders them in its own way."""
    call_inputs = list(node.args[0])  # type: ignore[arg-type]
    placeholders = [each for each in program.graph.nodes if each.op == "placeholder"]
    order = tuple(call_inputs.index(each) for each in placeholders if each in call_inputs)
    if sorted(order) != list(range(len(call_inputs))):
        raise ProgramError(
            f"engine {blob.engine.name!r}",
            f"{len(call_inputs)} inputs from {len(order)} tensors",
            "a tensor of its own for each input: a delegate takes each tensor once",
            "Clone the tensor that goes to two inputs.",
        )
    return order


def _check_outputs(program: ExportedProgram, node: torch.fx.Node, blob: EngineBlob) -> None:
    """The delegate binds its i-th result to the engine's i-th output, so they must be getitem 0, 1, ... of the call."""
    (results,) = program.graph.output_node().args
    indices = [result.args[1] for result in results if result.target is operator.getitem and result.args[0] is node]
    names = [tensor.name for tensor in blob.engine.outputs]
    if indices != list(range(len(names))):
        raise ProgramError(
            f"engine {blob.engine.name!r}",
            f"a graph that uses its outputs {indices} of {names!r}",
            "a graph that uses all of them: a delegate gives every output of its engine",
            "Return the outputs that are not used, or build the engine without them.",
        )
