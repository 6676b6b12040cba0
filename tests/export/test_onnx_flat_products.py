"""Products that torchao flattens rows for are those that it does not flatten them for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from torchtrt_ws.export.graph.interface import read_interface
from torchtrt_ws.export.graph.quantized_weights import for_tensorrt
from torchtrt_ws.export.sources.onnx_model import write_onnx

pytest.importorskip("torchao")

from torchao import quantization

BATCH, COUNT = torch.export.Dim("batch", min=1, max=64), torch.export.Dim("count", min=1, max=64)


class Block(torch.nn.Module):
    """Two layers, one with a bias, and what goes around them; `last`: the last product is the output."""

    def __init__(self, last: bool = False) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.up, self.down, self.last = torch.nn.Linear(64, 96), torch.nn.Linear(96, 64, bias=False), last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.down(torch.relu(self.up(x)))
        return y if self.last else x + y


def written(module: torch.nn.Module, x: torch.Tensor, folder: Path, shapes: Any = None) -> onnx.ModelProto:
    folder.mkdir(exist_ok=True)
    program = torch.export.export(module, (x,), dynamic_shapes=(shapes,) if shapes else None)
    made, _ = for_tensorrt(program)
    interface = read_interface("forward", made)
    model = onnx.load(write_onnx("forward", made, interface, folder).path)
    onnx.checker.check_model(model, full_check=True)
    assert [each.name for each in model.graph.output] == [each.name for each in interface.outputs]
    return model


def quantized(module: torch.nn.Module, config: Callable[[], Any]) -> torch.nn.Module:
    quantization.quantize_(module.eval(), config())
    return module


def operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def answer(model: onnx.ModelProto, x: torch.Tensor) -> torch.Tensor:
    (name,) = [each.name for each in model.graph.input]
    return torch.from_numpy(ReferenceEvaluator(model).run(None, {name: x.numpy()})[0])


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(
    ("shape", "dynamic"),
    [((3, 64), None), ((3, 64), {0: BATCH}), ((2, 8, 64), {1: COUNT}), ((2, 8, 64), {0: BATCH, 1: COUNT})],
)
def test_both_configurations_are_one_model(shape: tuple[int, ...], dynamic: Any, last: bool, tmp_path: Path) -> None:
    x = torch.randn(shape)
    flattening = quantized(Block(last), quantization.Int8WeightOnlyConfig)
    model = written(flattening, x, tmp_path / "a", dynamic)
    other = written(quantized(Block(last), quantization.IntxWeightOnlyConfig), x, tmp_path / "b", dynamic)
    found, wanted = operators(model), operators(other)
    for each in (found, wanted):  # a Gemm is a product with the weight turned
        each["MatMul"] += (gemms := each.pop("Gemm", 0))
        each["Transpose"] += gemms
        each.pop("Add", None)  # it may have the bias inside
    assert found == wanted and "Reshape" not in found
    torch.testing.assert_close(answer(model, x), flattening(x), atol=1e-5, rtol=1e-5)
    if dynamic:
        for sizes in ((1, *shape[1:]), (1, 5, 64))[: len(shape) - 1]:
            if 0 in dynamic or sizes[0] == shape[0]:
                x = torch.randn(sizes)
                torch.testing.assert_close(answer(model, x), flattening(x), atol=1e-5, rtol=1e-5)


class Heads(torch.nn.Module):
    """Three products of one flattened input, whose results are given other shapes at once: as attention has them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(9)
        self.q, self.k, self.v = (torch.nn.Linear(64, 64, bias=False) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (each(x).view(*x.shape[:-1], 4, 16).transpose(1, 2) for each in (self.q, self.k, self.v))
        return q @ k.transpose(-1, -2) @ v


def test_products_that_share_what_was_flattened(tmp_path: Path) -> None:
    module, x = quantized(Heads(), quantization.Int8WeightOnlyConfig), torch.randn(2, 8, 64)
    model = written(module, x, tmp_path / "a", {1: COUNT})
    other = written(quantized(Heads(), quantization.IntxWeightOnlyConfig), x, tmp_path / "b", {1: COUNT})
    assert operators(model)["Reshape"] == operators(other)["Reshape"] == 3
    for count in (8, 3):
        x = torch.randn(2, count, 64)
        torch.testing.assert_close(answer(model, x), module(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("twice", [False, True])
def test_outputs_that_are_one_tensor_stay_two(twice: bool) -> None:
    """Two Reshapes to one shape, or one and what it is taken from."""
    import onnx_ir
    from onnx import TensorProto, helper, numpy_helper

    from torchtrt_ws.export.sources.onnx_flat_products import unflatten

    random = torch.Generator().manual_seed(10)
    weight = torch.randint(-100, 100, (64, 32), dtype=torch.int8, generator=random)
    shapes = {"flat": [-1, 64], "again": [2, 3, 32]}
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s"], ["d"]),
        helper.make_node("Reshape", ["x", "flat"], ["f"]),
        helper.make_node("MatMul", ["f", "d"], ["p"]),
        helper.make_node("Reshape", ["p", "again"], ["y"]),
        helper.make_node("Reshape", ["p" if twice else "y", "again"], ["z"]),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", (2, 3, 64)), ("y", (2, 3, 32)), ("z", (2, 3, 32)))
    ]
    tensors = [numpy_helper.from_array(weight.numpy(), "w"), numpy_helper.from_array(torch.tensor(0.5).numpy(), "s")]
    tensors += [numpy_helper.from_array(torch.tensor(shape).numpy(), name) for name, shape in shapes.items()]
    proto = helper.make_model(
        helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors),
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
    )
    model = onnx_ir.from_proto(onnx.shape_inference.infer_shapes(proto))
    unflatten(model)
    made = onnx_ir.to_proto(model)
    onnx.checker.check_model(made, full_check=True)
    assert [each.name for each in made.graph.output] == ["y", "z"]
    assert len({name for node in made.graph.node for name in node.output}) == len(made.graph.node)
    x = torch.randn(2, 3, 64, generator=random)
    for found in ReferenceEvaluator(made).run(None, {"x": x.numpy()}):
        torch.testing.assert_close(torch.from_numpy(found), x @ (weight * 0.5), atol=1e-4, rtol=1e-5)


class Reshaping(torch.nn.Module):
    """A product whose rows are flattened for good, and one that is seen flat, too."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(6)
        self.weight = torch.nn.Parameter(torch.randint(-100, 100, (32, 64), dtype=torch.int8), requires_grad=False)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        weight = self.weight.float().t() * 0.01
        flat = x.reshape(-1, 64) @ weight
        again = (x + 1).reshape(-1, 64) @ weight
        return flat.relu(), again.reshape(x.shape[0], x.shape[1], 32).exp().sum() + again


def test_reshapes_that_do_something_stay(tmp_path: Path) -> None:
    module, x = Reshaping(), torch.randn(2, 8, 64) / 8
    model = written(module, x, tmp_path, {1: COUNT})
    assert operators(model)["Reshape"] >= 2
    for count in (8, 3):
        x = torch.randn(2, count, 64) / 8
        found = ReferenceEvaluator(model).run(None, {model.graph.input[0].name: x.numpy()})
        for one, other in zip(found, module(x), strict=True):
            torch.testing.assert_close(torch.from_numpy(one), other, atol=1e-4, rtol=1e-5)


def test_a_model_without_quantized_weights_is_left_alone(tmp_path: Path) -> None:
    class Same(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.reshape(-1, 4).exp().reshape(x.shape)

    model = written(Same(), torch.randn(2, 8, 64), tmp_path, {1: COUNT})
    assert operators(model)["Reshape"] == 2
