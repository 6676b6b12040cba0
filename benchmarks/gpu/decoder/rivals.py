"""What people use today for weights that do not fit, on the same module."""

from __future__ import annotations

import gc
import importlib.util
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import model as models
import timing
import torch
from double_buffer import DoubleBuffer

BATCHES = (1, 8)


def device() -> str:
    return "cuda" if timing.on_gpu() else "cpu"


def runner(module: Any) -> models.Step:
    """The module as all rivals are called: with inputs on the host."""

    def run(ids: torch.Tensor, start: torch.Tensor) -> Any:
        return module(ids.to(device()), start.to(device()))

    return run


def measured(run: models.Step, decoder: models.Decoder, set_batch: Callable[[int], None], folder: Path) -> Any:
    row: dict[str, Any] = {}
    for batch in BATCHES:
        set_batch(batch)
        row[f"batch_{batch}"] = timing.steps(run, decoder.shape, batch)
    set_batch(1)
    ids, start = models.prompt(decoder.shape), torch.zeros(1, dtype=torch.int64)
    return {**row, **timing.cosines(run(ids, start), folder)}


def eager(decoder: models.Decoder, folder: Path, points: list[int]) -> Iterator[dict[str, Any]]:
    """Everything on the device. Its logits are what the others' are compared with, and those of it in float32."""
    before = timing.used()
    decoder.to(device())
    decoder.set_batch(1, device())
    run = runner(decoder)
    ids, start = models.prompt(decoder.shape), torch.zeros(1, dtype=torch.int64)
    torch.save(run(ids, start).cpu(), folder / timing.REFERENCES["cosine"])
    row = measured(run, decoder, lambda batch: decoder.set_batch(batch, device()), folder)
    row["device_bytes"] = timing.used() - before
    logits = run(ids, start).cpu()
    decoder.float()
    decoder.set_batch(1, device())
    torch.save(run(ids, start).cpu(), folder / timing.REFERENCES["cosine_float32"])
    yield {**row, **timing.cosines(logits, folder)}


def accelerate(decoder: models.Decoder, folder: Path, points: list[int]) -> Iterator[dict[str, Any]]:
    """`dispatch_model` with as many layers on the device as fit; the rest is copied for each use, from the CPU."""
    if importlib.util.find_spec("accelerate") is None:
        return
    from accelerate import dispatch_model
    from accelerate.hooks import remove_hook_from_submodules

    layer = sum(each.nbytes for each in decoder.layers[0].parameters())
    head = decoder.head.weight.nbytes
    target: Any = 0 if timing.on_gpu() else "cpu"
    for point in points:
        before = timing.used()
        count = max(0, min(len(decoder.layers), (point - head - layer) // layer))
        places: dict[str, Any] = {"table": "cpu", "norm": target, "head": "cpu"}
        places |= {f"layers.{index}": target if index < count else "cpu" for index in range(len(decoder.layers))}
        decoder.set_batch(1)
        model = dispatch_model(decoder, device_map=places, main_device=target, force_hooks=True)
        row = measured(runner(model), decoder, lambda batch: decoder.set_batch(batch, device()), folder)
        yield {"device_bytes": timing.used() - before, "asked": point, "resident_layers": count, **row}
        remove_hook_from_submodules(decoder)
        decoder.to("cpu")
        cleared()


def diffusers(decoder: models.Decoder, folder: Path, points: list[int]) -> Iterator[dict[str, Any]]:
    """Group offloading with a stream: nothing stays on the device."""
    if importlib.util.find_spec("diffusers") is None or not timing.on_gpu():
        return
    from diffusers.hooks import apply_group_offloading

    before = timing.used()
    caches_beside(decoder, 1)
    apply_group_offloading(
        decoder,
        onload_device=torch.device("cuda"),
        offload_device=torch.device("cpu"),
        offload_type="block_level",
        num_blocks_per_group=1,
        use_stream=True,
    )
    row = measured(runner(decoder), decoder, lambda batch: caches_beside(decoder, batch), folder)
    yield {"device_bytes": timing.used() - before, **row}


def caches_beside(decoder: models.Decoder, batch: int) -> None:
    """New caches on the device that are no buffers: group offloading moves buffers, and knows only those it saw."""
    names = ("keys", "values")
    for layer in decoder.layers:
        for name in names:
            vars(layer).pop(name, None)
    decoder.set_batch(batch, device())
    for layer in decoder.layers:
        for name in names:
            vars(layer)[name] = layer._buffers.pop(name)


def double_buffer(decoder: models.Decoder, folder: Path, points: list[int]) -> Iterator[dict[str, Any]]:
    """double_buffer.py."""
    before = timing.used()
    began = time.perf_counter()
    model = DoubleBuffer(decoder, device())
    seconds = time.perf_counter() - began
    for point in points:
        model.set_resident(point)
        row = measured(model, decoder, model.set_batch, folder)
        yield {
            "device_bytes": timing.used() - before,
            "asked": point,
            "resident_parts": len(model.memory),
            "pinning_seconds": seconds,
            **row,
        }
    model.release()


RIVALS: dict[str, Callable[[models.Decoder, Path, list[int]], Iterator[dict[str, Any]]]] = {
    "eager": eager,
    "accelerate": accelerate,
    "diffusers": diffusers,
    "double_buffer": double_buffer,
}


def cleared() -> None:
    gc.collect()
    if timing.on_gpu():
        torch.cuda.empty_cache()


def measure(name: str, shape: models.Shape, folder: Path, points: list[int]) -> list[dict[str, Any]]:
    """One rival at some sizes of device memory.

    Args:
        name: One of RIVALS.
        shape: The decoder's.
        folder: Where expected.pt is, or goes.
        points: Bytes of device memory.

    Returns:
        A row for each point; none where a package is missing.
    """
    decoder = models.build(shape)
    rows = []
    with torch.inference_mode():
        for row in RIVALS[name](decoder, folder, points):
            rows.append({**row, "host_peak_bytes": timing.host_peak()})
    return rows
