"""Quantized models with engine="tensorrt_rtx": what goes to TensorRT computes what torch does, and plans are small."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

import torchtrt_ws
from tests.export.cached_decoder import CachedDecoder
from tests.export.cached_decoder import inputs as steps
from tests.export.decoder import TABLE_BYTES, VOCABULARY, WIDTH, Decoder, dynamic, export, ids
from tests.export.graph.test_quantized_weights import CONFIGS, FLOATS, HALF, INT4, SINGLE, quantized
from torchtrt_ws.export.graph.interface import read_interface
from torchtrt_ws.export.graph.quantized_weights import for_tensorrt
from torchtrt_ws.export.sources.onnx_model import write_onnx
from torchtrt_ws.export.streaming import StreamingOptions

pytest.importorskip("torchao")
pytest.importorskip("tensorrt_rtx", reason="pip install torchtrt-ws[rtx]")

from torchao import quantization
from torchao.quantization.granularity import PerGroup, PerTensor

IN_GROUPS_OF_16 = quantization.IntxWeightOnlyConfig(weight_dtype=INT4, granularity=PerGroup(16))
IN_GROUPS = quantization.IntxWeightOnlyConfig(weight_dtype=INT4, granularity=PerGroup(128))


def written(program: torch.export.ExportedProgram, folder: Path) -> Path:
    made, _ = for_tensorrt(program)
    return write_onnx("forward", made, read_interface("forward", made), folder).path


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("config", [*CONFIGS, *FLOATS])
def test_the_model_computes_what_torch_does(config: str, dtype: torch.dtype, tmp_path: Path) -> None:
    module, x = quantized({**CONFIGS, **FLOATS}[config], dtype), torch.randn(3, 64, dtype=dtype)
    path = written(export(module, (x,)), tmp_path)
    (found,) = ReferenceEvaluator(str(path)).run(None, {"input": x.numpy()})
    tolerance = 1e-5 if dtype == torch.float32 else 2e-3
    torch.testing.assert_close(torch.from_numpy(found), module(x), atol=tolerance, rtol=tolerance)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    dequantized = [kinds[node.input[0]] for node in model.graph.node if node.op_type == "DequantizeLinear"]
    form = None if config in FLOATS else (SINGLE if dtype == torch.float32 else HALF)[config]
    kind = onnx.TensorProto.INT4 if form and form[0] == 4 else onnx.TensorProto.INT8
    assert dequantized == ([kind] * 2 if form else [])
    assert {each.op_type for each in model.graph.node} <= {
        *("DequantizeLinear", "Transpose", "MatMul", "Gemm", "Add", "Relu", "Cast", "Reshape"),
    }


class Wide(torch.nn.Sequential):
    """4 layers of 512 x 512, float16."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(*(torch.nn.Linear(512, 512, bias=False, dtype=torch.float16) for _ in range(4)))


def save(module: torch.nn.Module, path: Path, *inputs: torch.Tensor, **options: Any) -> torchtrt_ws.pte.EngineInfo:
    torchtrt_ws.save(module, path, arg_inputs=inputs, engine="tensorrt_rtx", **options)
    (engine,) = torchtrt_ws.pte.read(path).engines
    return engine


@pytest.mark.parametrize(
    ("config", "of_floats", "use_fp32_acc"),
    [
        (quantization.IntxWeightOnlyConfig(), 1 / 2, True),
        (quantization.Int8WeightOnlyConfig(), 1 / 2, True),
        (quantization.Int8WeightOnlyConfig(), 1 / 2, False),
        (quantization.Int8WeightOnlyConfig(granularity=PerGroup(128)), 1, True),
        (quantization.Int8WeightOnlyConfig(granularity=PerTensor()), 1 / 2, True),
        (quantization.IntxWeightOnlyConfig(weight_dtype=INT4), 1 / 4, True),
        (IN_GROUPS, 1 / 4, True),
        (IN_GROUPS, 1 / 4, False),
        (quantization.Float8WeightOnlyConfig(), 1, True),
        (FLOATS["zero points"](), 1, True),
    ],
)
def test_a_plan_has_the_weights_as_they_are(config: Any, of_floats: float, use_fp32_acc: bool, tmp_path: Path) -> None:
    module, floats = Wide().eval(), 4 * 512 * 512 * 2
    quantization.quantize_(module, config)
    engine = save(module, tmp_path / "a.pte", torch.ones(2, 512, dtype=torch.float16), use_fp32_acc=use_fp32_acc)
    assert engine.streamable_bytes is not None
    assert floats * of_floats <= engine.streamable_bytes < 1.05 * floats * of_floats
    assert engine.engine_bytes < 1.05 * floats * of_floats + 200_000


def test_what_is_float_and_what_that_costs_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    x = torch.ones(3, 64)
    with caplog.at_level(logging.INFO, "torchtrt_ws"):
        save(quantized(CONFIGS["intx int4 in groups"], torch.float16), tmp_path / "a.pte", x.half())
    assert (
        f"2 weights of integers stay quantized in the engine: {96 * 96 // 2 + 2 * 96 * 96 // 32} bytes" in caplog.text
    )
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]
    save(quantized(FLOATS["float8"]), tmp_path / "a.pte", x)
    (warning,) = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert f"'0.weight': {4 * 96 * 96} bytes instead of {96 * 96}" in warning


