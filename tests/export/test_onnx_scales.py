"""Products of one row with int8 weights: scales come behind them, and their results stay what they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from tests.export.decoder import export
from tests.export.graph.test_quantized_weights import CONFIGS, quantized
from torchtrt_ws.export.graph.interface import read_interface
from torchtrt_ws.export.graph.quantized_weights import for_tensorrt
from torchtrt_ws.export.sources.onnx_model import write_onnx

pytest.importorskip("torchao")

from torchao import quantization


def written(module: torch.nn.Module, x: torch.Tensor, folder: Path, **options: Any) -> onnx.ModelProto:
    made, _ = for_tensorrt(export(module, (x,)))
    path = write_onnx("forward", made, read_interface("forward", made), folder, **options).path
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    return model


def scales(model: onnx.ModelProto) -> list[np.ndarray[Any, Any]]:
    """Of each DequantizeLinear."""
    known = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    return [known[node.input[1]] for node in model.graph.node if node.op_type == "DequantizeLinear"]


def answer(model: onnx.ModelProto, x: torch.Tensor) -> torch.Tensor:
    (name,) = [each.name for each in model.graph.input]
    return torch.from_numpy(ReferenceEvaluator(model).run(None, {name: x.numpy()})[0])


@pytest.mark.parametrize("use_fp32_acc", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("shape", [(64,), (1, 64), (1, 1, 64)])
@pytest.mark.parametrize("config", ["int8", "intx int8"])
def test_one_row(config: str, shape: tuple[int, ...], dtype: torch.dtype, use_fp32_acc: bool, tmp_path: Path) -> None:
    module, x = quantized(CONFIGS[config], dtype), torch.randn(shape, dtype=dtype)
    model = written(module, x, tmp_path, use_fp32_acc=use_fp32_acc)
    found = scales(model)
    assert [each.shape for each in found] == [()] * 2  # one number, exact in any float
    assert all(np.frexp(np.float64(each))[0] == 0.5 for each in found)
    names = {each.name for each in model.graph.initializer}
    assert {"0.weight_quantized", "2.weight_quantized"} <= names and "0.weight_scale" not in names
    tolerance = 1e-5 if dtype == torch.float32 else 2e-3
    torch.testing.assert_close(answer(model, x), module(x), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize(
    ("config", "shape"),
    [("int8", (2, 64)), ("intx int4", (1, 64)), ("int8 of one scale", (1, 64)), ("int8", (2, 1, 64))],
)
def test_what_is_one_kernel_anyway_stays(config: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    module, x = quantized(CONFIGS[config], torch.float16), torch.randn(shape, dtype=torch.float16)
    model = written(module, x, tmp_path)
    assert not [each.name for each in model.graph.initializer if each.name.endswith("_behind")]
    torch.testing.assert_close(answer(model, x), module(x), atol=2e-3, rtol=2e-3)


def test_rows_that_are_not_known_beforehand_stay(tmp_path: Path) -> None:
    module, x = quantized(CONFIGS["int8"]), torch.randn(3, 64)
    program = torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim("rows", min=1, max=8)},))
    made, _ = for_tensorrt(program)
    model = onnx.load(write_onnx("forward", made, read_interface("forward", made), tmp_path).path)
    assert {each.shape for each in scales(model)} == {(96,), (32,)}


class Two(torch.nn.Module):
    """One weight, for all rows and for the last of them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.linear = torch.nn.Linear(64, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.linear(x), self.linear(x[-1:])])


@pytest.mark.parametrize("config", [quantization.Int8WeightOnlyConfig, quantization.IntxWeightOnlyConfig])
def test_a_weight_that_others_have_too(config: Callable[[], Any], tmp_path: Path) -> None:
    module, x = Two().eval(), torch.randn(3, 64)
    quantization.quantize_(module, config())
    model = written(module, x, tmp_path)
    assert sorted(each.shape for each in scales(model)) == [(), (32,)]
    torch.testing.assert_close(answer(model, x), module(x), atol=1e-5, rtol=1e-5)


