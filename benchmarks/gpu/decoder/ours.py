"""The program as a user loads it: `torchtrt_ws.load`, then other budgets while it lives."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import model as models
import timing
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent.parent))

PERCENTS = (0, 25, 50, 75, 100)
FREE = (6_000_000_000, 10_000_000_000)  # bytes of the device that others leave


def measure(program: Path, shape: models.Shape, batch: int, digested: bool, folder: Path) -> list[dict[str, Any]]:
    """One program at each budget, from the least: down from 100 % weights would move for many seconds.

    Args:
        program: The .pte.
        shape: The decoder's.
        batch: Of the program.
        digested: Whether its engines have their digests.
        folder: Where eager's logits are.

    Returns:
        A row for each budget.
    """
    import torchtrt_ws

    options: dict[str, Any] = {"cuda_graph": "auto", **({} if digested else {"verify": "off"})}
    torch.zeros(1, device="cuda" if timing.on_gpu() else "cpu")  # what CUDA itself takes does not count
    before, began = timing.used(), time.perf_counter()
    loaded = torchtrt_ws.load(program, weight_streaming_budget="0%", **options)
    seconds = time.perf_counter() - began
    rows = []
    for percent in PERCENTS:
        began = time.perf_counter()
        loaded.set_weight_streaming_budget(f"{percent}%")
        change = time.perf_counter() - began
        rows.append(
            {
                "percent": percent,
                "load_seconds": seconds,
                "change_seconds": change,
                **_row(loaded, shape, batch, folder),
            }
        )
        rows[-1]["device_bytes"] = timing.used() - before
        print(f"ours, batch {batch}: {percent} %", file=sys.stderr, flush=True)
    streamable = sum(each.streamable_bytes for each in loaded.engines)
    loaded.close()
    began = time.perf_counter()
    loaded = torchtrt_ws.load(program, weight_streaming_budget="0%", **options)
    again = time.perf_counter() - began  # its kernels are in TensorRT-RTX's runtime cache now
    rows = [{**row, "load_again_seconds": again} for row in rows]
    loaded.close()
    del loaded
    for free in FREE if timing.on_gpu() else ():
        if free > streamable:
            continue  # all of it fits
        filler = torch.empty(torch.cuda.mem_get_info()[0] - free, dtype=torch.uint8, device="cuda")
        before, began = timing.used(), time.perf_counter()
        with torchtrt_ws.load(program, **options) as loaded:
            row = {"free": free, "load_seconds": time.perf_counter() - began, **_row(loaded, shape, batch, folder)}
            rows.append({**row, "device_bytes": timing.used() - before})
        del filler, loaded
        torch.cuda.empty_cache()
        print(f"ours, batch {batch}: {free} bytes free", file=sys.stderr, flush=True)
    return rows


def _row(loaded: Any, shape: models.Shape, batch: int, folder: Path) -> dict[str, Any]:
    def run(ids: torch.Tensor, start: torch.Tensor) -> Any:
        return loaded(ids, start)[0]

    row: dict[str, Any] = {f"batch_{batch}": timing.steps(run, shape, batch)}
    row["engines"] = {
        each.name: {
            "budget_bytes": each.budget_bytes,
            "streamable_bytes": each.streamable_bytes,
            "scratch_bytes": each.scratch_bytes,
            "device_bytes": each.device_bytes,
        }
        for each in loaded.engines
    }
    if batch == 1:
        loaded.reset_state()
        logits = torch.from_dlpack(run(models.prompt(shape), torch.zeros(1, dtype=torch.int64)))
        row.update(timing.cosines(logits, folder))
    row["host_peak_bytes"] = timing.host_peak()
    return row
