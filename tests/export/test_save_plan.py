"""`torchtrt_ws.save_plan`: what it writes, wires and refuses. The plans have real headers and no engine behind them."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest
from warm_python import python

import torchtrt_ws
from torchtrt_ws import blob, pte
from torchtrt_ws.blob import TensorFacts
from torchtrt_ws.platforms import this_platform

X, Y = "x:float16:16x64", "y:float16:16x64"


def rtx_plan(size: int = 4096, seed: int = 0) -> bytes:
    """What begins like a plan of TensorRT-RTX 1.6.1."""
    body = hashlib.sha256(b"%d" % seed).digest() * (size // 32 + 1)
    return struct.pack("<4s12xQ4B", b"vtrt", size, 1, 6, 1, 120) + body[: size - 28]


def only(path: Path) -> pte.EngineInfo:
    (engine,) = pte.read(path).engines
    return engine


def engine_bytes(path: Path, engine: pte.EngineInfo) -> bytes:
    return path.read_bytes()[engine.engine_offset : engine.engine_offset + engine.engine_bytes]


def specs(engine: pte.EngineInfo) -> list[tuple[str, bytes]]:
    return [(spec.key, spec.value) for spec in engine.compile_specs]


def test_the_platform_is_recorded(tmp_path: Path) -> None:
    for given, recorded in ((None, this_platform()), ("windows_x86_64", "windows_x86_64"), ("unknown", "unknown")):
        path = tmp_path / "a.pte"
        torchtrt_ws.save_plan(rtx_plan(), path, inputs=X, outputs=Y, target_platform=given)
        assert only(path).metadata.target_platform == recorded
    with pytest.raises(torchtrt_ws.ProgramError, match="target_platform: found 'windows'"):
        torchtrt_ws.save_plan(rtx_plan(), tmp_path / "b.pte", inputs=X, outputs=Y, target_platform="windows")
    assert not (tmp_path / "b.pte").exists()


@pytest.mark.parametrize("source", ["path", "str", "bytes", "memoryview"])
def test_one_plan(tmp_path: Path, source: str) -> None:
    plan = rtx_plan(5000)
    (tmp_path / "a.plan").write_bytes(plan)
    given: Any = {
        "path": tmp_path / "a.plan",
        "str": str(tmp_path / "a.plan"),
        "bytes": plan,
        "memoryview": memoryview(bytearray(plan)),
    }[source]
    torchtrt_ws.save_plan(given, tmp_path / "a.pte", inputs=X, outputs=[Y], weight_streaming_budget="50%")
    engine = only(tmp_path / "a.pte")
    assert engine_bytes(tmp_path / "a.pte", engine) == plan
    assert engine.sha256 == hashlib.sha256(plan).hexdigest()
    assert (engine.name, engine.method, engine.kind) == ("forward", "forward", "tensorrt")
    assert (engine.streamable_bytes, engine.streamable_estimated, engine.baked_budget) == (5000, True, 2500)
    own = engine.metadata.own
    assert own is not None
    assert own.builder == "tensorrt-rtx 1.6.1.120"
    assert own.inputs == (TensorFacts("x", "float16", (16, 64), (16, 64), (16, 64)),)
    assert engine.metadata.io_bindings == (
        blob.Binding("x", "float16", (16, 64), True),
        blob.Binding("y", "float16", (16, 64), False),
    )
    assert engine.engine_offset % 16 == 0
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.plan", "a.pte"]


def test_dynamic_dimensions_are_bounded_in_the_program(tmp_path: Path) -> None:
    torchtrt_ws.save_plan(
        rtx_plan(),
        tmp_path / "a.pte",
        inputs=["ids:int64:1..8x2..128", "mask:int64:1..8x2..128"],
        outputs=["y:float32:1..8x384", "hidden:float32:1..8x2..128x384", "z:bool:"],
        name="encoder",
        streamable_bytes=4000,
    )
    report = pte.read(tmp_path / "a.pte")
    (method,) = report.methods
    assert [(v.dtype, v.shape, v.dynamic) for v in method.inputs] == [("int64", (8, 128), True)] * 2
    assert [(v.dtype, v.shape, v.dynamic) for v in method.outputs] == [
        ("float32", (8, 384), True),
        ("float32", (8, 128, 384), True),
        ("bool", (), False),
    ]
    (engine,) = report.engines
    assert (engine.name, engine.streamable_bytes, engine.streamable_estimated) == ("encoder", 4000, False)
    assert [each.name for each in engine.inputs] == ["ids", "mask"]


def test_two_towers_share_an_input_and_a_total(tmp_path: Path) -> None:
    plans = {"small": rtx_plan(1000, 1), "large": rtx_plan(3000, 2)}
    torchtrt_ws.save_plan(
        plans,
        tmp_path / "a.pte",
        inputs={"small": X, "large": [X, "m:int32:4"]},
        outputs={"small": Y, "large": "z:float16:16x8"},
        weight_streaming_budget=1001,
    )
    report = pte.read(tmp_path / "a.pte")
    (method,) = report.methods
    assert [v.shape for v in method.inputs] == [(16, 64), (4,)]
    assert [v.shape for v in method.outputs] == [(16, 64), (16, 8)]
    assert {each.name: each.baked_budget for each in report.engines} == {"small": 250, "large": 751}
    for engine in report.engines:
        assert engine_bytes(tmp_path / "a.pte", engine) == plans[engine.name]
        own = engine.metadata.own
        assert own is not None
        assert (own.program_engines, own.program_streamable_bytes) == (2, 4000)


def test_a_chain(tmp_path: Path) -> None:
    torchtrt_ws.save_plan(
        {"second": rtx_plan(1000, 1), "first": rtx_plan(3000, 2)},
        tmp_path / "a.pte",
        inputs={"first": "x:float16:1..4x8", "second": "h:float16:1..8x8"},
        outputs={"first": "h:float16:1..4x8", "second": "y:float16:1..8x2"},
    )
    report = pte.read(tmp_path / "a.pte")
    assert [each.name for each in report.engines] == ["first", "second"]
    assert [v.shape for v in report.methods[0].outputs] == [(4, 2)]  # planned for what can arrive, not for 8 rows


def test_the_same_plan_as_two_engines(tmp_path: Path) -> None:
    (tmp_path / "a.plan").write_bytes(rtx_plan())
    both = {"a": tmp_path / "a.plan", "b": tmp_path / "a.plan"}
    torchtrt_ws.save_plan(both, tmp_path / "a.pte", inputs=dict.fromkeys(both, X), outputs=dict.fromkeys(both, Y))
    assert [each.name for each in pte.read(tmp_path / "a.pte").engines] == ["a", "b"]


def test_several_methods(tmp_path: Path) -> None:
    torchtrt_ws.save_plan(
        {"enc": rtx_plan(1000, 1), "dec": rtx_plan(3000, 2)},
        tmp_path / "a.pte",
        inputs={"enc": X, "dec": "x:float32:3"},  # of one name, and no relation: they are in methods of their own
        outputs={"enc": Y, "dec": "y:float32:3"},
        methods={"encode": ["enc"], "decode": ["dec"]},
        weight_streaming_budget_per_engine={"dec": "100%"},
    )
    report = pte.read(tmp_path / "a.pte")
    assert {(each.name, each.method) for each in report.engines} == {("enc", "encode"), ("dec", "decode")}
    assert {each.name: each.baked_budget for each in report.engines} == {"enc": None, "dec": 2**63 - 1}


def test_state_is_the_engines_own(tmp_path: Path) -> None:
    torchtrt_ws.save_plan(
        rtx_plan(),
        tmp_path / "a.pte",
        inputs=["x:float16:1..8x4", "cache:float16:2x4", "steps:int64:1"],
        outputs=["cache_after:float16:2x4", "y:float16:1..8x4", "steps_after:int64:1"],
        state={"steps": "steps_after", "cache": "cache_after"},
    )
    engine = only(tmp_path / "a.pte")
    own = engine.metadata.own
    assert own is not None
    assert own.keeps_state
    assert [(each.input, each.output, each.dtype, each.shape) for each in own.state] == [
        ("steps", "steps_after", "int64", (1,)),
        ("cache", "cache_after", "float16", (2, 4)),
    ]
    assert [tensor.name for tensor in (*engine.inputs, *engine.outputs)] == ["x", "y"]
    assert engine.as_dict()["state"][1] == {
        "input": "cache",
        "output": "cache_after",
        "dtype": "float16",
        "shape": [2, 4],
    }
    (method,) = pte.read(tmp_path / "a.pte").methods
    assert [value.name for value in (*method.inputs, *method.outputs)] == ["x", "y"]


@pytest.mark.parametrize("device_io", [False, True])
def test_a_device(tmp_path: Path, device_io: bool) -> None:
    from executorch.exir._serialize._program import deserialize_pte_binary

    torchtrt_ws.save_plan(
        rtx_plan(),
        tmp_path / "a.pte",
        inputs="x:float16:1..16x64",
        outputs="y:float16:1..16x64",
        device="cuda:1",
        device_io=device_io,
        weight_streaming_budget=7,
    )
    engine = only(tmp_path / "a.pte")
    assert specs(engine) == [("weight_streaming_budget", b"7"), ("target_device", b"cuda:1")]  # Torch-TensorRT's order
    assert engine.metadata.device_id == 1
    (plan,) = deserialize_pte_binary((tmp_path / "a.pte").read_bytes()).program.execution_plan
    ends = [plan.values[index].val for index in (*plan.inputs, *plan.outputs)]
    devices = [each.extra_tensor_info.device_type.name if each.extra_tensor_info else "CPU" for each in ends]
    assert devices == (["CUDA", "CUDA"] if device_io else ["CPU", "CPU"])
    copies = sorted(operator.name for operator in plan.operators)
    assert copies == ([] if device_io else ["et_copy::_d2h_copy", "et_copy::_h2d_copy"])
    if device_io:  # the caller provides them
        assert all(each.allocation_info is None for each in ends)


def test_host_memory_by_default(tmp_path: Path) -> None:
    torchtrt_ws.save_plan(rtx_plan(), tmp_path / "a.pte", inputs=X, outputs=Y, device="cpu")
    assert specs(only(tmp_path / "a.pte")) == []


def test_a_plan_of_tensorrt_itself(tmp_path: Path) -> None:
    torchtrt_ws.save_plan(b"ftrt and what follows", tmp_path / "a.pte", inputs=X, outputs=Y)
    own = only(tmp_path / "a.pte").metadata.own
    assert own is not None
    assert (own.builder, own.streamable_bytes) == ("tensorrt", 21)


@pytest.mark.parametrize(
    ("plan", "keywords", "words"),
    [
        pytest.param(b"", {}, "0 bytes", id="nothing"),
        pytest.param(rtx_plan()[:-1], {}, "4095 bytes .*the 4096 bytes that its header says", id="truncated"),
        pytest.param(rtx_plan()[:20], {}, "at least its header", id="truncated in the header"),
        pytest.param(b"\0\0\0\0ET12" + bytes(50), {}, "an ExecuTorch program", id="a .pte"),
        pytest.param(b"# torchtrt-ws\n\nA model", {}, "text that starts with '# torchtrt-ws", id="a README"),
        pytest.param("ä".encode() * 20, {}, "text that starts with", id="text cut in a character"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(40), {}, r"a picture \(PNG\)", id="a picture"),
        pytest.param(b"PK\x03\x04" + bytes(40), {}, "a zip archive", id="a checkpoint"),
        pytest.param(struct.pack("<Q", 300) + b'{"__metadata__":', {}, "a safetensors file", id="safetensors"),
        pytest.param(b"TR01" + bytes(40), {}, "an engine blob", id="a blob"),
        pytest.param("missing.plan", {}, "missing.plan.*No such file", id="no file"),
        pytest.param(7, {}, "a int.*a path, or a C-contiguous buffer", id="no plan"),
        pytest.param({}, {}, "an empty mapping", id="no plans"),
        pytest.param({"a b": b"ftrt"}, {}, "engine name", id="engine name"),
        pytest.param(b"ftrt", {"name": "a/b"}, "engine name", id="name"),
        pytest.param(b"ftrt", {"outputs": None}, "both inputs and outputs", id="no outputs"),
        pytest.param(b"ftrt", {"inputs": "x:half:3"}, "dtype 'half'", id="dtype"),
        pytest.param(b"ftrt", {"inputs": {"other": X}}, "no engine named 'other'", id="inputs of nobody"),
        pytest.param({"a": b"ftrt"}, {}, "a mapping with the keys 'a'", id="inputs of whom"),
        pytest.param(b"ftrt", {"outputs": "y:float16:1..4"}, "none: all inputs are static", id="output range"),
        pytest.param(
            b"ftrt",
            {"inputs": "x:int8:1..8x1..3", "outputs": "y:float16:1..4"},
            r"1\.\.4 for dimension 0.*\(1\.\.8, 1\.\.3\)",
            id="another output range",
        ),
        pytest.param(b"ftrt", {"streamable_bytes": 5}, "from 0 to the plan's 4", id="streamable"),
        pytest.param(b"ftrt", {"streamable_bytes": True}, "True", id="streamable bool"),
        pytest.param(b"ftrt", {"methods": {"a": ["other"]}}, "every engine once: 'forward'", id="methods"),
        pytest.param(b"ftrt", {"methods": {"a": "forward"}}, "a list of engines", id="methods text"),
        pytest.param(b"ftrt", {"state": "x"}, "a str.*a mapping from an input's name", id="state text"),
        pytest.param(b"ftrt", {"state": {"z": "y"}}, "'z'.*each once, of 'x'", id="state of no input"),
        pytest.param(b"ftrt", {"state": {"x": "z"}}, "'z'.*each once, of 'y'", id="state to no output"),
        pytest.param(b"ftrt", {"state": {"x": "y"}}, "nothing else", id="nothing but state"),
        pytest.param(
            b"ftrt",
            {"state": {"x": "y"}, "inputs": "x:float16:1..2", "outputs": "y:float16:1..2"},
            "state of a fixed size",
            id="state that varies",
        ),
        pytest.param(
            b"ftrt",
            {"state": {"x": "y"}, "inputs": "x:float16:2", "outputs": "y:float16:3"},
            r"float16\[2\] that becomes float16\[3\]",
            id="state of another shape",
        ),
        pytest.param({"a": b"ftrt"}, {"state": {"b": {"x": "y"}}}, "no engine named 'b'", id="state of nobody"),
        pytest.param(b"ftrt", {"device": "gpu"}, "'gpu'", id="device"),
        pytest.param(b"ftrt", {"device_io": True}, "without a device", id="device_io"),
        pytest.param(b"ftrt", {"weight_streaming_budget": -1}, "-1", id="budget"),
        pytest.param(b"ftrt", {"weight_streaming_budget_per_engine": {"b": 1}}, "'forward'", id="unknown engine"),
    ],
)
def test_refused(tmp_path: Path, plan: Any, keywords: dict[str, Any], words: str) -> None:
    with pytest.raises(torchtrt_ws.WeightStreamingError, match=words):
        torchtrt_ws.save_plan(plan, tmp_path / "a.pte", **{"inputs": X, "outputs": Y, **keywords})
    assert list(tmp_path.iterdir()) == []


def test_the_plan_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.plan").write_bytes(rtx_plan())
    os.symlink(tmp_path / "a.plan", tmp_path / "link")
    with pytest.raises(torchtrt_ws.ProgramError, match="the plan itself"):
        torchtrt_ws.save_plan(tmp_path / "a.plan", tmp_path / "link", inputs=X, outputs=Y)


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchtrt_ws.export.engine.payload import BufferPayload

    def fail(self: BufferPayload, file: Any) -> None:
        file.write(b"part of it")
        raise OSError(28, "No space left on device")

    (tmp_path / "a.pte").write_bytes(b"old")
    monkeypatch.setattr(BufferPayload, "write_to", fail)
    with pytest.raises(torchtrt_ws.ProgramError, match=r"No space left on device.*Nothing was changed"):
        torchtrt_ws.save_plan(rtx_plan(), tmp_path / "a.pte", inputs=X, outputs=Y)
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("a.pte", b"old")]


def test_inputs_and_outputs_are_read_from_the_engine(tmp_path: Path) -> None:
    """Where there is a GPU; elsewhere the error says what to give."""
    trt = pytest.importorskip("tensorrt_rtx")
    import torch

    builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    x = network.add_input("x", trt.float32, (4, 8))
    y = network.add_unary(x, trt.UnaryOperation.NEG).get_output(0)
    y.name = "y"
    network.mark_output(y)
    plan = memoryview(builder.build_serialized_network(network, builder.create_builder_config()))
    if torch.cuda.is_available():
        torchtrt_ws.save_plan(plan, tmp_path / "a.pte")
        assert [(t.name, t.dtype, t.shape) for t in only(tmp_path / "a.pte").inputs] == [("x", "float32", (4, 8))]
        return
    with pytest.raises(torchtrt_ws.EngineError, match=r"TensorRT and a GPU.*Or give inputs and outputs"):
        torchtrt_ws.save_plan(plan, tmp_path / "a.pte")


BIG = """
import json, os, sys
import torchtrt_ws

