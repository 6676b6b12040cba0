"""Attention as products and a softmax computes what torch does."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.export.decoder import export
from torchtrt_ws.export.sources.onnx_attention import in_parts

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