def test_quantized_activations_are_refused(tmp_path: Path) -> None:
    config = quantization.Int8DynamicActivationIntxWeightConfig(weight_dtype=INT4, weight_granularity=PerGroup(32))
    wanted = r"activations that are quantized too \(torchao::choose_qparams_affine\).*Int8WeightOnlyConfig"
    with pytest.raises(torchtrt_ws.ProgramError, match=wanted):
        save(quantized(lambda: config), tmp_path / "a.pte", torch.ones(3, 64))
    assert not list(tmp_path.iterdir())


def linears(module: torch.nn.Module, name: str) -> bool:
    return isinstance(module, torch.nn.Linear)


@pytest.mark.parametrize("tied", [False, True])
def test_a_quantized_decoder_with_dynamic_shapes(tied: bool, tmp_path: Path) -> None:
    module = Decoder(tied=tied)
    quantization.quantize_(module, quantization.Int8WeightOnlyConfig(), filter_fn=linears)
    program = export(module, (ids(),), dynamic())
    path = written(program, tmp_path)
    for shape in ((2, 5), (1, 3)):
        (found,) = ReferenceEvaluator(str(path)).run(None, {"ids": ids(*shape).numpy()})
        torch.testing.assert_close(torch.from_numpy(found), module(ids(*shape)), atol=1e-4, rtol=1e-4)


def test_its_table_stays_on_the_host(tmp_path: Path) -> None:
    module = Decoder()
    quantization.quantize_(module, quantization.Int8WeightOnlyConfig(), filter_fn=linears)
    engine = save(
        module, tmp_path / "a.pte", ids(), dynamic_shapes=dynamic(), streaming=StreamingOptions(min_table_bytes=1024)
    )
    streaming = engine.metadata.own and engine.metadata.own.streaming
    assert streaming and [each.bytes for each in streaming.tables] == [TABLE_BYTES]
    largest = streaming.largest[0]
    assert (largest.name, largest.bytes) == ("head.weight_quantized", TABLE_BYTES // 4)


@pytest.mark.parametrize("config", [quantization.Int8WeightOnlyConfig(), IN_GROUPS_OF_16])
def test_a_giant_quantized_head_is_an_engine_of_its_own(config: Any, tmp_path: Path) -> None:
    module = Decoder(dtype=torch.float16)
    quantization.quantize_(module, config, filter_fn=linears)
    torchtrt_ws.save(
        module,
        tmp_path / "a.pte",
        arg_inputs=(ids(),),
        dynamic_shapes=dynamic(),
        engine="tensorrt_rtx",
        streaming=StreamingOptions(min_table_bytes=1024, min_head_bytes=1024),
    )
    body, head = torchtrt_ws.pte.read(tmp_path / "a.pte").engines
    assert (body.name, head.name) == ("forward", "forward_head")
    assert head.metadata.own and head.metadata.own.streaming and head.metadata.own.streaming.head
    facts = head.metadata.own.streaming.head
    bits = 4 if config is IN_GROUPS_OF_16 else 8
    assert (facts.name, facts.bytes) == ("head.weight_quantized", VOCABULARY * WIDTH * bits // 8)
    floats = [tensor.max or () for tensor in head.inputs if tensor.dtype == "float16"]
    assert [shape[-1] for shape in floats] == [WIDTH] and VOCABULARY not in floats[0]  # no weight goes there


def test_a_quantized_table_is_one_of_floats(tmp_path: Path) -> None:
    """Rows are looked up in it, on the host: that is no product."""
    module = Decoder()
    is_table: Callable[[torch.nn.Module, str], bool] = lambda module, name: isinstance(module, torch.nn.Embedding)  # noqa: E731
    quantization.quantize_(module, quantization.IntxWeightOnlyConfig(), filter_fn=is_table)
    engine = save(
        module, tmp_path / "a.pte", ids(), dynamic_shapes=dynamic(), streaming=StreamingOptions(min_table_bytes=1024)
    )
    streaming = engine.metadata.own and engine.metadata.own.streaming
    assert streaming and [(each.name, each.bytes) for each in streaming.tables] == [
        ("table.weight_dequantized", TABLE_BYTES)
    ]


def test_names_in_plans_are_of_the_module(tmp_path: Path) -> None:
    """TensorRT's own reports then say which weight it is."""
    path = written(export(quantized(CONFIGS["int8"]), (torch.ones(3, 64),)), tmp_path)
    names = {tensor.name for tensor in onnx.load(path).graph.initializer}
    assert {"0.weight_quantized", "2.weight_quantized", "0.weight_scale"} <= names


def test_with_a_cache_beside_them(tmp_path: Path) -> None:
    """Caches and quantized weights ask for different opsets."""
    module = CachedDecoder()
    quantization.quantize_(module, quantization.Int8WeightOnlyConfig(), filter_fn=linears)
    engine = save(module, tmp_path / "a.pte", *steps(2))
    assert engine.metadata.own is not None and engine.metadata.own.state
    assert b"quantized" in (tmp_path / "a.pte").read_bytes()


def test_large_float16_sums_do_not_overflow(tmp_path: Path) -> None:
    """torchao's own int8 product has the integers summed before it scales them."""
    module = torch.nn.Sequential(torch.nn.Linear(64, 32, bias=False)).eval()
    module.load_state_dict({"0.weight": torch.full((32, 64), 0.01)})
    module.half()
    quantization.quantize_(module, quantization.Int8WeightOnlyConfig())
    x = torch.full((1, 64), 50.0, dtype=torch.float16)
    path = written(export(module, (x,)), tmp_path)
    (found,) = ReferenceEvaluator(str(path)).run(None, {"input": x.numpy()})
    assert module(x).isinf().all() and np.abs(found - 32).max() < 0.2
