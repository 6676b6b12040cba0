"""Quantized weights in the form that TensorRT takes: integers and scales where it has products with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.export.decoder import export
from torchtrt_ws.export.graph import dequantize
from torchtrt_ws.export.graph.dequantize import PER_ROW, PER_TENSOR
from torchtrt_ws.export.graph.quantized_weights import for_tensorrt, quantized_activation

pytest.importorskip("torchao")

from torchao import quantization
from torchao.quantization.granularity import PerGroup, PerTensor
from torchao.quantization.quant_primitives import MappingType

INT4: torch.dtype = torch.int4  # type: ignore[attr-defined]  # torch's stubs lack it
CONFIGS: dict[str, Callable[[], Any]] = {
    "intx int8": quantization.IntxWeightOnlyConfig,
    "intx int8 in groups": lambda: quantization.IntxWeightOnlyConfig(granularity=PerGroup(16)),
    "intx int4": lambda: quantization.IntxWeightOnlyConfig(weight_dtype=INT4),
    "intx int4 in groups": lambda: quantization.IntxWeightOnlyConfig(weight_dtype=INT4, granularity=PerGroup(32)),
    "int8": quantization.Int8WeightOnlyConfig,
    "int8 of one scale": lambda: quantization.Int8WeightOnlyConfig(granularity=PerTensor()),
    "int8 in groups": lambda: quantization.Int8WeightOnlyConfig(granularity=PerGroup(32)),
}
FLOATS: dict[str, Callable[[], Any]] = {
    "float8": quantization.Float8WeightOnlyConfig,
    "zero points": lambda: quantization.IntxWeightOnlyConfig(
        weight_dtype=INT4, granularity=PerGroup(32), mapping_type=MappingType.ASYMMETRIC
    ),
}
# How many bits integers have, and which of them have a scale, in layers with rows of 64 and 96; None: they are floats.
Form = tuple[int, list[int]] | None
HALF: dict[str, Form] = {
    "intx int8": (8, [PER_ROW, PER_ROW]),
    "intx int8 in groups": None,
    "intx int4": (4, [64, 32]),
    "intx int4 in groups": (4, [32, 32]),
    "int8": (8, [PER_ROW, PER_ROW]),
    "int8 of one scale": (8, [PER_TENSOR, PER_TENSOR]),
    "int8 in groups": None,
}
SINGLE: dict[str, Form] = {**HALF, "intx int4": (8, [PER_ROW, PER_ROW]), "intx int4 in groups": None}


def quantized(config: Callable[[], Any], dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    torch.manual_seed(1)
    layers = [torch.nn.Linear(64, 96), torch.nn.ReLU(), torch.nn.Linear(96, 32, bias=False)]
    module = torch.nn.Sequential(*layers).eval().to(dtype)
    quantization.quantize_(module, config())
    return module


def calls(program: torch.export.ExportedProgram) -> list[torch.fx.Node]:
    return [node for node in program.graph.nodes if node.target is dequantize.OPERATOR]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("decomposed", [False, True])
@pytest.mark.parametrize("config", CONFIGS)
def test_integers_stay_integers(config: str, decomposed: bool, dtype: torch.dtype) -> None:
    module, x = quantized(CONFIGS[config], dtype), torch.randn(3, 64, dtype=dtype)
    program = export(module, (x,))
    if decomposed:
        program = program.run_decompositions({})
    before = str(program.graph)
    made, facts = for_tensorrt(program)
    assert str(program.graph) == before
    form = (SINGLE if dtype == torch.float32 else HALF)[config]
    used = {node.name for node in made.graph.nodes if node.op == "placeholder" and node.users}
    names = made.graph_signature.inputs_to_parameters
    sizes = {name: made.state_dict[name].nbytes for node, name in names.items() if node in used}
    if form is None:
        assert (facts.kept, len(facts.folded)) == ((), 2) and not calls(made)
        assert sum(sizes.values()) - 96 * dtype.itemsize == 96 * (64 + 32) * dtype.itemsize
    else:
        bits, groups = form
        assert (len(facts.kept), facts.folded) == (2, ())
        assert sorted(int(str(node.args[2])) for node in calls(made)) == sorted(groups)
        # Nothing else is left of the weights: integers, their scales, and a bias.
        integers = [size for name, size in sizes.items() if name.endswith("_quantized")]
        assert sorted(integers) == [96 * 32 * bits // 8, 64 * 96 * bits // 8]
        assert sum(sizes.values()) - 96 * dtype.itemsize == facts.kept_bytes
        assert len(sizes) == 5
    # torchao multiplies its int8 products with the scales: where that is done before, float16 rounds elsewhere.
    tolerance = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}[dtype]
    torch.testing.assert_close(made.module()(x), module(x), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("config", FLOATS)
def test_what_tensorrt_has_no_product_with_is_float(config: str) -> None:
    x = torch.randn(3, 64)
    module = quantized(FLOATS[config])
    made, facts = for_tensorrt(export(module, (x,)))
    assert (facts.kept, facts.folded) == ((), ("0.weight", "2.weight"))
    assert (facts.folded_bytes, facts.quantized_bytes) == (4 * 96 * (64 + 32), 96 * (64 + 32))
    assert not calls(made)
    assert {each.dtype for each in made.state_dict.values()} == {torch.float32}
    torch.testing.assert_close(made.module()(x), module(x), atol=1e-5, rtol=1e-5)


def test_all_are_floats_where_that_is_asked_for() -> None:
    x = torch.randn(3, 64)
    module = quantized(CONFIGS["int8"])
    made, facts = for_tensorrt(export(module, (x,)), keep=False)
    assert facts.folded == ("0.weight", "2.weight") and not calls(made)
    torch.testing.assert_close(made.module()(x), module(x), atol=1e-5, rtol=1e-5)


class ByHand(torch.nn.Module):
    """x times a weight that it makes of integers in one of several ways."""

    weight: torch.Tensor
    scale: torch.Tensor

    def __init__(self, compute: Callable[[ByHand, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.register_buffer("weight", torch.randint(-128, 128, (32, 64), dtype=torch.int8))
        self.register_buffer("scale", torch.rand(32, 1) / 100)
        self.compute = compute

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.compute(self, x)


KEPT: dict[str, Callable[[ByHand, torch.Tensor], torch.Tensor]] = {
    "a number": lambda self, x: torch.nn.functional.linear(x, self.weight.float() * 0.01),
    "a number that divides": lambda self, x: torch.nn.functional.linear(x, self.weight.float() / 128),
    "one for each row": lambda self, x: x @ (self.scale * self.weight.float()).t(),
    "one for each column of what is turned": lambda self, x: x @ (self.weight.t().float() * self.scale[:, 0]),
    "turned by permute": lambda self, x: x @ self.weight.float().permute(1, 0),
    "not turned": lambda self, x: x[:, :32] @ (self.weight.float() * self.scale),
    "on the left": lambda self, x: (self.weight.float() * self.scale) @ x.t(),
    "scaled behind": lambda self, x: (x @ self.weight.t().float()) * self.scale[:, 0],
    "scaled by a number behind": lambda self, x: (x @ self.weight.t().float()) * self.scale[3],
    "twice": lambda self, x: torch.nn.functional.linear(torch.nn.functional.linear(x, w := self.weight.float()) @ w, w),
    "scaled behind in two ways": lambda self, x: (x @ (w := self.weight.t().float())) * self.scale[:, 0] + x @ w,
}
NOT_KEPT: dict[str, Callable[[ByHand, torch.Tensor], torch.Tensor]] = {
    "added": lambda self, x: x[:1, :1] + self.weight.float(),
    "one for each column": lambda self, x: x @ (self.weight.float() * self.scale.repeat(2, 1)[:, 0]).t(),
    "something added to it": lambda self, x: x @ (self.weight.float() + 3).t(),
    "looked up in": lambda self, x: torch.nn.functional.embedding(x[:, :1].long().clamp(0, 31), self.weight.float()),
    "a bias": lambda self, x: torch.nn.functional.linear(x, torch.ones(32, 64), self.weight.float()[:, 0]),
}


@pytest.mark.parametrize("case", [*KEPT, *NOT_KEPT])
def test_what_modules_write_themselves(case: str) -> None:
    module, x = ByHand({**KEPT, **NOT_KEPT}[case]), torch.randn(3, 64)
    made, facts = for_tensorrt(export(module, (x,)))
    assert (facts.kept, facts.folded) == ((("weight",), ()) if case in KEPT else ((), ("weight",)))
    assert len(calls(made)) == (case in KEPT)  # one, also where it is used twice
    assert any(each.dtype == torch.int8 for each in made.state_dict.values()) == (case in KEPT)
    torch.testing.assert_close(made.module()(x), module(x), atol=1e-3, rtol=1e-5)


def test_a_program_without_quantized_weights_is_the_same_one() -> None:
    class Bytes(torch.nn.Module):
        table: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("table", torch.arange(64, dtype=torch.uint8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.table.float()  # TensorRT has this cast

    for module in (Bytes(), torch.nn.Linear(64, 4)):
        program = export(module, (torch.randn(3, 64),))
        assert for_tensorrt(program)[0] is program
        assert quantized_activation(program) is None


@pytest.mark.parametrize(
    "config",
    [
        lambda: quantization.Int8DynamicActivationIntxWeightConfig(weight_dtype=INT4, weight_granularity=PerGroup(32)),
        quantization.Int8DynamicActivationInt8WeightConfig,
    ],
)
def test_quantized_activations_are_found(config: Callable[[], Any]) -> None:
    program = export(quantized(config), (torch.randn(3, 64),))
    for each in (program, program.run_decompositions({})):
        assert quantized_activation(each) in ("torchao::choose_qparams_affine", "torchao::quantize_affine")


def test_a_statically_quantized_model_is_left_to_torch_onnx() -> None:
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    x = torch.randn(3, 64)
    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    prepared = prepare_pt2e(torch.export.export(torch.nn.Linear(64, 32), (x,)).module(), quantizer)
    prepared(x)
    program = torch.export.export(convert_pt2e(prepared), (x,))
    assert "dequantize_per_channel" in str(program.graph)
    assert for_tensorrt(program)[0] is program
    assert quantized_activation(program) is None


def test_two_integers_a_byte() -> None:
    weight = torch.arange(-8, 8, dtype=torch.int8).reshape(2, 8)
    packed = dequantize.pack(weight)
    assert packed.shape == (2, 4) and packed[0, 0] == (8 | 9 << 4)  # -8 in the lower half, -7 in the upper one
    scale = torch.tensor([[1.0, 10.0], [100.0, 1000.0]])
    found = dequantize.OPERATOR(packed, scale, 4)
    torch.testing.assert_close(found, weight * scale.repeat_interleave(4, dim=1))
