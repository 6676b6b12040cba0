"""The optimizer gives what onnxscript's gives, for all of its rules."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.export.cached_decoder import CachedDecoder, dynamic, inputs
from tests.export.decoder import export
from torchtrt_ws.export.sources import onnx_optimizer

onnx_ir = pytest.importorskip("onnx_ir")
pytest.importorskip("onnxscript")


class Joined(torch.nn.Module):
    """Two slices that are a split, casts, reshapes and transposes of each other, clips, a sum with zero."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = x[:, :4], x[:, 4:]
        x = torch.cat([second, first], 1).to(torch.float64).to(torch.float32) + 0
        x = x.reshape(2, 2, 4).reshape(4, 4).t().t().unsqueeze(0).unsqueeze(0)
        return torch.relu(x.clamp(-3, 3)).clamp(min=0, max=2) * 1


class Convolved(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.norm(self.convolution(torch.nn.functional.pad(x, (1, 1, 1, 1)))))


CASES = [
    (CachedDecoder("scatter"), inputs(), dynamic()),
    (Joined(), (torch.arange(16.0).reshape(2, 8),), None),
    (Convolved().eval(), (torch.ones(2, 3, 8, 8),), {"x": {0: torch.export.Dim("batch", min=1, max=4)}}),
]


def exported(case: tuple[torch.nn.Module, tuple[Any, ...], Any], optimized: bool) -> Any:
    program = torch.onnx.export(export(*case), dynamo=True, verbose=False, optimize=optimized)
    assert program is not None
    return program.model


def serialized(model: Any) -> bytes:
    text: bytes = onnx_ir.to_proto(model).SerializeToString(deterministic=True)
    return text


@pytest.mark.parametrize("case", CASES, ids=lambda case: type(case[0]).__name__)
def test_it_is_what_onnxscript_makes(case: Any) -> None:
    expected, found = exported(case, optimized=True), exported(case, optimized=False)
    before = serialized(found)
    onnx_optimizer.optimize(found)
    assert serialized(found) == serialized(expected) != before


def test_an_onnxscript_with_its_rules_elsewhere_does_it_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    expected, found = exported(CASES[1], optimized=True), exported(CASES[1], optimized=False)

    def elsewhere() -> Any:
        raise ImportError("cannot import name '_DEFAULT_REWRITE_RULES'")

    monkeypatch.setattr(onnx_optimizer, "_rules", elsewhere)
    onnx_optimizer.optimize(found)
    assert serialized(found) == serialized(expected)


def test_a_rule_is_asked_about_its_operator_only() -> None:
    def node(operator: str) -> Any:
        return SimpleNamespace(op_identifier=lambda: ("", operator, ""))

    def rule(operator: str | None) -> Any:
        end = SimpleNamespace(op_identifier=lambda: None if operator is None else ("", operator, ""))
        return SimpleNamespace(
            name="joins",
            _target_pattern=SimpleNamespace(output_nodes=[end, None]),
            try_rewrite=lambda model, graph, node, verbose: asked.append(node.op_identifier()[1]),
        )

    for operator, expected in (("Slice", ["Slice"]), (None, ["Add", "Slice"])):
        asked: list[str] = []
        wrapped = onnx_optimizer._Asked(rule(operator))
        for each in ("Add", "Slice"):
            assert wrapped.try_rewrite(None, None, node(each), verbose=None) is None
        assert asked == expected
        assert wrapped.name == "joins"
