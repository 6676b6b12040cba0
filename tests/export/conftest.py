"""Small models, the programs saved from them, and the program inside a program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import torchtrt_ws
from torchtrt_ws import blob, pte

Nested = Callable[..., blob.Blob]
RunNested = Callable[..., list[torch.Tensor]]


class Tower(torch.nn.Module):
    """Two linear layers; 4 * (width * width + width) * 2 bytes of weights."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        torch.manual_seed(width)
        self.first = torch.nn.Linear(width, width)
        self.second = torch.nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(x)))


@pytest.fixture(scope="session")
def tower() -> Tower:
    return Tower().eval()


@pytest.fixture(scope="session")
def wide_tower() -> Tower:
    return Tower(64).eval()


@pytest.fixture(scope="session")
def exported(tower: Tower) -> torch.export.ExportedProgram:
    """The tower with a batch of 1 to 8."""
    batch = torch.export.Dim("batch", min=1, max=8)
    return torch.export.export(tower, (torch.ones(2, 32),), dynamic_shapes={"x": {0: batch}})


@pytest.fixture(scope="session")
def saved(exported: torch.export.ExportedProgram, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program with one engine, no budget baked."""
    path = tmp_path_factory.mktemp("saved") / "tower.pte"
    torchtrt_ws.save(exported, path)
    return path


@pytest.fixture(scope="session")
def nested() -> Nested:
    """Reads the blob of one engine of a file."""

    def read(path: Path, engine: str = "forward") -> blob.Blob:
        (found,) = [each for each in pte.read(path).engines if each.name == engine]
        data = path.read_bytes()
        return blob.read(data[found.payload_offset : found.payload_offset + found.payload_bytes])

    return read


@pytest.fixture(scope="session")
def run_nested(nested: Nested) -> RunNested:
    """Runs the program inside with ExecuTorch's own runtime."""

    def run(path: Path, inputs: Sequence[torch.Tensor], engine: str = "forward") -> list[Any]:
        from executorch.runtime import Runtime

        found = nested(path, engine)
        assert found.metadata.own is not None
        inside = Runtime.get().load_program(bytes(found.engine))  # owns the bytes; a method does not
        method = inside.load_method(found.metadata.own.nested_method or "forward")
        return [each.clone() for each in method.execute(list(inputs))]

    return run
