"""`save(..., engine="tensorrt_rtx")`: plans built on a CPU. What they compute is tested where there is a GPU."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

import torchtrt_ws
from tests.export.cached_decoder import HEADS, ROWS, WIDTH, CachedDecoder
from tests.export.cached_decoder import inputs as steps
from torchtrt_ws import pte
from torchtrt_ws.blob import ProfileBounds, StateTensor
from torchtrt_ws.export.sources import tensorrt_rtx
from torchtrt_ws.export.streaming import StreamingOptions
from torchtrt_ws.plan_header import HEADER_SIZE, compute_capabilities_of
from torchtrt_ws.platforms import this_platform

trt = pytest.importorskip("tensorrt_rtx", reason="pip install torchtrt-ws[rtx]")

WEIGHTS = 2 * 4 * (256 * 256 + 256)  # bytes of the tower below


class Tower(torch.nn.Module):
    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = torch.nn.Linear(256, 256, dtype=dtype)
        self.second = torch.nn.Linear(256, 256, dtype=dtype)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = torch.relu(self.first(x))
        return {"hidden": hidden, "logits": self.second(hidden)}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rtx") / "tower.pte"
    torchtrt_ws.save(
        Tower(),
        path,
        arg_inputs=(torch.ones(2, 256),),
        dynamic_shapes={"x": {0: torch.export.Dim("batch", min=1, max=8)}},
        engine="tensorrt_rtx",
        weight_streaming_budget="50%",
    )
    return path


def only(path: Path) -> pte.EngineInfo:
    (engine,) = pte.read(path).engines
    return engine


def test_a_plan_with_what_the_method_takes_and_gives(saved: Path) -> None:
    engine = only(saved)
    assert saved.read_bytes()[engine.engine_offset : engine.engine_offset + 4] == b"vtrt"
    assert (engine.name, engine.kind) == ("forward", "tensorrt")
    own = engine.metadata.own
    assert own is not None
    assert own.builder == f"tensorrt-rtx {trt.__version__}"
    assert engine.metadata.target_platform == this_platform()
    assert [(t.name, t.dtype, t.min, t.max) for t in (*engine.inputs, *engine.outputs)] == [
        ("x", "float32", (1, 256), (8, 256)),
        ("hidden", "float32", (1, 256), (8, 256)),
        ("logits", "float32", (1, 256), (8, 256)),
    ]


def test_the_weights_are_the_estimate(saved: Path) -> None:
    engine = only(saved)
    assert engine.streamable_bytes is not None
    assert engine.streamable_estimated
    assert WEIGHTS <= engine.streamable_bytes < WEIGHTS + 64  # and a constant or two
    assert engine.baked_budget == engine.streamable_bytes // 2
    assert engine.engine_bytes > WEIGHTS


def batch(low: int, high: int) -> dict[str, dict[int, torch.export.Dim]]:
    return {"x": {0: torch.export.Dim("batch", min=low, max=high)}}


def test_one_dynamic_shapes_is_one_profile(saved: Path) -> None:
    assert only(saved).optimization_profiles == ((ProfileBounds("x", (1, 256), (8, 256), (8, 256)),),)


def test_a_list_of_dynamic_shapes_is_a_profile_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_plan: list[int] = []  # only a GPU reads a plan's profiles back: what its builder has is next to it
    build = trt.Builder.build_serialized_network_to_stream

    def counting(self: Any, network: Any, config: Any, writer: Any) -> Any:
        in_plan.append(config.num_optimization_profiles)
        return build(self, network, config, writer)

    monkeypatch.setattr(trt.Builder, "build_serialized_network_to_stream", counting)
    path = tmp_path / "a.pte"
    torchtrt_ws.save(
        Tower(),
        path,
        arg_inputs=(torch.ones(2, 256),),
        dynamic_shapes=[batch(4, 8), {"x": {0: 1}}, batch(16, 64)],
        engine="tensorrt_rtx",
    )
    engine = only(path)
    assert in_plan == [3]
    assert [(t.name, t.min, t.max) for t in (*engine.inputs, *engine.outputs)] == [
        (name, (1, 256), (64, 256)) for name in ("x", "hidden", "logits")
    ]
    assert engine.optimization_profiles == tuple(
        (ProfileBounds("x", (low, 256), (high, 256), (high, 256)),) for low, high in ((4, 8), (1, 1), (16, 64))
    )
    (method,) = pte.read(path).methods
    assert method.inputs[0].shape == (64, 256)  # memory is planned for the largest


def test_a_profile_that_the_module_does_not_take(tmp_path: Path) -> None:
    class Narrow(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            torch._check(x.shape[0] <= 16)
            return x + 1

    with pytest.raises(torchtrt_ws.ProgramError, match=r"\[1\], input 'x', dimension 0: found 8 to 32; .* 2 to 16"):
        torchtrt_ws.save(
            Narrow(),
            tmp_path / "a.pte",
            arg_inputs=(torch.ones(2, 256),),
            dynamic_shapes=[{"x": {0: torch.export.Dim.AUTO(min=low, max=high)}} for low, high in ((2, 4), (8, 32))],
            engine="tensorrt_rtx",
        )
    assert list(tmp_path.iterdir()) == []


def test_no_temporary_files_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    torchtrt_ws.save(Tower(), tmp_path / "a.pte", arg_inputs=(torch.ones(2, 256),), engine="tensorrt_rtx")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_several_methods_and_dtypes(tmp_path: Path) -> None:
    class Lookup(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(100, 64, dtype=torch.float16)

        def forward(self, ids: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
            return self.table(ids) * keep.unsqueeze(-1)

    inputs = (torch.ones(2, 3, dtype=torch.int64), torch.ones(2, 3, dtype=torch.bool))
    torchtrt_ws.save(
        {"embed": Lookup(), "rank": torch.export.export(Tower(torch.bfloat16), (torch.ones(2, 256).bfloat16(),))},
        tmp_path / "a.pte",
        arg_inputs={"embed": inputs},
        engine="tensorrt_rtx",
        compute_capabilities=["8.6", "8.9"],
        weight_streaming_budget=1000,
        device="cuda:0",
    )
    report = pte.read(tmp_path / "a.pte")
    assert {each.method: [t.dtype for t in each.inputs] for each in report.engines} == {
        "embed": ["int64", "bool"],
        "rank": ["bfloat16"],
    }
    assert sum(each.baked_budget or 0 for each in report.engines) == 1000
    assert all(each.compile_specs[-1].value == b"cuda:0" for each in report.engines)
    data = (tmp_path / "a.pte").read_bytes()
    for each in report.engines:
        assert each.compute_capabilities == ("8.6", "8.9")
        assert compute_capabilities_of(data[each.engine_offset :][:HEADER_SIZE]) == ("8.6", "8.9"), (
            "the plan's own words"
        )


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"compute_capabilities": ["1.0"]}, r"\['1.0'\].*8\.9"),
        ({"compute_capabilities": "8.9"}, "'8.9'.*a list"),
        ({"compute_capabilities": []}, r"\[\].*a list"),
        ({"compute_capabilities": ["current", "8.9"]}, "alone"),
        ({"engine": "tensorrt-rtx"}, '"host" or "tensorrt_rtx"'),
        ({"engine": "host", "compute_capabilities": ["8.9"]}, "host engine"),
        ({"engine": "host", "device": "cuda"}, "host engine"),
        ({"engine": "host", "dynamic_shapes": [batch(1, 2), batch(4, 8)]}, "a list of 2 .*host engine"),
        ({"dynamic_shapes": []}, "an empty list"),
        ({"dynamic_shapes": [batch(1, 2), {}]}, "dynamic in"),
    ],
)
def test_refused_options(tmp_path: Path, keywords: dict[str, Any], words: str) -> None:
    with pytest.raises(torchtrt_ws.ProgramError, match=words):
        torchtrt_ws.save(
            Tower(), tmp_path / "a.pte", arg_inputs=(torch.ones(2, 256),), **{"engine": "tensorrt_rtx", **keywords}
        )
    assert list(tmp_path.iterdir()) == []


class Twice(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = x + 1
        return y, y


class Unused(torch.nn.Module):
    def forward(self, x: torch.Tensor, unused: torch.Tensor) -> torch.Tensor:
        return x + 1


class Sorted(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.eigvalsh(x)


@pytest.mark.parametrize(
    ("module", "inputs", "words"),
    [
        (Tower(torch.float64), (torch.ones(2, 256).double(),), "dtype float64.*float16"),
        (Sorted(), (torch.ones(3, 3),), "torch.onnx.export"),
    ],
)
def test_refused_modules(tmp_path: Path, module: torch.nn.Module, inputs: Any, words: str) -> None:
    with pytest.raises(torchtrt_ws.WeightStreamingError, match=words):
        torchtrt_ws.save(module, tmp_path / "a.pte", arg_inputs=inputs, engine="tensorrt_rtx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("module", "inputs"), [(Twice(), (torch.ones(2, 4),)), (Unused(), (torch.ones(2, 4), torch.ones(3)))]
)
def test_unusual_interfaces_are_kept(tmp_path: Path, module: torch.nn.Module, inputs: Any) -> None:
    torchtrt_ws.save(module, tmp_path / "a.pte", arg_inputs=inputs, engine="tensorrt_rtx")
    (method,) = pte.read(tmp_path / "a.pte").methods
    assert len(method.inputs) == len(inputs)


class Unknown(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.special.bessel_j0(x)


def test_an_operator_without_onnx_is_named(tmp_path: Path) -> None:
    with pytest.raises(torchtrt_ws.ProgramError, match="bessel_j0") as caught:
        torchtrt_ws.save(Unknown(), tmp_path / "a.pte", arg_inputs=(torch.ones(2, 8),), engine="tensorrt_rtx")
    assert "\x1b" not in str(caught.value)
    assert "Next steps" not in str(caught.value)


class Determinant(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.det(x)


class Shifted(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.to(torch.int32).bitwise_left_shift(2)


class Gamma(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.lgamma(x)


class Layers(torch.nn.Module):
    def __init__(self, refused: torch.nn.Module) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList([torch.nn.Linear(8, 8), refused])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


@pytest.mark.parametrize(
    ("refused", "operator", "call"),
    [
        (Determinant(), r"parse it: Det from aten\.linalg_det\.default", "torch.linalg.det(x)"),
        (Shifted(), r"parse it: from aten\.bitwise_left_shift\.Tensor", "x.to(torch.int32)"),
        (Gamma(), r"operator aten\.lgamma\.default", "torch.lgamma(x)"),
    ],
)
def test_what_is_refused_is_named_with_its_module_and_line(
    tmp_path: Path, refused: torch.nn.Module, operator: str, call: str
) -> None:
    module = Layers(refused)
    with pytest.raises(torchtrt_ws.WeightStreamingError, match=operator) as caught:
        torchtrt_ws.save(module, tmp_path / "a.pte", arg_inputs=(torch.ones(8, 8),), engine="tensorrt_rtx")
    place = re.search(rf"of module 'layers\.1' \(\S+{type(refused).__name__}\), (\S+?):(\d+)[:)]", str(caught.value))
    assert place is not None, caught.value
    assert Path(place[1]) == Path(__file__)
    assert call in Path(__file__).read_text().splitlines()[int(place[2]) - 1]


def test_a_build_that_fails_names_the_operators_in_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Any, network: Any, config: Any, writer: Any) -> None:
        name = next(
            network.get_layer(index).name for index in range(network.num_layers) if "relu" in network[index].name
        )
        log.log(trt.ILogger.Severity.ERROR, f"[optimizer.cpp::run::1] Error Code 4: {name}: no implementation.")

    log: Any = None
    made = tensorrt_rtx._log

    def kept(trt: Any) -> Any:
        nonlocal log
        log = made(trt)
        return log

    monkeypatch.setattr(tensorrt_rtx, "_log", kept)
    monkeypatch.setattr(trt.Builder, "build_serialized_network_to_stream", fails)
    with pytest.raises(torchtrt_ws.EngineError, match=r"build it: in aten\.relu\.default \(\S+Tower\), \S+\.py:\d+; "):
        torchtrt_ws.save(Tower(), tmp_path / "a.pte", arg_inputs=(torch.ones(2, 256),), engine="tensorrt_rtx")


@pytest.mark.parametrize("recorded", ["by save", "with gradients"])
def test_a_t5_encoder(tmp_path: Path, recorded: str) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.T5Config(vocab_size=100, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = transformers.T5EncoderModel(config)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            hidden: torch.Tensor = self.encoder(input_ids=ids).last_hidden_state
            return hidden

    ids, path = torch.ones(2, 8, dtype=torch.int64), tmp_path / "a.pte"
    if recorded == "by save":
        torchtrt_ws.save(Encoder(), path, arg_inputs=(ids,), engine="tensorrt_rtx")
    else:
        torchtrt_ws.save(torch.export.export(Encoder().eval(), (ids,)), path, engine="tensorrt_rtx")
    assert only(path).outputs[0].shape == (2, 8, 16)


@pytest.mark.parametrize("streaming", [False, StreamingOptions(min_table_bytes=0, min_head_bytes=0)])
def test_a_cache_is_the_engines_own(streaming: bool | StreamingOptions, tmp_path: Path) -> None:
    path = tmp_path / "decoder.pte"
    count = torch.export.Dim("count", min=1, max=8)
    torchtrt_ws.save(
        CachedDecoder(dtype=torch.float16),
        path,
        arg_inputs=steps(),
        dynamic_shapes=[{"ids": {1: count}}, {"ids": {1: 1}}],
        engine="tensorrt_rtx",
        streaming=streaming,
    )
    body = pte.read(path).engines[0]
    own = body.metadata.own
    assert own is not None
    assert own.keeps_state
    shape = (1, HEADS, ROWS, WIDTH // HEADS)
    assert own.state == tuple(StateTensor(f"b_{n}", f"b_{n}_after", "float16", shape) for n in ("keys", "values"))
    given = {tensor.name for each in pte.read(path).engines for tensor in (*each.inputs, *each.outputs)}
    assert not any(name.startswith(("b_keys", "b_values")) for name in given)
    assert [[each.name for each in profile] for profile in body.optimization_profiles] == [
        [tensor.name for tensor in body.inputs]
    ] * 2
    (method,) = pte.read(path).methods
    assert [each.name for each in method.inputs] == ["ids", "start"]
    assert [each.name for each in method.outputs] == ["output"]
    assert len(pte.read(path).engines) == (1 if streaming is False else 2)
