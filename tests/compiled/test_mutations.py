"""Buffers that engines of Torch-TensorRT change and that torch.export saw nothing of: saved as Torch-TensorRT does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from executorch.exir._serialize._program import deserialize_pte_binary
from executorch.exir.schema import DelegateCall, KernelCall
from executorch.runtime import Runtime
from torch._library.fake_class_registry import FakeScriptObject
from torch.export import ExportedProgram
from torch.export.graph_signature import (
    CustomObjArgument,
    ExportGraphSignature,
    InputKind,
    InputSpec,
    OutputKind,
)

import torchtrt_ws
from torchtrt_ws import pte

WIDTH = 64
X = (torch.ones(4, WIDTH),)
ENGINE_CLASS = "__torch__.torch.classes.tensorrt.Engine"


def calls(path: Path) -> list[str]:
    """What the program runs, in order."""
    (plan,) = deserialize_pte_binary(path.read_bytes()).program.execution_plan
    names = []
    for instruction in plan.chains[0].instructions:
        call = instruction.instr_args
        if isinstance(call, DelegateCall):
            names.append(plan.delegates[call.delegate_index].id)
        elif isinstance(call, KernelCall):
            names.append(plan.operators[call.op_index].name)
    return names


def as_theirs(tensorrt: Any, program: ExportedProgram, folder: Path) -> pte.ProgramInfo:
    """Saves with both; the programs run the same."""
    outputs = [spec.kind for spec in program.graph_signature.output_specs]
    tensorrt.save(program, str(folder / "theirs.pte"), output_format="executorch", retrace=False)
    torchtrt_ws.save(program, folder / "ours.pte")
    assert [spec.kind for spec in program.graph_signature.output_specs] == outputs  # the caller's is as it was
    ours, theirs = pte.read(folder / "ours.pte"), pte.read(folder / "theirs.pte")
    assert [len(method.outputs) for method in ours.methods] == [len(method.outputs) for method in theirs.methods] == [1]
    for name in ("TensorRTBackend", "aten::copy_"):  # what lies between, XNNPACK computes in ours
        assert calls(folder / "ours.pte").count(name) == calls(folder / "theirs.pte").count(name) == 1
    return ours


def test_what_goes_back_into_a_buffer(
    tensorrt: Any, engine_call: Callable[..., Any], plans: dict[str, bytes], tmp_path: Path
) -> None:
    """torch_tensorrt.compile puts the new value behind the outputs, and says so in the graph's meta."""

    class Copied(torch.nn.Module):
        state: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("state", torch.zeros(4, WIDTH))
            self.register_buffer("engine", torch.frombuffer(bytearray(plans["a"]), dtype=torch.uint8))

        def forward(self, x: torch.Tensor) -> Any:
            y = engine_call(self.engine, x + self.state)
            return y, y * 2.0

    program = torch.export.export(Copied(), X, strict=False)
    program.graph_module.meta["_copyback_mutation_buffers"] = ["state"]
    as_theirs(tensorrt, program, tmp_path)
    program.graph_module.meta["_copyback_mutation_buffers"] = ["state"] * 3
    with pytest.raises(torchtrt_ws.ProgramError, match="at least 3 trailing outputs"):
        torchtrt_ws.save(program, tmp_path / "a.pte")


class Engine:
    """As a live engine tells of itself."""

    def __init__(self, record: list[str], plan: bytes) -> None:
        self._record, self._plan = record, plan

    def serialize_metadata_only(self) -> list[str]:
        return list(self._record)

    def serialized_engine_tensor(self) -> torch.Tensor:
        return torch.frombuffer(bytearray(self._plan), dtype=torch.uint8)


