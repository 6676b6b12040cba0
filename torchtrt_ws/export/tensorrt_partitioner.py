"""Our partitioner in someone else's `to_edge_transform_and_lower`: exir holds the engines then, and writes the file."""

from __future__ import annotations

import io
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from executorch.exir.backend.backend_details import BackendDetails, PreprocessResult
from executorch.exir.backend.compile_spec_schema import CompileSpec
from executorch.exir.backend.partitioner import DelegationSpec, Partitioner, PartitionResult

from torchtrt_ws import budget
from torchtrt_ws.blob import TensorFacts
from torchtrt_ws.export.engine.built_engine import BuiltEngine
from torchtrt_ws.export.engine.engine_blob import EngineBlob, ProgramShares
from torchtrt_ws.export.graph.backend import BLOB_META, read_call
from torchtrt_ws.export.graph.interface import method_names
from torchtrt_ws.export.options import check_budget_forms, read_compile_specs
from torchtrt_ws.export.placement import TARGET_DEVICE_KEY, read_device
from torchtrt_ws.export.sources import torch_tensorrt
from torchtrt_ws.export.sources.engine_record import engine_nodes, engine_operand, read_record
from torchtrt_ws.identifiers import BACKEND_ID, DEFAULT_METHOD
from torchtrt_ws.names import namer
from torchtrt_ws.plan_header import check_plan

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram

__all__ = ["TensorRTPartitioner"]


class TensorRTPartitioner(Partitioner):  # type: ignore[misc]  # executorch has no types
    """One delegate for each engine of Torch-TensorRT in a method, whatever lies between them.

    For a method whose engines are `tensorrt::no_op_placeholder_for_execute_engine` calls, as
    `torch_tensorrt.executorch` makes them. One method has one partitioner. exir holds and copies the engines:
    `torchtrt_ws.save` does not, and should be preferred.

    Args:
        name: The method's name: a single engine is named after it.
        weight_streaming_budget: Bytes of weights to keep on the device, for the whole method: "auto", a number of
            bytes, "1GiB", "50%". Split over the engines by streamable size. None and "auto" bake nothing.
        weight_streaming_budget_per_engine: The same for each engine: one value, or a mapping from engine name to value.
        device: "cuda:N" makes ExecuTorch plan the engines' inputs and outputs in that device's memory, and the engines
            run there; None is host memory, and the devices that they were compiled for.
        compile_specs: Further compile specs for each engine's delegate.

    Raises:
        BudgetError: A malformed budget, or both budget keywords at once; in `partition`, an unknown engine name.
        ProgramError: In `partition`, an engine that a delegate cannot run.
    """

    def __init__(
        self,
        *,
        name: str = DEFAULT_METHOD,
        weight_streaming_budget: int | str | None = None,
        weight_streaming_budget_per_engine: int | str | Mapping[str, int | str | None] | None = None,
        device: str | None = None,
        compile_specs: Sequence[CompileSpec] | None = None,
    ) -> None:
        super().__init__()
        self._name = name
        self._budgets = (weight_streaming_budget, weight_streaming_budget_per_engine)
        self._placement = read_device(device, device_io=False)
        self._compile_specs = read_compile_specs(compile_specs)
        check_budget_forms(weight_streaming_budget, weight_streaming_budget_per_engine)

    def partition(self, exported_program: ExportedProgram) -> PartitionResult:
        _make_last()
        calls = engine_nodes(exported_program.graph)
        unique = namer()
        engines = [
            self._placed(
                _widened(
                    torch_tensorrt.read_engine(self._name, exported_program, node, unique, alone=len(calls) == 1)[0]
                )
            )
            for node in calls
        ]
        baked = budget.bake(*self._budgets, [engine.budget_size() for engine in engines])
        shares = ProgramShares.of(engines)
        names = method_names(exported_program)
        tags = {}
        for node, engine in zip(calls, engines, strict=True):
            node.meta[BLOB_META] = EngineBlob(engine, shares, *names)
            getitems = [user for user in node.users if user.target is operator.getitem]
            for tagged in (node, *getitems, engine_operand(node)):  # the engine itself becomes the delegate's
                tagged.meta["delegation_tag"] = engine.name
            tags[engine.name] = DelegationSpec(BACKEND_ID, self._specs(baked[engine.name]))
        return PartitionResult(tagged_exported_program=exported_program, partition_tags=tags)

    def ops_to_not_decompose(
        self, ep: ExportedProgram
    ) -> tuple[list[torch._ops.OpOverload], Callable[[torch.fx.Node], bool] | None]:
        return ([], None)

    def _placed(self, engine: BuiltEngine) -> BuiltEngine:
        """It runs where its inputs and outputs are planned, if a device was chosen for these."""
        return engine if self._placement.device is None else replace(engine, device_id=self._placement.device_id)

    def _specs(self, value: bytes | None) -> list[CompileSpec]:
        """In Torch-TensorRT's order: the caller's, the budget, the device."""
        own = ((budget.KEY, value), (TARGET_DEVICE_KEY, self._placement.spec))
        return [*self._compile_specs, *(CompileSpec(key, each) for key, each in own if each is not None)]


def _preprocess(edge_program: ExportedProgram, compile_specs: list[CompileSpec]) -> PreprocessResult:
    """The blob of one of our engines; other partitions go to the backend that had the name before."""
    if not any(BLOB_META in node.meta for node in edge_program.graph.nodes):
        others = [each for each in _named() if each.__module__ != __name__]
        return others[-1].preprocess(edge_program, compile_specs)
    blob, order = read_call(edge_program)
    (node,) = engine_nodes(edge_program.graph)
    record = read_record(edge_program, node)  # `partition` saw a fake tensor
    builder = check_plan(f"engine {blob.engine.name!r}", record.head, record.payload.size)
    blob = replace(blob, engine=replace(blob.engine, payload=record.payload, builder=builder))
    file = io.BytesIO()
    file.write(blob.prefix(order))
    blob.engine.payload.write_to(file)
    return PreprocessResult(processed_bytes=file.getvalue())


def _widened(engine: BuiltEngine) -> BuiltEngine:
    """The engine with the lower bounds it may have: retracing makes 2 of 1, since torch.export specializes on 1."""
    inputs, outputs = (tuple(_from_one(each) for each in side) for side in (engine.inputs, engine.outputs))
    return replace(engine, inputs=inputs, outputs=outputs)


def _from_one(tensor: TensorFacts) -> TensorFacts:
    low = tuple(1 if size == -1 and bound == 2 else bound for size, bound in zip(tensor.shape, tensor.min, strict=True))
    return replace(tensor, min=low)


def _named() -> list[Any]:
    return [cls for cls in BackendDetails.__subclasses__() if cls.__name__ == BACKEND_ID]


def _make_last() -> None:
    """Among backends of one name, exir takes the class that was made last; Torch-TensorRT has one of this name, too.

    Source:
        executorch/exir/backend/backend_api.py, lower_all_submodules_to_backend (1.5.1).
    """
    named = _named()
    if not named or named[-1].__module__ != __name__:
        members = {
            "__module__": __name__,
            "__doc__": "Writes the engines of `TensorRTPartitioner`.",
            "preprocess": staticmethod(_preprocess),
        }
        _made.append(type(BackendDetails)(BACKEND_ID, (BackendDetails,), members))


_made: list[type] = []  # keeps the classes alive: exir finds them through weak references
