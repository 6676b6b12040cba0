"""`save(..., streaming=...)`: with TensorRT-RTX's builder, and with host engines in its place where results count."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from executorch.exir._serialize._program import deserialize_pte_binary

import torchtrt_ws
from tests.export.decoder import TABLE_BYTES, Decoder, dynamic, export, ids
from torchtrt_ws import pte
from torchtrt_ws.blob import ProfileBounds, WeightSize
from torchtrt_ws.budget import MAX_BYTES
from torchtrt_ws.export.sources import host, tensorrt_rtx
from torchtrt_ws.export.streaming import StreamingOptions

pytest.importorskip("tensorrt_rtx", reason="pip install torchtrt-ws[rtx]")

SMALL = StreamingOptions(min_table_bytes=TABLE_BYTES, min_head_bytes=TABLE_BYTES)


def save(module: Any, path: Path, **keywords: Any) -> dict[str, pte.EngineInfo]:
    defaults = {"arg_inputs": (ids(),), "dynamic_shapes": dynamic(), "engine": "tensorrt_rtx", "streaming": SMALL}
    torchtrt_ws.save(module, path, **{**defaults, **keywords})
    return {each.name: each for each in pte.read(path).engines}


class Layer(Decoder):
    """The decoder without its attention: it lowers in a few seconds."""

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.table(ids)
        return self.head(x + self.down(self.gate(x) * self.up(x)))


def bytes_of(tensor: torch.Tensor) -> bytes:
    return tensor.detach().contiguous().view(torch.uint8).numpy().tobytes()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("streaming") / "decoder.pte"
    save(Decoder(), path, weight_streaming_budget="80%")
    return path


@pytest.fixture
def host_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT-RTX plans do not run here: host engines of the same parts do."""

    def build(name: str, program: Any, interface: Any, *_: Any) -> Any:
        return host.build({name: program}, {name: interface})[name]

    monkeypatch.setattr(tensorrt_rtx, "build", build)


def test_a_table_and_two_plans(saved: Path) -> None:
    report = pte.read(saved)
    body, head = report.engines
    assert (body.name, head.name, body.method, head.method) == ("forward", "forward_head", "forward", "forward")
    assert body.streamable_bytes is not None and body.streamable_bytes < TABLE_BYTES
    assert head.streamable_bytes == TABLE_BYTES
    assert [each.name for each in body.outputs] == [each.name for each in head.inputs]
    data = saved.read_bytes()
    assert data.count(bytes_of(Decoder().table.weight)) == 1  # as it is: a constant of the program
    (method,) = report.methods
    assert (method.inputs[0].dtype, method.inputs[0].shape, method.outputs[0].shape) == ("int64", (4, 16), (4, 16, 500))


def test_what_was_done_is_recorded(saved: Path) -> None:
    body, head = (each.streaming for each in pte.read(saved).engines)
    assert body is not None and head is not None
    assert (body.part, head.part) == ("body", "head")
    for facts in (body, head):
        assert facts.tables == (WeightSize("table.weight", TABLE_BYTES),)
        assert facts.head == WeightSize("head.weight", TABLE_BYTES)
        assert facts.plain_scratch_bytes == 2 * TABLE_BYTES
    assert head.largest == (WeightSize("head.weight", TABLE_BYTES),)
    assert [each.name for each in body.largest[:2]] == ["gate.weight + up.weight", "qkv.weight"]
    assert body.scratch_bytes == sum(each.bytes for each in body.largest[:2])


def test_what_was_done_is_logged(tmp_path: Path, host_engines: None, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "torchtrt_ws"):
        save(Layer(tied=True), tmp_path / "a.pte")
    (found,) = torchtrt_ws.load(tmp_path / "a.pte")(ids())
    torch.testing.assert_close(torch.from_dlpack(found), Layer(tied=True)(ids()), rtol=1e-4, atol=1e-5)
    said = "\n".join(each.getMessage() for each in caplog.records if each.name.startswith("torchtrt_ws"))
    for words in ("stays on the host", "'forward_head'", "two copies", f"instead of {2 * TABLE_BYTES}"):
        assert words in said


