"""How all rivals are timed, and what memory they take: one way for all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import model as models
import torch

SECONDS = 2.0  # that one measurement may take, beside its first call
MOST, FEWEST = 30, 2  # calls in it


def on_gpu() -> bool:
    return torch.cuda.is_available()


def wait() -> None:
    if on_gpu():
        torch.cuda.synchronize()


def used() -> int:
    """Bytes of device memory in use, by anyone."""
    if not on_gpu():
        return 0
    free, total = torch.cuda.mem_get_info()
    return total - free


def host_peak() -> int:
    """The largest resident set of this process so far, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return 1024 * int(line.split()[1])
    return 0


def milliseconds(call: Callable[[], Any]) -> dict[str, float]:
    """The median of some calls, after one that does not count; each waits for the device."""
    call()
    wait()
    samples: list[float] = []
    began = time.perf_counter()
    while len(samples) < FEWEST or (len(samples) < MOST and time.perf_counter() - began < SECONDS):
        start = time.perf_counter()
        call()
        wait()
        samples.append(1e3 * (time.perf_counter() - start))
    return {"ms": statistics.median(samples), "least_ms": min(samples), "calls": len(samples)}


def steps(run: models.Step, shape: models.Shape, batch: int) -> dict[str, Any]:
    """One batch: a prefill (batch 1 alone), and the decoding of tokens behind it, each at a place of its own."""
    found: dict[str, Any] = {}
    if batch == 1:
        ids, start = models.prompt(shape), torch.zeros(1, dtype=torch.int64)
        found["prefill"] = milliseconds(lambda: run(ids, start))
        found["prefill"]["tokens_per_second"] = 1e3 * shape.prompt / found["prefill"]["ms"]
    token = models.prompt(shape, batch, 1)
    place = [shape.prompt]

    def one() -> None:
        run(token, torch.tensor([place[0]]))
        place[0] = place[0] + 1 if place[0] + 1 < shape.rows else shape.prompt

    found["decode"] = milliseconds(one)
    found["decode"]["tokens_per_second"] = 1e3 * batch / found["decode"]["ms"]
    return found


REFERENCES = {"cosine": "expected.pt", "cosine_float32": "expected32.pt"}
"""Files with the prompt's logits of eager PyTorch, as the weights are and with all of it in float32."""


def cosines(found: Any, folder: Path) -> dict[str, float]:
    """Of the prompt's logits with eager PyTorch's, by REFERENCES; those that are not in `folder` are left out."""
    given = torch.as_tensor(found).double().flatten().cpu()
    references = {key: folder / name for key, name in REFERENCES.items() if (folder / name).exists()}
    return {
        key: float(torch.nn.functional.cosine_similarity(given, torch.load(file).double().flatten(), dim=0))
        for key, file in references.items()
    }


def link() -> dict[str, float]:
    """Bytes a second of copies from pinned memory to the device."""
    if not on_gpu():
        return {"bytes_per_second": float("nan")}
    size = 1 << 30
    host = torch.empty(size, dtype=torch.uint8, pin_memory=True)
    device = torch.empty(size, dtype=torch.uint8, device="cuda")
    found = milliseconds(lambda: device.copy_(host, non_blocking=True))
    return {"bytes_per_second": size / (1e-3 * found["ms"])}
