"""Products of float16 weights are summed in float32, and nothing else changes."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import torchtrt_ws
from tests.export.decoder import export
from torchtrt_ws import pte
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.export.graph.interface import read_interface
from torchtrt_ws.export.sources.onnx_model import OnnxModel, write_onnx

HALF, SINGLE = 10, 1  # onnx.TensorProto


class Products(torch.nn.Module):
    """A linear layer with a bias, one without, a weight on the left, a weight used twice, and two activations."""

    def __init__(self, dtype: torch.dtype = torch.float16) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.biased = torch.nn.Linear(256, 320)
        self.linear = torch.nn.Linear(320, 256, bias=False)
        self.left = torch.nn.Parameter(torch.randn(8, 8))
        self.twice = torch.nn.Parameter(torch.randn(256, 256) / 16)
        self.to(dtype).eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.linear(self.biased(x) / 16) / 16
        y = self.left @ y @ self.twice @ self.twice
        return y @ y.transpose(-1, -2)


def model_of(module: torch.nn.Module, folder: Path, **keywords: Any) -> OnnxModel:
    program = export(module, (torch.ones(8, 256, dtype=next(module.parameters()).dtype),))
    return write_onnx("forward", program, read_interface("forward", program), folder, **keywords)


def products(model: OnnxModel) -> list[tuple[set[int], int]]:
    """Of each product, the dtypes that it takes, and the one that it gives."""
    import onnx

    graph = onnx.load(model.path, load_external_data=False).graph
    dtypes = {each.name: each.data_type for each in graph.initializer}
    values = (*graph.input, *graph.output, *graph.value_info)
    dtypes |= {each.name: each.type.tensor_type.elem_type for each in values}
    return [
        ({dtypes[name] for name in node.input if name}, dtypes[node.output[0]])
        for node in graph.node
        if node.op_type in ("MatMul", "Gemm")
    ]


def test_products_of_weights_are_of_float32(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="torchtrt_ws"):
        found = products(model_of(Products(), tmp_path))
    assert found == 5 * [({SINGLE}, SINGLE)] + [({HALF}, HALF)]
    assert "5 products of float16 weights are summed in float32" in caplog.text


def test_not_if_it_is_not_wanted(tmp_path: Path) -> None:
    assert products(model_of(Products(), tmp_path, use_fp32_acc=False)) == 6 * [({HALF}, HALF)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_dtypes_stay(dtype: torch.dtype, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    module = Products(dtype)
    with_it, without = (model_of(module, tmp_path / name, use_fp32_acc=name == "a") for name in "ab")
    assert with_it.path.read_bytes() == without.path.read_bytes()


class Last(torch.nn.Module):
    """Its output is a product, and its input one as well."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(256, 256, bias=False).half()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.layer(x)
        return y, self.layer(y)


def test_outputs_keep_names_and_dtypes(tmp_path: Path) -> None:
    import onnx

    model = model_of(Last().eval(), tmp_path)
    loaded = onnx.load(model.path, load_external_data=False)
    program = export(Last().eval(), (torch.ones(8, 256, dtype=torch.float16),))
    wanted = [each.name for each in read_interface("forward", program).outputs]
    assert [each.name for each in loaded.graph.output] == wanted
    assert {each.type.tensor_type.elem_type for each in loaded.graph.output} == {HALF}
    names = [name for node in loaded.graph.node for name in node.output]
    assert len(names) == len(set(names))


def test_it_computes_what_the_module_does(tmp_path: Path) -> None:
    import onnx
    from onnx import numpy_helper
    from onnx.reference import ReferenceEvaluator

    module = Products()
    model = model_of(module, tmp_path)
    loaded = onnx.load(model.path, load_external_data=False)
    for initializer in loaded.graph.initializer:
        if initializer.name in model.weights:
            weight = np.asarray(model.weights[initializer.name])
            initializer.CopyFrom(numpy_helper.from_array(weight, initializer.name))
    x = torch.randn(8, 256, generator=torch.Generator().manual_seed(1)).half()
    (found,) = ReferenceEvaluator(loaded).run(None, {loaded.graph.input[0].name: x.numpy()})
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, module(x).detach().numpy(), rtol=2e-2, atol=2e-2)


