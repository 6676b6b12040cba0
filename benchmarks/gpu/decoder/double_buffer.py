"""The strongest simple rival: PyTorch, weights in pinned memory, the next part copied while one computes.

A part is a layer, or a piece of the head as large as one. As many parts as fit stay on the device; the others pass
through two buffers there. The first part of the next call is copied while this one ends.
"""

from __future__ import annotations

import copy
from typing import Any

import model as models
import torch
from torch.nn import functional

ALIGNMENT = 256
CUDA: Any = torch.cuda  # its classes have no types


class Part:
    """Weights that are copied together: in one piece of pinned memory, with a view for each."""

    def __init__(self, weights: dict[str, torch.Tensor], pinned: bool) -> None:
        self.places: dict[str, tuple[int, torch.Tensor]] = {}
        self.size = 0
        for name, weight in weights.items():
            self.places[name] = (self.size, weight)
            self.size += -(-weight.nbytes // ALIGNMENT) * ALIGNMENT
        self.host = torch.empty(self.size, dtype=torch.uint8, pin_memory=pinned)
        for (_, weight), view in zip(self.places.values(), self.views(self.host).values(), strict=True):
            view.copy_(weight)

    def views(self, memory: torch.Tensor) -> dict[str, torch.Tensor]:
        """The weights in a copy of the piece."""
        return {
            name: memory[offset : offset + weight.nbytes].view(weight.dtype).view(weight.shape)
            for name, (offset, weight) in self.places.items()
        }


class DoubleBuffer:
    """The decoder with `resident` of its parts on the device.

    Args:
        decoder: The module, on the CPU. It is left as it is; copies share its table.
        device: "cuda", or "cpu" to try this out.
    """

    def __init__(self, decoder: models.Decoder, device: str) -> None:
        self.decoder, self.device, self.gpu = decoder, torch.device(device), device != "cpu"
        layer = decoder.layers[0]
        layer_bytes = sum(each.nbytes for each in layer.parameters())
        pieces = -(-decoder.head.weight.nbytes // layer_bytes)
        self.parts = [Part(dict(each.named_parameters()), self.gpu) for each in decoder.layers]
        self.parts += [Part({"weight": each}, self.gpu) for each in decoder.head.weight.chunk(pieces)]
        self.largest = max(part.size for part in self.parts)
        # The module that computes each layer; its weights are views that change.
        self.layers = [copy.copy(each) for each in decoder.layers]
        for mine, given in zip(self.layers, decoder.layers, strict=True):
            mine._buffers = dict(given._buffers)
            mine._modules = {name: copy.copy(child) for name, child in given._modules.items()}
            for child in mine._modules.values():
                child._parameters = dict(child._parameters)
        self.norm = decoder.norm.weight.to(self.device)
        self.copies: Any = CUDA.Stream() if self.gpu else None
        self.streamed: list[int] = []
        self.memory: dict[int, torch.Tensor] = {}  # of the parts that stay
        self.buffers: list[torch.Tensor] = []
        self.copied: list[Any] = []
        self.used: list[Any] = []

    def set_resident(self, device_bytes: int) -> None:
        """Keeps as many parts on the device as `device_bytes` hold beside two buffers, evenly spread."""
        self.release()
        every = sum(part.size for part in self.parts)
        count = len(self.parts)
        if every > device_bytes:
            count = max(0, (device_bytes - 2 * self.largest) // self.largest)
        count = min(count, len(self.parts))
        kept = {int((index + 0.5) * len(self.parts) / count) for index in range(count)} if count else set()
        self.memory = {index: self.parts[index].host.to(self.device) for index in kept}
        self.streamed = [index for index in range(len(self.parts)) if index not in kept]
        if self.streamed:
            self.buffers = [torch.empty(self.largest, dtype=torch.uint8, device=self.device) for _ in range(2)]
            self.copied = [CUDA.Event() if self.gpu else None for _ in range(2)]
            self.used = [CUDA.Event() if self.gpu else None for _ in range(2)]
            self.turn = 0
            self._copy(self.streamed[0], 0)
            self.next = 1 % len(self.streamed)

    def release(self) -> None:
        """Gives the device's memory back."""
        self.memory, self.buffers = {}, []
        if self.gpu:
            torch.cuda.synchronize()
            torch.cuda.empty_cache()

    def set_batch(self, batch: int) -> None:
        self.decoder.set_batch(batch, self.device)
        for mine, given in zip(self.layers, self.decoder.layers, strict=True):
            mine._buffers = dict(given._buffers)

    def __call__(self, ids: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        x = functional.embedding(ids, self.decoder.table.weight).to(self.device)  # a few rows: looked up on the host
        around = self.decoder.around(ids.shape[1], start.to(self.device), x.dtype)
        for index, layer in enumerate(self.layers):
            with self._weights(index) as weights:
                for name, weight in weights.items():
                    owner, key = name.rsplit(".", 1)
                    layer._modules[owner]._parameters[key] = weight
                x = layer(x, *around)
        y = functional.rms_norm(x[:, -1], self.norm.shape, self.norm, 1e-5)
        logits = []
        for index in range(len(self.layers), len(self.parts)):
            with self._weights(index) as weights:
                logits.append(functional.linear(y, weights["weight"]))
        return torch.cat(logits, dim=-1)

    def _copy(self, index: int, buffer: int) -> None:
        """Begins to copy a part into a buffer, once nothing computes with that any more."""
        part = self.parts[index]
        if not self.gpu:
            self.buffers[buffer][: part.size].copy_(part.host)
            return
        with torch.cuda.stream(self.copies):
            self.copies.wait_event(self.used[buffer])
            self.buffers[buffer][: part.size].copy_(part.host, non_blocking=True)
            self.copied[buffer].record(self.copies)

    def _weights(self, index: int) -> _Borrowed:
        return _Borrowed(self, index)


class _Borrowed:
    """The weights of a part while they are used; the next part is on its way meanwhile."""

    def __init__(self, owner: DoubleBuffer, index: int) -> None:
        self.owner, self.index = owner, index
        self.buffer: int | None = None

    def __enter__(self) -> dict[str, torch.Tensor]:
        owner = self.owner
        part = owner.parts[self.index]
        if self.index in owner.memory:
            return part.views(owner.memory[self.index])
        self.buffer = owner.turn
        owner._copy(owner.streamed[owner.next], 1 - self.buffer)
        owner.next = (owner.next + 1) % len(owner.streamed)
        owner.turn = 1 - self.buffer
        if owner.gpu:
            torch.cuda.current_stream().wait_event(owner.copied[self.buffer])
        return part.views(owner.buffers[self.buffer])

    def __exit__(self, *error: object) -> None:
        if self.buffer is not None and self.owner.gpu:
            self.owner.used[self.buffer].record(torch.cuda.current_stream())
