"""Bare TensorRT-RTX with the plain export, in the device memory that ours took."""

from __future__ import annotations

import mmap
import sys
import time
from pathlib import Path
from typing import Any

import assemble
import model as models
import timing
import torch

CUDA: Any = torch.cuda  # its classes have no types
DTYPES = {"HALF": torch.float16, "INT64": torch.int64, "FLOAT": torch.float32, "INT32": torch.int32}


class Bare:
    """One context of an engine."""

    def __init__(self, trt: Any, engine: Any, kept: dict[str, torch.Tensor]) -> None:
        self.trt, self.engine, self.kept = trt, engine, kept
        self.stream: Any = CUDA.Stream()
        self.context = engine.create_execution_context()
        self.outputs: dict[str, torch.Tensor] = {}

    def __call__(self, ids: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        given = {"ids": ids.cuda(), "start": start.cuda()}
        modes = self.trt.TensorIOMode
        names = [self.engine.get_tensor_name(index) for index in range(self.engine.num_io_tensors)]
        for name in names:
            if self.engine.get_tensor_mode(name) != modes.INPUT:
                continue
            tensor = given.get(name)
            if tensor is None:
                tensor = self.kept[name]
            self.context.set_input_shape(name, tuple(tensor.shape))
            self.context.set_tensor_address(name, tensor.data_ptr())
        logits = None
        for name in names:
            if self.engine.get_tensor_mode(name) == modes.INPUT:
                continue
            into = self.engine.get_aliased_input_tensor(name)
            if into:
                self.context.set_tensor_address(name, self.kept[into].data_ptr())
                continue
            if name not in self.outputs:
                shape = tuple(self.context.get_tensor_shape(name))
                dtype = DTYPES[self.engine.get_tensor_dtype(name).name]
                self.outputs[name] = torch.empty(shape, dtype=dtype, device="cuda")
            logits = self.outputs[name]
            self.context.set_tensor_address(name, logits.data_ptr())
        torch.cuda.current_stream().synchronize()  # the inputs are there
        if not self.context.execute_async_v3(self.stream.cuda_stream):
            raise SystemExit("bare TensorRT does not run it")
        self.stream.synchronize()
        assert logits is not None, "a decoder gives logits"
        return logits


def measure(plan: Path, shape: models.Shape, batch: int, points: list[int], folder: Path) -> list[dict[str, Any]]:
    """The plan at budgets that fill each of `points`, bytes of device memory, and at 100 %."""
    trt = assemble.import_tensorrt()
    torch.zeros(1, device="cuda")
    before, began = timing.used(), time.perf_counter()
    runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
    with open(plan, "rb") as file:
        engine = runtime.deserialize_cuda_engine(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    size = (batch, shape.key_heads, shape.rows, shape.width // shape.heads)
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    caches = [
        name
        for name in names
        if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT and name not in ("ids", "start")
    ]
    kept = {name: torch.zeros(size, dtype=torch.float16, device="cuda") for name in caches}
    streamable = engine.streamable_weights_size
    engine.weight_streaming_budget_v2 = 0
    scratch = engine.weight_streaming_scratch_memory_size
    Bare(trt, engine, kept)
    seconds = time.perf_counter() - began  # with a context, whose kernels are compiled: as ours
    rows = []
    for point in [*sorted(points), None]:
        others = sum(each.nbytes for each in kept.values())
        budget = streamable if point is None else min(streamable, max(0, point - scratch - others))
        if budget < streamable and budget + scratch >= streamable:
            continue  # more memory than all of it on the device, and slower
        if budget == streamable and point is not None:
            continue  # the last row
        engine.weight_streaming_budget_v2 = budget
        run = Bare(trt, engine, kept)
        row: dict[str, Any] = {"asked": point, "budget_bytes": budget, "streamable_bytes": streamable}
        row |= {"scratch_bytes": scratch, "load_seconds": seconds, f"batch_{batch}": timing.steps(run, shape, batch)}
        row["device_bytes"] = timing.used() - before
        if batch == 1:
            for cache in kept.values():
                cache.zero_()
            logits = run(models.prompt(shape), torch.zeros(1, dtype=torch.int64))
            row.update(timing.cosines(logits, folder))
        rows.append({**row, "host_peak_bytes": timing.host_peak()})
        del run
        print(f"bare, batch {batch}: {point} bytes", file=sys.stderr, flush=True)
    return rows
