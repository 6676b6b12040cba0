"""A tiny decoder for tests: a table, attention, a gated layer, a head."""

from __future__ import annotations

from typing import Any

import torch

VOCABULARY, WIDTH = 500, 32
TABLE_BYTES = 4 * VOCABULARY * WIDTH


class Decoder(torch.nn.Module):
    """Token ids [batch, length] to logits [batch, length, vocabulary], with a mask that depends on the length."""

    def __init__(self, tied: bool = False, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.nn.Embedding(VOCABULARY, WIDTH)
        self.qkv = torch.nn.Linear(WIDTH, 3 * WIDTH)
        self.gate, self.up = torch.nn.Linear(WIDTH, 2 * WIDTH), torch.nn.Linear(WIDTH, 2 * WIDTH)
        self.down = torch.nn.Linear(2 * WIDTH, WIDTH)
        self.norm = torch.nn.LayerNorm(WIDTH)
        self.head = torch.nn.Linear(WIDTH, VOCABULARY, bias=False)
        if tied:
            self.head.weight = self.table.weight
        self.to(dtype).eval()

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.table(ids)
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        later = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).triu(1)
        scores = (q @ k.transpose(1, 2) / WIDTH**0.5).masked_fill(later, -1e4)
        x = x + torch.softmax(scores, dim=-1) @ v
        x = x + self.down(torch.nn.functional.silu(self.gate(x)) * self.up(x))
        return self.head(self.norm(x))


def ids(batch: int = 2, length: int = 5) -> torch.Tensor:
    """Token ids, int64."""
    return torch.randint(0, VOCABULARY, (batch, length), generator=torch.Generator().manual_seed(batch + length))


def dynamic() -> dict[str, Any]:
    """A batch of 1 to 4, and 2 to 16 tokens."""
    return {"ids": {0: torch.export.Dim("batch", min=1, max=4), 1: torch.export.Dim("length", min=2, max=16)}}


def export(
    module: torch.nn.Module, inputs: tuple[Any, ...], dynamic_shapes: Any = None
) -> torch.export.ExportedProgram:
    """As `save` does it."""
    with torch.no_grad():
        return torch.export.export(module, inputs, dynamic_shapes=dynamic_shapes, strict=False)