def with_cache(plan: bytes) -> ExportedProgram:
    """An engine that writes into its cache, as torch.export has it: one output, and no word of the cache."""
    from torch_tensorrt.dynamo.runtime._TorchTensorRTModule import TorchTensorRTModule

    sides = [{"shape_exprs": [4, WIDTH], "dtype": torch.float32, "name": name} for name in ("x", "cache", "y")]
    encoded = TorchTensorRTModule.encode_metadata(None, {"inout_symexprs": {"inputs": sides[:2], "outputs": sides[2:]}})
    record: list[Any] = ["10", "_run_on_acc_0_engine", "0%9%0%0%NVIDIA H100", "", "x%cache", "y%cache_out", "0"]
    record += [encoded, "linux_x86_64", "0", "0", "0", "cache_out@cache@kv_cache_update"]

    class Cached(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("cache", torch.zeros(4, WIDTH))
            self.register_buffer("engine", torch.frombuffer(bytearray(plan), dtype=torch.uint8))

        def forward(self, x: torch.Tensor) -> Any:
            return torch.ops.tensorrt.no_op_placeholder_for_execute_engine.default(
                [x, self.cache], *record[:3], self.engine, *record[4:]
            )[0]

    traced = torch.export.export(Cached(), X, strict=False)
    # A live engine is made on a GPU only: this one takes the place of the bytes.
    (node,) = (each for each in traced.graph.nodes if "execute_engine" in str(each.target))
    operand = node.args[4]
    node.target, node.args = torch.ops.tensorrt.execute_engine.default, (node.args[0], operand)
    live: Any = Engine(record, plan)
    engine: Any = FakeScriptObject(None, ENGINE_CLASS, live)
    operand.meta["val"] = CustomObjArgument(operand.name, ENGINE_CLASS, engine)
    signature = traced.graph_signature
    lifted = InputSpec(InputKind.CUSTOM_OBJ, operand.meta["val"], "engine", None)
    specs = [lifted if spec.target == "engine" else spec for spec in signature.input_specs]
    return ExportedProgram(
        root=traced.graph_module,
        graph=traced.graph,
        graph_signature=ExportGraphSignature(specs, list(signature.output_specs)),
        state_dict={name: value for name, value in traced.state_dict.items() if name != "engine"},
        range_constraints=traced.range_constraints,
        module_call_graph=traced.module_call_graph,
        example_inputs=traced.example_inputs,
        constants={**traced.constants, "engine": engine},
        verifiers=traced.verifiers,
    )


def test_what_an_engine_writes_into_its_input(tensorrt: Any, plans: dict[str, bytes], tmp_path: Path) -> None:
    program = with_cache(plans["a"])
    assert [spec.kind for spec in program.graph_signature.output_specs] == [OutputKind.USER_OUTPUT]
    (engine,) = as_theirs(tensorrt, program, tmp_path).engines
    assert [each.name for each in engine.outputs] == ["y", "cache_out"]
    assert [(each.output, each.input) for each in engine.metadata.aliased_io] == [("cache_out", "cache")]
    theirs = pte.read(tmp_path / "theirs.pte").engines[0].metadata
    assert theirs.aliased_io == engine.metadata.aliased_io
    assert [each.name for each in theirs.io_bindings] == [each.name for each in engine.metadata.io_bindings]


def test_a_buffer_begins_with_what_is_in_it(program_of: Callable[..., Any], tmp_path: Path) -> None:
    """Of a method without engines, which runs on the CPU; a cache of zeros takes no room in the file."""

    class Counter(torch.nn.Module):
        count: torch.Tensor
        cache: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.full((4,), 5))
            self.register_buffer("cache", torch.zeros(1 << 16, dtype=torch.int64))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.count.add_(x)
            self.cache.add_(1)
            return self.count + self.cache[:4]

    ones = torch.ones(4, dtype=torch.int64)
    methods = {"forward": program_of(lambda self, call, x: call("a", x)), "count": None}
    methods["count"] = torch.export.export(Counter(), (ones,))
    torchtrt_ws.save(methods, tmp_path / "a.pte")
    method = Runtime.get().load_program(str(tmp_path / "a.pte")).load_method("count")
    assert [method.execute([ones])[0].tolist() for _ in range(2)] == [[7] * 4, [9] * 4]
    assert (tmp_path / "a.pte").stat().st_size < 1 << 19


def test_what_exir_cannot_lower_is_told(program_of: Callable[..., Any], tmp_path: Path) -> None:
    """XNNPACK's preprocessing refuses a value that is an output and a buffer's new value (ExecuTorch 1.5.1)."""

    class Counter(torch.nn.Module):
        count: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.zeros(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.count.add_(x)
            return self.count.clone()

    methods = {"forward": program_of(lambda self, call, x: call("a", x)), "count": None}
    methods["count"] = torch.export.export(Counter(), (torch.ones(4),))
    with pytest.raises(torchtrt_ws.ProgramError, match="methods 'forward', 'count': found RuntimeError: Output node"):
        torchtrt_ws.save(methods, tmp_path / "a.pte")
    assert list(tmp_path.iterdir()) == []
