"""benchmarks/gpu/forms.py without a GPU: its models are what it says, and compute what it compares answers with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent.parent / "benchmarks" / "gpu"


@pytest.fixture
def forms(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import forms

    monkeypatch.setattr(forms, "FEATURES", 256)
    return forms


def test_every_case_is_a_model_that_computes_it(forms: Any) -> None:
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    cases = list(forms.cases())
    assert len(set(cases)) == len(cases)
    for case in cases:
        chain = forms.Chain(case)
        model = onnx.load_from_string(chain.model())
        onnx.checker.check_model(model, full_check=True)
        (found,) = ReferenceEvaluator(model).run(None, {"x": chain.x})
        expected = chain.expected()
        assert np.abs(found - expected).max() < 1e-2 * np.abs(expected).max(), case
        assert sum(node.op_type in ("Gemm", "MatMul") for node in model.graph.node) == case.layers


def test_the_table(forms: Any, tmp_path: Path) -> None:
    case = {"weights": "int8 rows", "rows": 1, "flags": ["REFIT"]}
    good = {"us": {"100": 81.2, "0": 415.0}, "context_bytes": 41_800_000, "layers": 18, "error": 5.4e-4}
    rows = [{"case": case, **good}, {"case": case, "failed": "no execution context"}]
    forms.write({"gpu": "A GPU", "rows": rows}, tmp_path / "forms-here")
    lines = (tmp_path / "forms-here.md").read_text().splitlines()
    wanted = "| 4 of int8 rows | 1 | float16 | float32 | none | gemm | REFIT | 18 | 41.8 | 81 |  | 415 | 5.4e-04 |"
    assert wanted in lines and any("no execution context" in line for line in lines)
    assert {line.count("|") for line in lines if line.startswith("|")} == {14}