def resident(key):
    return 1024 * int(next(line for line in open("/proc/self/status") if line.startswith(key)).split()[1])

plan, out, small = sys.argv[1:]
torchtrt_ws.save_plan(small, out, inputs="x:int8:4", outputs="y:int8:4")  # imports torch and executorch
open("/proc/self/clear_refs", "w").write("5")  # the peak counts from here
before = resident("VmRSS")
torchtrt_ws.save_plan(plan, out, inputs="x:int8:4", outputs="y:int8:4", weight_streaming_budget=2**33)
print(json.dumps(resident("VmHWM") - before))
"""


@pytest.mark.parametrize("size", [(2 << 30) + 4097, (4 << 30) + 12345], ids=["2 GiB", "4 GiB"])
def test_big_plans_stay_out_of_memory(tmp_path: Path, size: int) -> None:
    """A sparse file: as long as a real one, with hardly a block on the disk."""
    with open(tmp_path / "big.plan", "wb") as file:
        file.write(rtx_plan(4096)[:16] + struct.pack("<Q", size) + rtx_plan(4096)[24:])
        file.seek(size - 3)
        file.write(b"end")
    (tmp_path / "small.plan").write_bytes(rtx_plan())
    arguments = [tmp_path / "big.plan", tmp_path / "big.pte", tmp_path / "small.plan"]
    done = python("-c", BIG, *arguments, exports=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) < 64 << 20
    engine = only(tmp_path / "big.pte")
    assert (engine.engine_bytes, engine.baked_budget) == (size, 2**33)
    assert engine.payload_offset + engine.payload_bytes <= os.path.getsize(tmp_path / "big.pte")
    with open(tmp_path / "big.pte", "rb") as file:
        file.seek(engine.engine_offset)
        assert file.read(4) == b"vtrt"
        file.seek(engine.engine_offset + size - 3)
        assert file.read(3) == b"end"


def test_garbage_is_collected_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saving goes without for a moment: also when it fails, and not where the caller does without."""
    from torchtrt_ws.export.engine.payload import BufferPayload

    torchtrt_ws.save_plan(rtx_plan(), tmp_path / "a.pte", inputs=X, outputs=Y)
    assert gc.isenabled()
    gc.disable()
    try:
        torchtrt_ws.save_plan(rtx_plan(), tmp_path / "a.pte", inputs=X, outputs=Y)
        assert not gc.isenabled()
    finally:
        gc.enable()

    def fail(self: object, file: object) -> None:
        assert not gc.isenabled()
        raise RuntimeError("a bug")

    monkeypatch.setattr(BufferPayload, "write_to", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        torchtrt_ws.save_plan(rtx_plan(), tmp_path / "a.pte", inputs=X, outputs=Y)
    assert gc.isenabled()
