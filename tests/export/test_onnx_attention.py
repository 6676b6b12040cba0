"""Attention as products and a softmax computes what torch does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.export.decoder import export
from torchtrt_ws.export.graph.interface import read_interface
from torchtrt_ws.export.sources import tensorrt_rtx
from torchtrt_ws.export.sources.onnx_attention import in_parts
from torchtrt_ws.export.sources.onnx_model import write_onnx

CASES = [
    *(
        ({name: value}, mask)
        for mask in (None, "bool", "float")
        for name, value in (("scale", 0.3), ("enable_gqa", True))
    ),
    ({}, "bool"),
    ({"is_causal": True}, None),
]


@pytest.mark.parametrize(("keywords", "mask"), CASES)
def test_attention_in_parts_is_the_same(keywords: dict[str, Any], mask: str | None) -> None:
    class Attention(torch.nn.Module):
        def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, m: torch.Tensor | None) -> torch.Tensor:
            return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=m, **keywords)

    torch.manual_seed(0)
    few = 2 if keywords.get("enable_gqa") else 4
    q, k, v = torch.randn(2, 4, 5, 8), torch.randn(2, few, 7, 8), torch.randn(2, few, 7, 8)
    seen = torch.rand(5, 7) > 0.3
    m = None if mask is None else seen if mask == "bool" else torch.randn(5, 7)
    program = export(Attention(), (q, k, v, m))
    parts = in_parts(program).run_decompositions({})
    assert "scaled_dot_product_attention" not in str(parts.graph)
    torch.testing.assert_close(parts.module()(q, k, v, m), Attention()(q, k, v, m))


class Masked(torch.nn.Module):
    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, m: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=m)


def padded(mask: str, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    """Two sentences; the second one has two tokens of padding on its left. These see nothing, nor does the last query
    of both."""
    torch.manual_seed(0)
    seen = torch.ones(2, 1, 5, 5, dtype=torch.bool).tril()
    seen[1, :, :, :2] = False
    seen[:, :, 4] = False
    m = seen if mask == "bool" else torch.zeros(seen.shape).masked_fill(~seen, float("-inf")).to(dtype)
    return (*(torch.randn(2, 4, 5, 8, dtype=dtype) for _ in range(3)), m)


@pytest.mark.parametrize("mask", ["bool", "float"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_query_that_sees_no_key_gets_zeros(mask: str, dtype: torch.dtype) -> None:
    inputs = padded(mask, dtype)
    found = in_parts(export(Masked(), inputs)).run_decompositions({}).module()(*inputs)
    assert not found[1, :, :2].any() and not found[:, :, 4].any() and found[0, :, :4].all()
    torch.testing.assert_close(found, Masked()(*inputs), atol=2e-3 if dtype == torch.float16 else 1e-5, rtol=1e-3)


def test_a_number_that_is_none_in_the_mask_is_not_hidden() -> None:
    q, k, v, m = padded("float")
    m[0, :, 1, 0] = float("nan")
    found = in_parts(export(Masked(), (q, k, v, m))).run_decompositions({}).module()(q, k, v, m)
    assert found[0, :, 1].isnan().all() and found.isnan().sum() == found[0, :, 1].numel()


LOWEST = float(torch.finfo(torch.float16).min)


@pytest.mark.parametrize(
    ("dtype", "low"),
    [
        (torch.float16, LOWEST),
        (torch.float16, -10000.0),
        (torch.bfloat16, -10000.0),
        (torch.bfloat16, float(torch.finfo(torch.bfloat16).min)),
        (torch.float32, LOWEST),
        (torch.float32, float(torch.finfo(torch.float32).min)),
    ],
)
def test_a_query_whose_mask_is_low_everywhere_compares_all_keys(dtype: torch.dtype, low: float) -> None:
    """Masks of transformers have finfo.min. With scores of less than -16 that is -inf in float16, for all keys."""
    inputs = hidden(dtype, low)
    scores = inputs[0].float() @ inputs[1].float().transpose(-2, -1) / 8**0.5
    assert scores.max() < -16
    found = in_parts(export(Masked(), inputs)).run_decompositions({}).module()(*inputs)
    tolerance = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 6e-2}[dtype]
    torch.testing.assert_close(found, Masked()(*inputs), atol=tolerance, rtol=tolerance)


def hidden(dtype: torch.dtype, low: float) -> tuple[torch.Tensor, ...]:
    """The last query of the first sentence sees some keys, and -inf hides one of another; the rest see none."""
    torch.manual_seed(0)
    q, k, v = (torch.rand(2, 4, 5, 8, dtype=dtype) for _ in range(3))
    m = torch.full((2, 1, 5, 5), low, dtype=dtype)
    m[0, :, 4, :3] = 0
    m[1, :, 2, 1] = float("-inf")
    return q * 4 + 3, -k * 2 - 3, v, m


def test_the_model_of_float16_compares_them_too(tmp_path: Path) -> None:
    inputs = hidden(torch.float16, LOWEST)
    found = evaluated(inputs, tmp_path)
    wanted = Masked()(*inputs)
    assert not wanted.isnan().any()
    torch.testing.assert_close(found, wanted, atol=2e-2, rtol=2e-2)


def evaluated(inputs: tuple[torch.Tensor, ...], folder: Path) -> torch.Tensor:
    """What ONNX's own evaluator makes of the model."""
    from onnx.reference import ReferenceEvaluator

    program = export(Masked(), inputs)
    model = write_onnx("forward", program, read_interface("forward", program), folder)
    with np.errstate(invalid="ignore", over="ignore"):  # rows without a key are NaN until they are put right
        (found,) = ReferenceEvaluator(str(model.path)).run(
            None, dict(zip("qkvm", (each.numpy() for each in inputs), strict=True))
        )
    return torch.from_numpy(found)


@pytest.mark.parametrize("mask", ["bool", "float"])
def test_so_does_the_model_without_caches(mask: str, tmp_path: Path) -> None:
    inputs = padded(mask)
    torch.testing.assert_close(evaluated(inputs, tmp_path), Masked()(*inputs), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mask", [torch.bool, torch.float16])
def test_tensorrt_has_one_kernel_for_it(mask: torch.dtype, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    q, k, v = (torch.ones(1, 4, length, 64, dtype=torch.float16) for length in (16, 512, 512))
    program = export(Masked(), (q, k, v, torch.ones(16, 512, dtype=mask)))
    interface = read_interface("forward", program)
    model = write_onnx("forward", program, interface, tmp_path)
    plan = tensorrt_rtx.build_plan("forward", model, interface)
    with open(tmp_path / "a.plan", "wb") as file:
        plan.write_to(file)
    assert b"fused_multihead" in (tmp_path / "a.plan").read_bytes()
