"""One program for all tests of this folder: rows that have nothing to do with each other, any number of them to 16."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

FEATURES = 256
MOST_ROWS = 16
CACHE_TOKENS, VOCABULARY = 32, 7


@pytest.fixture(scope="package", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder for packed weights of its own, which replicas have too."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHTRT_WS_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="package")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """rows.pte: y = x W + b, total = the sum of x; fixed.pte: y = x + shift, of one shape;
    sums.pte: a decoder whose next token is the sum of all before, modulo the vocabulary."""
    import torch

    import torchtrt_ws

    class Rows(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.linear = torch.nn.Linear(FEATURES, FEATURES)

        def forward(self, x: torch.Tensor, shift: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.linear(x) + shift, x.sum(1)

    class Fixed(torch.nn.Module):
        def forward(self, x: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
            return x + shift

    class Sums(torch.nn.Module):
        kept: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("kept", torch.zeros(CACHE_TOKENS))

        def forward(self, ids: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
            positions = torch.arange(ids.shape[1]) + start
            self.kept.index_copy_(0, positions, ids[0].to(torch.float32))
            total = (self.kept * (torch.arange(CACHE_TOKENS) <= positions[-1])).sum()
            return -(torch.arange(VOCABULARY) - (total - VOCABULARY * (total / VOCABULARY).floor())).abs()[None]

    folder = tmp_path_factory.mktemp("served")
    rows = {0: torch.export.Dim("rows", min=1, max=MOST_ROWS)}
    torchtrt_ws.save(
        Rows(),
        folder / "rows.pte",
        arg_inputs=(torch.zeros(2, FEATURES), torch.zeros(2, 1)),
        dynamic_shapes={"x": rows, "shift": rows},
    )
    torchtrt_ws.save(
        Fixed(),
        folder / "fixed.pte",
        arg_inputs=(torch.zeros(2, 3, dtype=torch.bfloat16), torch.zeros(1, dtype=torch.bfloat16)),
    )
    torchtrt_ws.save(
        Sums().eval(),
        folder / "sums.pte",
        arg_inputs=(torch.zeros(1, 4, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)),
        dynamic_shapes={"ids": {1: torch.export.Dim("count", min=1, max=4)}, "start": None},
    )
    return {"rows": folder / "rows.pte", "fixed": folder / "fixed.pte", "sums": folder / "sums.pte"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make test-fast` leaves out what exports, and what starts Ray with it."""
    for item in items:
        if Path(__file__).parent in item.path.parents and "files" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.exports)