PRODUCTS: dict[str, Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "linear": torch.nn.functional.linear,
    "addmm": lambda x, weight, bias: torch.addmm(bias, x, weight.t()),
    "mm": lambda x, weight, bias: torch.mm(x, weight.t()) + bias,
    "mm of what is turned first": lambda x, weight, bias: x @ weight.t().contiguous() + bias,
}


@pytest.mark.parametrize("product", PRODUCTS)
def test_products_that_modules_write_themselves(product: str, tmp_path: Path) -> None:
    class ByHand(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(7)
            integers = torch.randint(-128, 128, (64, 64), dtype=torch.int8)  # square: one that is not turned fits, too
            self.weight = torch.nn.Parameter(integers, requires_grad=False)
            self.scale, self.bias = (torch.nn.Parameter(torch.rand(shape) / 100) for shape in ((64, 1), (64,)))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return PRODUCTS[product](x, self.weight.float() * self.scale, self.bias)

    module, x = ByHand(), torch.randn(1, 64)
    model = written(module, x, tmp_path)
    assert [each.shape for each in scales(model)] == [()]
    torch.testing.assert_close(answer(model, x), module(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("turned", [False, True])
def test_a_gemm_of_a_transposed_weight(turned: bool) -> None:
    """Which torch.onnx writes as a Gemm that turns it, or not."""
    import onnx_ir
    from onnx import TensorProto, helper
    from onnx_ir.passes import common

    from torchtrt_ws.export.sources.onnx_scales import scale_behind

    random = np.random.default_rng(8)
    weight, scale = random.integers(-128, 128, (8, 8), dtype=np.int8), random.random(8, np.float32)
    nodes = [helper.make_node("DequantizeLinear", ["w", "s"], ["d"], axis=0)]
    if turned:
        nodes.append(helper.make_node("Transpose", ["d"], ["t"], perm=[1, 0]))
    nodes.append(helper.make_node("Gemm", ["x", "t" if turned else "d"], ["y"], transB=0 if turned else 1))
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 8))] for name in ("x", "y")]
    tensors = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(scale, "s")]
    proto = helper.make_model(
        helper.make_graph(nodes, "g", *ends, tensors), opset_imports=[helper.make_opsetid("", 21)], ir_version=10
    )
    model = common.ShapeInferencePass()(onnx_ir.from_proto(proto)).model
    scale_behind(model)
    made = onnx_ir.to_proto(model)
    assert [each.shape for each in scales(made)] == [()]
    x = random.standard_normal((1, 8), np.float32)
    (found,) = ReferenceEvaluator(made).run(None, {"x": x})
    np.testing.assert_allclose(found, x @ (weight * scale[:, None]).T, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scale", [0.0, 1e-6, 3.0])
def test_any_scale(scale: float, tmp_path: Path) -> None:
    class Scaled(torch.nn.Module):
        weight: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("weight", torch.arange(-64, 64, dtype=torch.int8).reshape(2, 64))
            self.scale = torch.nn.Parameter(torch.tensor([[scale], [scale / 3]]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.linear(x, self.weight.float() * self.scale)

    module, x = Scaled(), torch.randn(1, 64)
    model = written(module, x, tmp_path)
    assert [each.shape for each in scales(model)] == [()]
    torch.testing.assert_close(answer(model, x), module(x), atol=1e-5 * scale, rtol=1e-5)


def test_a_product_that_is_the_output_keeps_its_name(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(64, 32, bias=False)).eval()
    quantization.quantize_(module, quantization.Int8WeightOnlyConfig())
    program, x = export(module, (torch.ones(1, 64),)), torch.ones(1, 64)
    made, _ = for_tensorrt(program)
    interface = read_interface("forward", made)
    model = onnx.load(write_onnx("forward", made, interface, tmp_path).path)
    assert [each.name for each in model.graph.output] == [each.name for each in interface.outputs]
    torch.testing.assert_close(answer(model, x), module(x), atol=1e-5, rtol=1e-5)
