"""A tiny decoder for tests that keeps keys and values of the tokens before in buffers."""

from __future__ import annotations

from typing import Any

import torch

ROWS, VOCABULARY, WIDTH, HEADS = 16, 256, 32, 4


class CachedDecoder(torch.nn.Module):
    """Token ids [1, count], and where the first of them stands [1], to logits [1, count, vocabulary].

    Args:
        write: How rows go into the caches: "index_copy", "assign" (by index), or "scatter", of which nobody sees that
            they lie together.
    """

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, write: str = "index_copy", dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.write = write
        self.table = torch.nn.Embedding(VOCABULARY, WIDTH)
        self.q, self.k, self.v = (torch.nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.head = torch.nn.Linear(WIDTH, VOCABULARY, bias=False)
        shape = (1, HEADS, ROWS, WIDTH // HEADS)
        self.register_buffer("keys", torch.zeros(shape), persistent=False)
        self.register_buffer("values", torch.zeros(shape), persistent=False)
        self.to(dtype).eval()

    def forward(self, ids: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        x = self.table(ids)
        rows = torch.arange(ids.shape[1]) + start
        q, k, v = (self._split(layer(x)) for layer in (self.q, self.k, self.v))
        for cache, new in ((self.keys, k), (self.values, v)):
            if self.write == "index_copy":
                cache.index_copy_(2, rows, new)
            elif self.write == "assign":
                cache[:, :, rows] = new
            else:
                cache.scatter_(2, rows.view(1, 1, -1, 1).expand(new.shape), new)
        seen = torch.arange(ROWS)[None, :] <= rows[:, None]
        attended = torch.nn.functional.scaled_dot_product_attention(q, self.keys, self.values, attn_mask=seen)
        return self.head(x + attended.transpose(1, 2).reshape(1, -1, WIDTH))

    @staticmethod
    def _split(x: torch.Tensor) -> torch.Tensor:
        return x.view(1, -1, HEADS, WIDTH // HEADS).transpose(1, 2)


def inputs(count: int = 5, start: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """`count` token ids from `start` on: those of one sentence, whatever it is cut into."""
    sentence = torch.randint(0, VOCABULARY, (1, ROWS), generator=torch.Generator().manual_seed(7))
    return sentence[:, start : start + count], torch.tensor([start])


def dynamic(most: int = ROWS) -> dict[str, Any]:
    """1 to `most` tokens."""
    return {"ids": {1: torch.export.Dim("count", min=1, max=most)}, "start": None}


STEPS = ((0, 5), (5, 1), (6, 1), (7, 4))  # where it starts, and how many tokens
