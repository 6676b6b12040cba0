"""Programs with engines of Torch-TensorRT: each engine is a delegate of its own, whatever lies around it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor

import torchtrt_ws
from torchtrt_ws import pte

BODIES: dict[str, tuple[Callable[..., Any], list[str]]] = {
    "alone": (lambda self, call, x: call("a", x), ["a"]),
    "chain": (lambda self, call, x: call("b", call("a", x)), ["a", "b"]),
    "two towers": (lambda self, call, x: (call("a", x), call("b", x)), ["a", "b"]),
    "towers that meet": (lambda self, call, x: call("a", x) + call("b", x), ["a", "b"]),
    "something between": (lambda self, call, x: call("b", torch.relu(self.linear(call("a", x)))), ["a", "b"]),
    "before and after": (lambda self, call, x: torch.tanh(call("a", self.linear(x))).sum(1), ["a"]),
    "diamond": (lambda self, call, x: call("b", (h := call("a", x)) * 2) + h, ["a", "b"]),
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("dynamic", [True, False], ids=["dynamic", "static"])
def test_topology(
    tmp_path: Path, program_of: Callable[..., Any], plans: dict[str, bytes], body: str, dynamic: bool
) -> None:
    function, wanted = BODIES[body]
    exported = program_of(function, dynamic)
    torchtrt_ws.save(exported, tmp_path / "a.pte", weight_streaming_budget=1000)
    report = pte.read(tmp_path / "a.pte")
    names = ["forward"] if len(wanted) == 1 else [f"_run_on_acc_{each}_engine" for each in wanted]
    assert [each.name for each in report.engines] == names
    data = (tmp_path / "a.pte").read_bytes()
    for engine, plan in zip(report.engines, wanted, strict=True):
        assert data[engine.engine_offset : engine.engine_offset + engine.engine_bytes] == plans[plan]
        assert engine.metadata.target_platform == "linux_x86_64"
        assert engine.inputs[0].max == ((8, 64) if dynamic else (4, 64))
        assert engine.inputs[0].shape == ((-1, 64) if dynamic else (4, 64))
    assert sum(each.baked_budget or 0 for each in report.engines) == 1000
    assert len(data) < sum(len(plans[each]) for each in wanted) + 64 * 1024  # each engine once, and no other


def test_what_lies_between_is_lowered(tmp_path: Path, program_of: Callable[..., Any]) -> None:
    torchtrt_ws.save(program_of(BODIES["something between"][0]), tmp_path / "a.pte")
    assert set(pte.read(tmp_path / "a.pte").other_backends) == {"XnnpackBackend"}


def test_one_engine_called_twice(tmp_path: Path, program_of: Callable[..., Any], plans: dict[str, bytes]) -> None:
    torchtrt_ws.save(program_of(lambda self, call, x: call("a", call("a", x))), tmp_path / "a.pte")
    report = pte.read(tmp_path / "a.pte")
    assert [each.name for each in report.engines] == ["_run_on_acc_a_engine", "_run_on_acc_a_engine_2"]


def test_several_methods(tmp_path: Path, program_of: Callable[..., Any]) -> None:
    plain = torch.export.export(torch.nn.Linear(4, 4), (torch.ones(1, 4),))
    methods = {"encode": program_of(BODIES["alone"][0]), "rank": program_of(BODIES["two towers"][0]), "plain": plain}
    torchtrt_ws.save(methods, tmp_path / "a.pte", weight_streaming_budget_per_engine={"encode": "100%"})
    report = pte.read(tmp_path / "a.pte")
    assert {method.name for method in report.methods} == {"encode", "rank", "plain"}
    assert {(each.name, each.method) for each in report.engines} == {
        ("encode", "encode"),
        ("_run_on_acc_a_engine", "rank"),
        ("_run_on_acc_b_engine", "rank"),
    }


def test_a_program_of_a_gpu(tmp_path: Path, program_of: Callable[..., Any]) -> None:
    """Its values are on the device; so are constants that it makes."""
    exported = program_of(lambda self, call, x: torch.relu(call("a", x)) + torch.ones(4, 64, device=x.device), False)
    for node in exported.graph.nodes:
        value = node.meta.get("val")
        if isinstance(value, FakeTensor) and not node.name.startswith("b_"):  # not the engine's bytes
            with value.fake_mode:
                node.meta["val"] = torch.empty(value.shape, device="cuda:0")
        if "device" in node.kwargs:
            node.kwargs = {**node.kwargs, "device": torch.device("cuda:0")}
    torchtrt_ws.save(exported, tmp_path / "a.pte", device="cuda:0")
    report = pte.read(tmp_path / "a.pte")
    assert [each.name for each in report.engines] == ["forward"]
    assert set(report.other_backends) == {"XnnpackBackend"}


def test_the_program_is_not_changed(tmp_path: Path, program_of: Callable[..., Any]) -> None:
    exported = program_of(BODIES["something between"][0])
    before, weights = str(exported.graph), {name: value.clone() for name, value in exported.state_dict.items()}
    for name in ("a.pte", "b.pte"):
        torchtrt_ws.save(exported, tmp_path / name)
    assert str(exported.graph) == before
    assert all(torch.equal(value, exported.state_dict[name]) for name, value in weights.items())
    assert (tmp_path / "a.pte").read_bytes() == (tmp_path / "b.pte").read_bytes()


def test_a_device(tmp_path: Path, program_of: Callable[..., Any]) -> None:
    torchtrt_ws.save(program_of(BODIES["chain"][0]), tmp_path / "a.pte", device="cuda:0", device_io=True)
    for engine in pte.read(tmp_path / "a.pte").engines:
        assert [(spec.key, spec.value) for spec in engine.compile_specs] == [("target_device", b"cuda:0")]


@pytest.mark.parametrize(("device", "runs_on"), [(None, 2), ("cuda:0", 0), ("cuda:1", 1)])
def test_engines_run_where_their_tensors_are(
    tmp_path: Path, program_of: Callable[..., Any], device: str | None, runs_on: int
) -> None:
    """They were compiled for device 2; memory of another device than its own is refused by an engine."""
    exported = program_of(BODIES["chain"][0], device="2%9%0%2%NVIDIA H100")
    torchtrt_ws.save(exported, tmp_path / "a.pte", device=device)
    for engine in pte.read(tmp_path / "a.pte").engines:
        assert (engine.metadata.device_id, engine.target_device) == (runs_on, device)


def test_aliased_outputs(tmp_path: Path, program_of: Callable[..., Any]) -> None:
    exported = program_of(BODIES["alone"][0], outputs="y%cache", aliases="cache@x@kv_cache_update")
    torchtrt_ws.save(exported, tmp_path / "a.pte")
    (engine,) = pte.read(tmp_path / "a.pte").engines
    aliases = [(each.output, each.input, each.kind) for each in engine.metadata.aliased_io]
    assert aliases == [("cache", "x", "kv_cache_update")]
    assert [each.name for each in engine.outputs] == ["y", "cache"]
    assert (tmp_path / "a.pte").read_bytes()[engine.payload_offset :][:4] == b"TR02"


@pytest.mark.parametrize(
    ("changes", "keywords", "words"),
    [
        ({"allocator": "1"}, {}, "output allocator"),
        ({"outputs": "y%z", "aliases": "z@x@1@kv_cache_update"}, {}, "an alias 'z@x@1@kv_cache_update'"),
        ({"outputs": "y%z"}, {}, "1 outputs in the graph.*the engine's 2: y, z"),
        ({}, {"engine": "host"}, "has engines of Torch-TensorRT"),
        ({}, {"arg_inputs": (1,)}, "already exported"),
        ({}, {"weight_streaming_budget_per_engine": {"other": 1}}, "no engine named 'other'"),
        ({}, {"weight_streaming_budget": -1}, "-1"),
    ],
)
def test_refused(
    tmp_path: Path, program_of: Callable[..., Any], changes: dict[str, str], keywords: dict[str, Any], words: str
) -> None:
    exported = program_of(BODIES["alone"][0], **changes)
    with pytest.raises(torchtrt_ws.WeightStreamingError, match=words):
        torchtrt_ws.save(exported, tmp_path / "a.pte", **keywords)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("keyword", ["arg_inputs", "kwarg_inputs", "dynamic_shapes"])
def test_inputs_of_a_method_that_is_not_there(tmp_path: Path, program_of: Callable[..., Any], keyword: str) -> None:
    methods = {"encode": program_of(BODIES["alone"][0])}
    keywords: dict[str, Any] = {keyword: {"encoed": (torch.ones(1),)}}
    with pytest.raises(torchtrt_ws.ProgramError, match="no method named 'encoed'"):
        torchtrt_ws.save(methods, tmp_path / "a.pte", **keywords)
    assert list(tmp_path.iterdir()) == []


def test_a_method_that_is_no_program(tmp_path: Path, program_of: Callable[..., Any]) -> None:
    methods = {"a": program_of(BODIES["alone"][0]), "b": torch.nn.Linear(4, 4)}
    with pytest.raises(torchtrt_ws.ProgramError, match=r"method 'b'.*not compiled"):
        torchtrt_ws.save(methods, tmp_path / "a.pte")


def test_a_compiled_module(tmp_path: Path, program_of: Callable[..., Any], plans: dict[str, bytes]) -> None:
    """A graph module, as torch_tensorrt.compile returns: Torch-TensorRT's own exporter makes the program."""
    module = program_of(BODIES["chain"][0], dynamic=False).module(check_guards=False)
    assert isinstance(module, torch.fx.GraphModule)
    torchtrt_ws.save(module, tmp_path / "a.pte", weight_streaming_budget=1000)
    report = pte.read(tmp_path / "a.pte")
    assert [each.name for each in report.engines] == ["_run_on_acc_a_engine", "_run_on_acc_b_engine"]
    assert sum(each.baked_budget or 0 for each in report.engines) == 1000
    wrapped = replays_graphs(module)
    torchtrt_ws.save(wrapped, tmp_path / "b.pte", weight_streaming_budget=1000)
    assert (tmp_path / "b.pte").read_bytes() == (tmp_path / "a.pte").read_bytes()