class Parameters(torch.nn.Module):
    """Weights as they are, transposed, and on the left."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.plain, self.turned, self.left = (torch.nn.Parameter(torch.randn(512, 512).half()) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.left @ (x @ self.plain @ self.turned.t()).transpose(-1, -2)


class Joined(torch.nn.Module):
    """Products that share their input, and a weight that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.q, self.k, self.v = (torch.nn.Linear(512, 512, bias=False).half() for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.v(self.q(x) * self.k(x)) + self.v(x)


def linear(bias: bool) -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(*(torch.nn.Linear(512, 512, bias=bias) for _ in range(3))).half()


@pytest.mark.parametrize("shape", [(2, 512), (1, 4, 512)])
@pytest.mark.parametrize(
    "module",
    [linear(True), linear(False), Parameters(), Joined()],
    ids=["biased", "linear", "parameters", "joined"],
)
@pytest.mark.parametrize("dynamic", [False, True])
def test_the_plan_is_as_large(module: torch.nn.Module, shape: tuple[int, ...], dynamic: bool, tmp_path: Path) -> None:
    """Weights stay float16 in it."""
    pytest.importorskip("tensorrt_rtx", reason="pip install torchtrt-ws[rtx]")
    rows = torch.export.Dim("rows", min=1, max=8)
    shapes: dict[str, Any] = {"dynamic_shapes": ({len(shape) - 2: rows},)} if dynamic else {}
    inputs = (torch.ones(shape, dtype=torch.float16),)
    sizes = []
    for use in (None, False):
        path = tmp_path / f"{use}.pte"
        torchtrt_ws.save(module.eval(), path, arg_inputs=inputs, engine="tensorrt_rtx", use_fp32_acc=use, **shapes)
        (engine,) = pte.read(path).engines
        sizes.append(engine.engine_bytes)
    assert sizes[1] < sizes[0] < 1.05 * sizes[1]  # the casts are in it


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"use_fp32_acc": 1, "engine": "tensorrt_rtx"}, "use_fp32_acc: found 1; expected True, False or None"),
        ({"use_fp32_acc": True}, "use_fp32_acc: found True for engine='host'; expected engine=\"tensorrt_rtx\""),
    ],
)
def test_refused(keywords: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ProgramError) as raised:
        torchtrt_ws.save(Last(), tmp_path / "a.pte", arg_inputs=(torch.ones(8, 256),), **keywords)
    assert str(raised.value).startswith(words)
    assert list(tmp_path.iterdir()) == []


class AskedError(Exception):
    pass


@pytest.mark.parametrize(
    ("keywords", "wanted"),
    [
        ({}, True),
        ({"refit": True}, True),
        ({"weights": "separate"}, True),
        ({"refit": True, "use_fp32_acc": False}, False),
        ({"use_fp32_acc": False}, False),
    ],
)
def test_the_default(keywords: dict[str, Any], wanted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of engines that get their weights later, too."""
    pytest.importorskip("tensorrt_rtx", reason="pip install torchtrt-ws[rtx]")

    def write(*arguments: Any) -> None:
        raise AskedError(arguments[-1])

    monkeypatch.setattr("torchtrt_ws.export.sources.tensorrt_rtx.has_gpu", lambda: True)
    monkeypatch.setattr("torchtrt_ws.export.sources.tensorrt_rtx.write_onnx", write)
    with pytest.raises(AskedError) as asked:
        inputs = (torch.ones(8, 256, dtype=torch.float16),)
        torchtrt_ws.save(Last(), tmp_path / "a.pte", arg_inputs=inputs, engine="tensorrt_rtx", **keywords)
    assert asked.value.args == (wanted,)


def test_a_plan_that_is_too_large_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="pip install torchtrt-ws[rtx]")
    inputs = (torch.ones(8, 256, dtype=torch.float16),)
    torchtrt_ws.save(Last(), tmp_path / "a.pte", arg_inputs=inputs, engine="tensorrt_rtx")
    assert "a plan of" not in caplog.text
    monkeypatch.setattr("torchtrt_ws.export.sources.tensorrt_rtx._OVERHEAD", 0)
    monkeypatch.setattr(
        "torchtrt_ws.export.sources.tensorrt_rtx.write_onnx",
        lambda *arguments: replace(write_onnx(*arguments), weight_bytes=1),
    )
    torchtrt_ws.save(Last(), tmp_path / "b.pte", arg_inputs=inputs, engine="tensorrt_rtx")
    assert "for 1 bytes of weights; if use_fp32_acc=False makes it smaller" in caplog.text