@pytest.mark.parametrize(
    ("streaming", "engines", "tables"),
    [
        (SMALL, ["forward", "forward_head"], 1),
        (StreamingOptions(head_engine=False, min_table_bytes=TABLE_BYTES), ["forward"], 1),
        (StreamingOptions(host_tables=False, min_head_bytes=TABLE_BYTES), ["forward"], 0),  # the table is as large
        (None, ["forward"], 0),  # everything is small
        (False, ["forward"], 0),
    ],
)
def test_results_are_those_of_the_module(
    tmp_path: Path, host_engines: None, streaming: Any, engines: list[str], tables: int
) -> None:
    module = Layer()
    found = save(module, tmp_path / "a.pte", streaming=streaming)
    assert list(found) == engines
    assert len(getattr(found["forward"].streaming, "tables", ())) == tables
    program = torchtrt_ws.load(tmp_path / "a.pte")
    for batch, length in ((2, 5), (1, 2), (4, 16)):
        (logits,) = program(ids(batch, length))
        torch.testing.assert_close(torch.from_dlpack(logits), module(ids(batch, length)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("index", [torch.int64, torch.int32])
def test_tables_of_half_precision(tmp_path: Path, host_engines: None, dtype: torch.dtype, index: torch.dtype) -> None:
    class Scaled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = Decoder(dtype=dtype).table

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.table(ids.clamp(0, 400)).float() * 2

    module, path = Scaled(), tmp_path / "a.pte"
    options = StreamingOptions(min_table_bytes=TABLE_BYTES // 2)
    (engine,) = save(module, path, arg_inputs=(ids().to(index),), streaming=options).values()
    assert engine.inputs[0].dtype == str(dtype).removeprefix("torch.")
    (found,) = torchtrt_ws.load(path)(ids(3, 7).to(index))
    assert torch.equal(torch.from_dlpack(found), module(ids(3, 7)))


def test_methods_share_the_table_and_what_is_equal(tmp_path: Path, host_engines: None) -> None:
    module, path = Decoder(), tmp_path / "a.pte"
    engines = save(
        {"prefill": module, "decode": module},
        path,
        arg_inputs={"prefill": (ids(),), "decode": (ids(2, 1),)},
        dynamic_shapes={"prefill": dynamic(), "decode": {"ids": {0: torch.export.Dim("batch", min=1, max=4)}}},
    )
    assert list(engines) == ["decode", "decode_head", "prefill", "prefill_head"]
    assert path.read_bytes().count(bytes_of(module.table.weight)) == 1
    program = torchtrt_ws.load(path)
    for method, tokens in (("prefill", ids(3, 9)), ("decode", ids(4, 1))):
        (found,) = program.run(method, tokens)
        torch.testing.assert_close(torch.from_dlpack(found), module(tokens), rtol=1e-4, atol=1e-5)


def test_equal_heads_are_stored_once(tmp_path: Path) -> None:
    module = Layer()
    engines = save(
        {"one": module, "other": module},
        tmp_path / "a.pte",
        arg_inputs={"one": (ids(),), "other": (ids(3, 4),)},
        dynamic_shapes={"one": dynamic(), "other": dynamic()},
    )
    assert engines["other_head"].same_plan_as == "one_head"


def test_budgets_keep_a_head_whole(saved: Path, tmp_path: Path) -> None:
    body, head = pte.read(saved).engines
    assert head.baked_budget == MAX_BYTES  # 80 % of both hold it, and some of the rest
    assert body.streamable_bytes is not None and head.streamable_bytes is not None
    total = (body.streamable_bytes + head.streamable_bytes) * 80 // 100
    assert body.baked_budget == total - head.streamable_bytes
    changed = tmp_path / "changed.pte"
    changed.write_bytes(saved.read_bytes())
    torchtrt_ws.set_budget(changed, TABLE_BYTES - 1)
    assert [each.baked_budget for each in pte.read(changed).engines] == [body.streamable_bytes, 0]


def test_engines_are_named_in_budgets(tmp_path: Path, host_engines: None) -> None:
    engines = save(Layer(), tmp_path / "a.pte", weight_streaming_budget_per_engine={"forward_head": 1000})
    assert {name: each.baked_budget for name, each in engines.items()} == {"forward": None, "forward_head": 1000}


def test_a_head_that_there_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt_rtx, "build", lambda *_: pytest.fail("it is refused before the build"))
    with pytest.raises(torchtrt_ws.BudgetError, match="'forward_head'"):
        save(Layer(), tmp_path / "a.pte", streaming=True, weight_streaming_budget_per_engine={"forward_head": 1})


def test_profiles_of_both_engines(tmp_path: Path) -> None:
    def tokens(low: int, high: int) -> dict[str, Any]:
        return {"ids": {1: torch.export.Dim("length", min=low, max=high)}}

    engines = save(Decoder(), tmp_path / "a.pte", dynamic_shapes=[tokens(8, 16), tokens(2, 4)])
    for name, tensor in (("forward", "embedding"), ("forward_head", engines["forward"].outputs[0].name)):
        assert engines[name].optimization_profiles == tuple(
            (ProfileBounds(tensor, (2, low, 32), (2, high, 32), (2, high, 32)),) for low, high in ((8, 16), (2, 4))
        )


def test_on_a_device(tmp_path: Path) -> None:
    engines = save(Layer(), tmp_path / "a.pte", device="cuda:0")
    assert list(engines) == ["forward", "forward_head"]
    assert all(each.compile_specs[-1].value == b"cuda:0" for each in engines.values())
    program = deserialize_pte_binary((tmp_path / "a.pte").read_bytes()).program
    (plan,) = program.execution_plan
    calls = [each.instr_args for chain in plan.chains for each in chain.instructions]
    steps = [plan.operators[call.op_index].name if hasattr(call, "op_index") else "engine" for call in calls]
    assert steps == ["aten::embedding", "et_copy::_h2d_copy", "engine", "engine", "et_copy::_d2h_copy"]


def test_inputs_on_a_device_are_no_indices_for_the_host(tmp_path: Path) -> None:
    (engine,) = save(Layer(), tmp_path / "a.pte", device="cuda:0", device_io=True).values()
    assert engine.streaming is not None
    assert engine.streaming.tables == ()
    assert "device_io" in engine.streaming.notes[0]


@pytest.mark.parametrize("program", [False, True])
def test_operators_in_place(tmp_path: Path, host_engines: None, program: bool) -> None:
    class InPlace(Decoder):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            x = self.table(ids.clone().add_(1).clamp_(max=400))
            x.mul_(2)
            return self.head(self.norm(x).relu_()).add_(1)

    module, path = InPlace(), tmp_path / "a.pte"
    if program:  # recorded with gradients
        exported = torch.export.export(module, (ids(),), dynamic_shapes=dynamic())
        engines = save(exported, path, arg_inputs=None, dynamic_shapes=None)
    else:
        engines = save(module, path)
    assert list(engines) == ["forward", "forward_head"]
    (found,) = torchtrt_ws.load(path)(ids(1, 9))
    torch.testing.assert_close(torch.from_dlpack(found), module(ids(1, 9)), rtol=1e-4, atol=1e-5)


def test_what_cannot_be_cut_is_saved_whole(tmp_path: Path, host_engines: None) -> None:
    class Rows(Decoder):
        def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
            rows = self.table(ids)
            return rows, self.head(self.norm(rows))

    module = Rows()
    (engine,) = save(module, tmp_path / "a.pte").values()
    assert engine.streaming is not None
    assert (engine.streaming.part, engine.streaming.tables, engine.streaming.head) == ("whole", (), None)
    assert "returns 'embedding'" in engine.streaming.notes[-1]
    for found, expected in zip(torchtrt_ws.load(tmp_path / "a.pte")(ids()), module(ids()), strict=True):
        torch.testing.assert_close(torch.from_dlpack(found), expected, rtol=1e-4, atol=1e-5)


def test_a_name_that_a_method_has(tmp_path: Path, host_engines: None) -> None:
    module = Layer()
    methods = {"a": export(module, (ids(),)), "a_head": export(module, (ids(),))}
    with pytest.raises(torchtrt_ws.ProgramError, match="'a_head'"):
        save(methods, tmp_path / "a.pte", arg_inputs=None, dynamic_shapes=None)


def test_host_engines_are_not_split(tmp_path: Path) -> None:
    with pytest.raises(torchtrt_ws.ProgramError, match="streaming: found StreamingOptions"):
        save(Layer(), tmp_path / "a.pte", engine="host")
    assert list(save(Layer(), tmp_path / "a.pte", engine="host", streaming=False)) == ["forward"]


def test_a_small_table_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of the large one are an input `embedding`, which is what torch.onnx calls the other lookup too. What the
    builder is given computes what the module does."""
    from onnx.reference import ReferenceEvaluator

    class Positions(Layer):
        def __init__(self) -> None:
            super().__init__()
            self.positions = torch.nn.Embedding(16, 32)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            x = self.table(ids) + self.positions(torch.arange(ids.shape[1]))
            return self.head(x + self.down(self.up(x)))

    models: list[Any] = []
    build = tensorrt_rtx.build_plan

    def kept(name: str, model: Any, *rest: Any) -> Any:
        models.append(ReferenceEvaluator(str(model.path)))
        return build(name, model, *rest)

    monkeypatch.setattr(tensorrt_rtx, "build_plan", kept)
    module = Positions()
    engines = save(module, tmp_path / "a.pte")
    assert [each.name for each in engines["forward"].inputs] == ["embedding"]
    body, head = models
    with torch.no_grad():
        (hidden,) = body.run(None, {"embedding": module.table(ids(3, 7)).numpy()})
        (logits,) = head.run(None, {engines["forward_head"].inputs[0].name: hidden})
        torch.testing.assert_close(torch.from_numpy(logits), module(ids(3, 7)), rtol=1e-4, atol=1e-5)


def test_what_may_not_be_between_engines_is_not_cut(tmp_path: Path, host_engines: None) -> None:
    class Double(Layer):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            scale = self.table(ids).double().mean(-1, keepdim=True)  # TensorRT has no float64
            return self.head(self.table(ids)) * scale.float() + scale.sum().float()

    class Between(Layer):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            x = self.table(ids)
            return (self.head(x).double() * x.double().sum(-1, keepdim=True)).float()

    for module in (Double(), Between()):
        engines = save(module, tmp_path / "a.pte")
        (found,) = torchtrt_ws.load(tmp_path / "a.pte")(ids())
        torch.testing.assert_close(torch.from_dlpack(found), module(ids()), rtol=1e-4, atol=1e-4)
    assert list(engines) == ["forward"]
    assert engines["forward"].streaming is not None
    assert "no float64" in engines["forward"].streaming.notes[-1]
