"""A decoder of Llama's architecture, its shapes, and random weights of a seed: what every rival runs.

Keys and values lie in buffers, so that the same module is exported with a cache and run by PyTorch. Weights are
float16, or what integers of quantized.py stand for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import quantized
import torch
from torch.nn import functional

PERIOD = 1_048_583  # elements of a weight after which they come again: drawing all of 16 GB would take minutes
DEVIATION = 0.02  # of weights


@dataclass(frozen=True)
class Shape:
    """With the defaults Llama 3 8B's: 16.06 GB in float16. `rows`: of a cache; `prompt`: tokens of a prefill;
    `weights`: of all matrices but the table, one of WEIGHTS."""

    layers: int = 32
    width: int = 4096
    hidden: int = 14336
    heads: int = 32
    key_heads: int = 8
    vocabulary: int = 128256
    rows: int = 512
    prompt: int = 256
    weights: str = "float16"


WEIGHTS = ("float16", *quantized.KINDS)
SHAPES = {
    "8b": Shape(),
    "1b": Shape(layers=16, width=2048, hidden=8192),
    "tiny": Shape(layers=2, width=256, hidden=320, heads=4, key_heads=2, vocabulary=600, rows=32, prompt=8),
}


def read_shape(name: str, layers: int | None = None, weights: str = "float16") -> Shape:
    """One of SHAPES, with another number of layers where one is given, and with these weights."""
    shape = replace(SHAPES[name], weights=weights)
    return shape if layers is None else replace(shape, layers=layers)


class Linear(torch.nn.Module):
    """Without a bias. Its weight is not drawn: that is done once, for all (`fill`)."""

    def __init__(self, takes: int, gives: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(gives, takes), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, self.weight)


class Embedding(torch.nn.Module):
    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(count, width), requires_grad=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return functional.embedding(ids, self.weight)


class Norm(torch.nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(width), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(x, self.weight.shape, self.weight, 1e-5)


class Layer(torch.nn.Module):
    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.size = shape.width // shape.heads
        self.attention_norm, self.norm = Norm(shape.width), Norm(shape.width)
        self.q, self.o = (Linear(shape.width, shape.width) for _ in range(2))
        self.k, self.v = (Linear(shape.width, shape.key_heads * self.size) for _ in range(2))
        self.gate, self.up = (Linear(shape.width, shape.hidden) for _ in range(2))
        self.down = Linear(shape.hidden, shape.width)

    def forward(
        self, x: torch.Tensor, rows: torch.Tensor, seen: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
    ) -> torch.Tensor:
        y = self.attention_norm(x)
        q, k, v = (self._split(each(y)) for each in (self.q, self.k, self.v))
        self.keys.index_copy_(2, rows, _turned(k, cos, sin))
        self.values.index_copy_(2, rows, v)
        y = functional.scaled_dot_product_attention(
            _turned(q, cos, sin), self.keys, self.values, attn_mask=seen, enable_gqa=True
        )
        x = x + self.o(y.transpose(1, 2).flatten(2))
        y = self.norm(x)
        return x + self.down(functional.silu(self.gate(y)) * self.up(y))

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(*x.shape[:-1], -1, self.size).transpose(1, 2)


def _turned(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary positions."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


class Decoder(torch.nn.Module):
    """Token ids [batch, count], and where the first of them stands [1], to the logits behind the last [batch,
    vocabulary]. `set_batch` before the first call."""

    cos: torch.Tensor
    sin: torch.Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.table = Embedding(shape.vocabulary, shape.width)
        self.layers = torch.nn.ModuleList([Layer(shape) for _ in range(shape.layers)])
        self.norm = Norm(shape.width)
        self.head = Linear(shape.width, shape.vocabulary)

    def forward(self, ids: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        x = self.table(ids)
        around = self.around(ids.shape[1], start, x.dtype)
        for layer in self.layers:
            x = layer(x, *around)
        logits: torch.Tensor = self.head(self.norm(x[:, -1]))
        return logits

    def around(
        self, count: int, start: torch.Tensor, dtype: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """What all layers take beside what the one before gives: rows, mask, cosines and sines of the positions."""
        rows = torch.arange(count, device=start.device) + start
        seen = torch.arange(self.shape.rows, device=start.device)[None, :] <= rows[:, None]
        size = self.shape.width // self.shape.heads
        speeds = 500000.0 ** (-torch.arange(0, size, 2, device=start.device, dtype=torch.float32) / size)
        angles = (rows[:, None].float() * speeds).repeat(1, 2)
        return rows, seen, angles.cos().to(dtype), angles.sin().to(dtype)

    def set_batch(self, batch: int, device: Any = "cpu") -> None:
        """Makes new, empty caches."""
        shape, dtype = self.shape, self.norm.weight.dtype
        sizes = (batch, shape.key_heads, shape.rows, shape.width // shape.heads)
        for layer in self.layers:
            for name in ("keys", "values"):
                layer.register_buffer(name, torch.zeros(sizes, dtype=dtype, device=device), persistent=False)


def build(shape: Shape, dtype: torch.dtype = torch.float16, filled: bool = True) -> Decoder:
    """The module on the CPU, its weights of a seed or, not `filled`, with memory that nobody has touched."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        model = Decoder(shape).eval()
    finally:
        torch.set_default_dtype(before)
    if filled:
        for index, (name, parameter) in enumerate(matrices(model)):
            if is_quantized(shape, name):
                parameter.data.copy_(quantized.dequantized(*numbers(parameter, shape.weights, index)))
            else:
                fill(parameter.data, index)
    return model


def matrices(model: Decoder) -> list[tuple[str, torch.nn.Parameter]]:
    """The weights that are drawn; those of norms are ones."""
    return [(name, each) for name, each in model.named_parameters() if each.dim() == 2]


def is_quantized(shape: Shape, name: str) -> bool:
    """Whether that matrix is: rows of a table are looked up, which TensorRT does with floats."""
    return shape.weights != "float16" and not name.startswith("table.")


def fill(weight: torch.Tensor, seed: int) -> None:
    """Random numbers of a seed, which come again after PERIOD."""
    _repeat((_drawn(weight, seed) * DEVIATION).to(weight.dtype), weight)


def numbers(like: torch.Tensor, kind: str, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A matrix of the shape of `like`, quantized: int8 [rows, columns] that come again as in `fill`; and its scales."""
    made = torch.empty(like.shape, dtype=torch.int8)
    _repeat(quantized.integers(_drawn(like, seed), kind), made)
    return made, quantized.scales((like.shape[0], like.shape[1]), kind, seed, DEVIATION)


def _drawn(like: torch.Tensor, seed: int) -> torch.Tensor:
    return torch.randn(min(PERIOD, like.numel()), generator=torch.Generator().manual_seed(seed))


def _repeat(piece: torch.Tensor, into: torch.Tensor) -> None:
    flat = into.view(-1)
    for start in range(0, flat.numel(), PERIOD):
        part = flat[start : start + PERIOD]
        part.copy_(piece[: part.numel()])


def prompt(shape: Shape, batch: int = 1, count: int | None = None) -> torch.Tensor:
    """Token ids int64 [batch, count], the same each time."""
    sizes = (batch, shape.prompt if count is None else count)
    return torch.randint(0, shape.vocabulary, sizes, generator=torch.Generator().manual_seed(1))


Step = Callable[[torch.Tensor, torch.Tensor], Any]
"""A decoder as a rival runs it: ids and start on the host, logits anywhere."""
