"""Models with quantized weights compute what they did: with quantized activations as they are, else with floats."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import torchtrt_ws
from tests.export.decoder import export
from torchtrt_ws.export.graph.folded_weights import fold_weights

pytest.importorskip("torchao")

from torchao import quantization
from torchao.quantization.granularity import PerGroup

INT4: torch.dtype = torch.int4  # type: ignore[attr-defined]  # torch's stubs lack it
COUNT = torch.export.Dim("count", min=1, max=8)
CONFIGS: dict[str, Callable[[], Any]] = {
    "int8": quantization.IntxWeightOnlyConfig,
    "int4 in groups": lambda: quantization.IntxWeightOnlyConfig(weight_dtype=INT4, granularity=PerGroup(32)),
    "float8": quantization.Float8WeightOnlyConfig,
    "8da4w": lambda: quantization.Int8DynamicActivationIntxWeightConfig(
        weight_dtype=INT4, weight_granularity=PerGroup(32)
    ),
}
WEIGHT_ONLY = [name for name in CONFIGS if name != "8da4w"]


def quantized(config: str) -> torch.nn.Module:
    torch.manual_seed(1)
    layers = [torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 32, bias=False)]
    module = torch.nn.Sequential(*layers).eval()
    quantization.quantize_(module, CONFIGS[config]())
    return module


def streamable(path: Path) -> int:
    (engine,) = torchtrt_ws.pte.read(path).engines
    assert engine.streamable_bytes is not None
    return engine.streamable_bytes


@pytest.mark.parametrize("config", WEIGHT_ONLY)
@pytest.mark.parametrize("decomposed", [False, True])
def test_what_is_saved_computes_the_same(
    config: str, decomposed: bool, tmp_path: Path, run_nested: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    module, x = quantized(config), torch.randn(3, 64)
    program = export(module, (x,), ({0: COUNT},))
    if decomposed:
        program = program.run_decompositions({})
    with caplog.at_level(logging.WARNING):
        torchtrt_ws.save(program, tmp_path / "a.pte")
    (found,) = run_nested(tmp_path / "a.pte", (x,))
    torch.testing.assert_close(found, module(x), atol=1e-5, rtol=1e-5)
    assert "'forward': 2 quantized weights are float in the engine" in caplog.text
    assert 4 * (64 * 64 + 64 * 32) <= streamable(tmp_path / "a.pte") < 4 * (64 * 64 + 64 * 32 + 64) + 1024


@pytest.mark.parametrize("config", WEIGHT_ONLY)
def test_nothing_is_left_of_the_quantized_weights(config: str) -> None:
    x = torch.randn(3, 64)
    program = export(quantized(config), (x,))
    before = str(program.graph)
    folded, names = fold_weights(program)
    assert names == ["0.weight", "2.weight"]
    assert set(folded.state_dict) == {"0.bias", "0.weight_dequantized", "2.weight_dequantized"}
    assert all(type(each) is torch.nn.Parameter for each in folded.state_dict.values())
    assert str(program.graph) == before
    torch.testing.assert_close(folded.module()(x), program.module()(x))


def test_weights_for_quantized_activations_stay(
    tmp_path: Path, run_nested: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    module, x = quantized("8da4w"), torch.randn(3, 64)
    program = export(module, (x,))
    assert fold_weights(program) == (program, [])
    torchtrt_ws.save(program, tmp_path / "a.pte")
    (found,) = run_nested(tmp_path / "a.pte", (x,))
    torch.testing.assert_close(found, module(x), atol=2e-2, rtol=2e-2)
    assert "quantized weights" not in caplog.text
    assert streamable(tmp_path / "a.pte") < 64 * 64 + 64 * 32


def test_a_statically_quantized_model_stays() -> None:
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    torch.manual_seed(2)
    layers = [torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 5)]
    x = torch.randn(1, 3, 8, 8)
    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    prepared = prepare_pt2e(torch.export.export(torch.nn.Sequential(*layers).eval(), (x,)).module(), quantizer)
    prepared(x)
    program = torch.export.export(convert_pt2e(prepared), (x,))
    assert "dequantize_per_channel" in str(program.graph)
    for each in (program, program.run_decompositions({})):
        assert fold_weights(each) == (each, [])


def test_of_a_program_of_both_each_weight_goes_its_way() -> None:
    class Both(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = quantized("8da4w"), quantized("int8")

        def forward(self, input: torch.Tensor) -> torch.Tensor:  # a name that a copy of the graph would change
            return self.first(input) + self.second(input)

    x = torch.randn(3, 64)
    program = export(Both(), (x,))
    folded, names = fold_weights(program)
    assert names == ["second.0.weight", "second.2.weight"]
    torch.testing.assert_close(folded.module()(x), program.module()(x))


def test_what_a_module_dequantizes_itself_stays(tmp_path: Path, run_nested: Callable[..., Any]) -> None:
    """XNNPACK does not take that for a part of the product, and the file keeps a byte for a weight."""

    class ByHand(torch.nn.Module):
        weight: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("weight", torch.randint(-128, 128, (256, 64), dtype=torch.int8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.linear(x, self.weight.float() * 0.01)

    module, x = ByHand(), torch.randn(3, 64)
    program = export(module, (x,))
    assert fold_weights(program) == (program, [])
    torchtrt_ws.save(program, tmp_path / "a.pte")
    (found,) = run_nested(tmp_path / "a.pte", (x,))
    torch.testing.assert_close(found, module(x), atol=1e-4, rtol=1e-4)
    assert (tmp_path / "a.pte").stat().st_size < 2 * 256 * 64


def test_weights_that_are_made_of_other_tensors(tmp_path: Path, run_nested: Callable[..., Any]) -> None:
    """torchao's int8 linear adds its bias in place: what is changed in place is looked for among the weights."""
    torch.manual_seed(1)
    module = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 32)).eval()
    x = torch.randn(3, 64)
    quantization.quantize_(module, quantization.Int8WeightOnlyConfig())
    torchtrt_ws.save(module, tmp_path / "a.pte", arg_inputs=(x,), weights="separate")
    torchtrt_ws.merge(tmp_path / "a.pte", tmp_path / "b.pte")
    (found,) = run_nested(tmp_path / "b.pte", (x,))
    torch.testing.assert_close(found, module(x), atol=1e-5, rtol=1e-5)


def test_state_beside_them_is_one_methods(tmp_path: Path) -> None:
    class Counting(torch.nn.Module):
        total: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.layer = quantized("int8")
            self.register_buffer("total", torch.zeros(32))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.total.add_(self.layer(x).sum(0))
            return self.total * 1

    counting, x = Counting().eval(), torch.randn(3, 64)
    methods = {"count": counting, "layer": counting.layer}
    torchtrt_ws.save(methods, tmp_path / "a.pte", arg_inputs={name: (x,) for name in methods})
    found = {each.name: each.metadata.own for each in torchtrt_ws.pte.read(tmp_path / "a.pte").engines}
    assert {name: own is not None and own.keeps_state for name, own in found.items()} == {"count": True, "layer": False}


def test_what_executorch_has_no_kernel_for_is_said(tmp_path: Path) -> None:
    module, x = torch.nn.Sequential(torch.nn.Linear(64, 32)).eval(), torch.randn(3, 64)
    quantization.quantize_(module, quantization.Int8DynamicActivationInt8WeightConfig())
    with pytest.raises(torchtrt_ws.ProgramError, match=r"quantize_affine"):
        torchtrt_ws.save(module, tmp_path / "a.pte", arg_inputs=(x,))