def replays_graphs(module: torch.nn.Module) -> torch.nn.Module:
    """As torch_tensorrt.runtime.enable_cudagraphs returns it, which needs a GPU to be made."""
    from torch_tensorrt.dynamo.runtime._CudaGraphsTorchTensorRTModule import CudaGraphsTorchTensorRTModule

    wrapped = CudaGraphsTorchTensorRTModule.__new__(CudaGraphsTorchTensorRTModule)
    torch.nn.Module.__init__(wrapped)
    wrapped.compiled_module, wrapped.cudagraph = module, None
    return wrapped


def test_a_module_around_a_compiled_one(tmp_path: Path, program_of: Callable[..., Any]) -> None:
    """It is exported on the way to a host engine, which has no kernel for an engine: so what to do instead is said."""
    module = torch.nn.Sequential(program_of(BODIES["alone"][0], dynamic=False).module(check_guards=False))
    with pytest.raises(torchtrt_ws.ProgramError, match=r"calls engines of Torch-TensorRT.*torch\.export\.export"):
        torchtrt_ws.save(module, tmp_path / "a.pte", arg_inputs=(torch.ones(4, 64),))
    exported = torch.export.export(module, (torch.ones(4, 64),), strict=False)
    torchtrt_ws.save(exported, tmp_path / "a.pte")
    assert [each.kind for each in pte.read(tmp_path / "a.pte").engines] == ["tensorrt"]
