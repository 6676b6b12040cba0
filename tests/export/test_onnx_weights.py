"""Large weights reach TensorRT-RTX where the module has them."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.export.decoder import export
from torchtrt_ws.export.graph.interface import read_interface
from torchtrt_ws.export.sources.onnx_model import write_onnx
from torchtrt_ws.export.sources.onnx_weights import LEFT_OUT, address
from torchtrt_ws.export.sources.tensorrt_rtx import build_plan


class Layers(torch.nn.Module):
    """Weights in several layouts: of a linear layer (torch.onnx transposes it), as it is, transposed twice, small."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(256, 320)
        self.plain = torch.nn.Parameter(torch.randn(320, 256))
        self.turned = torch.nn.Parameter(torch.randn(256, 320).t())  # not contiguous in the module
        self.small = torch.nn.Linear(256, 4)
        self.to(dtype).eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.small((self.linear(x) @ self.plain @ self.turned.t())[:, :256])


def model_of(module: Layers, folder: Path) -> Any:
    dtype = module.plain.dtype
    program = export(module, (torch.ones(2, 256, dtype=dtype),))
    return write_onnx("forward", program, read_interface("forward", program), folder), program


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_no_large_weight_is_copied(dtype: torch.dtype, tmp_path: Path) -> None:
    module = Layers(dtype)
    model, _ = model_of(module, tmp_path)
    large = {name: each for name, each in module.named_parameters() if each.nbytes >= LEFT_OUT}
    assert sorted(address(each) for each in model.weights.values()) == sorted(
        each.data_ptr() for each in large.values()
    )
    assert model.weight_bytes >= sum(each.nbytes for each in module.parameters())
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert model.path.stat().st_size < LEFT_OUT


def test_the_model_with_its_weights_computes_it(tmp_path: Path) -> None:
    import onnx
    from onnx import numpy_helper
    from onnx.reference import ReferenceEvaluator

    module = Layers(torch.float32)
    model, _ = model_of(module, tmp_path)
    proto = onnx.load(str(model.path), load_external_data=False)
    for initializer in proto.graph.initializer:
        if (weight := model.weights.get(initializer.name)) is not None:
            data = ctypes.string_at(address(weight), weight.nbytes)  # as the parser is given it
            whole = np.frombuffer(data, np.float32).reshape(tuple(initializer.dims))
            initializer.CopyFrom(numpy_helper.from_array(whole, initializer.name))
    x = torch.randn(2, 256)
    (found,) = ReferenceEvaluator(proto).run(None, {"x": x.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(found, module(x), rtol=1e-3, atol=1e-1)


def test_the_plan_has_them(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="pip install torchtrt-ws[rtx]")
    module = Layers(torch.float16)
    model, program = model_of(module, tmp_path)
    payload = build_plan("forward", model, read_interface("forward", program), folder=tmp_path)
    path = tmp_path / "a.plan"
    with open(path, "wb") as file:
        payload.write_to(file)
    plan = path.read_bytes()
    for weight in (module.linear.weight, module.plain):
        either = [each.detach().contiguous().view(torch.uint8).numpy().tobytes() for each in (weight, weight.t())]
        assert sum(plan.count(each) for each in either) == 1
