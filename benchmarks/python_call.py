"""What a call from Python costs, beside the C++ call below it and ExecuTorch's own Python runtime.

    python benchmarks/python_call.py [--out benchmarks/results/python_call.json] [--calls 5000] [--device cuda:0]

On a small host program (x + x, float32[1, 16]), where nothing else takes time. Rows are calls of one program, in turns
in one process; the number is the median in microseconds over the calls of the fastest of several rounds, because
another process on the machine makes them slower, never faster. "C++" is the compiled module's `execute` with arguments
that are ready: what `program(x)` adds to it is the overhead.

With --device instead a TensorRT program of that device (--program, saved with device_io=True) with torch's tensors
there; nothing is exported then.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROUNDS = 7


def microseconds(call: Callable[[], object], calls: int) -> float:
    """The median of one round."""
    clock = time.perf_counter_ns
    times = []
    for _ in range(calls):
        start = clock()
        call()
        times.append(clock() - start)
    return statistics.median(times) / 1e3


def measured(rows: dict[str, Callable[[], object]], calls: int) -> dict[str, float]:
    """The best round of each, all in turns."""
    best = dict.fromkeys(rows, float("inf"))
    gc.collect()
    gc.disable()
    for _ in range(ROUNDS):
        for name, call in rows.items():
            best[name] = min(best[name], microseconds(call, calls))
    gc.enable()
    return best


def save(path: Path) -> None:
    import torch

    import torchtrt_ws

    class Doubled(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + x

    torchtrt_ws.save(Doubled(), path, arg_inputs=(torch.zeros(1, 16),))


def host_rows(path: Path) -> dict[str, Callable[[], object]]:
    import torch
    from executorch.runtime import Runtime

    import torchtrt_ws

    x = np.ones((1, 16), np.float32)
    tensor, out = torch.from_numpy(x), np.empty((1, 16), np.float32)
    program = torchtrt_ws.load(path)
    native: Any = program._contexts.take()
    given, made = [x], [np.empty((1, 16), np.float32)]
    theirs = Runtime.get().load_program(path).load_method("forward")
    assert theirs is not None
    return {
        "C++: execute()": lambda: native.execute("forward", given, made, None, False),
        "program(x), numpy": lambda: program(x),
        "program(x=x), numpy": lambda: program(x=x),
        "program(x, out=[y]), numpy": lambda: program(x, out=[out]),
        "program(x), torch": lambda: program(tensor),
        "executorch.runtime, torch": lambda: theirs.execute([tensor]),
        "executorch.runtime, numpy in and out": lambda: theirs.execute([torch.from_numpy(x)])[0].numpy(),
    }


def device_rows(path: Path, device: str) -> dict[str, Callable[[], object]]:
    import torch

    import torchtrt_ws

    index = int(device.partition(":")[2] or 0)
    program = torchtrt_ws.load(path, device_id=index)
    native: Any = program._contexts.take()
    inputs = [torch.zeros(spec.shape or (), dtype=getattr(torch, spec.dtype), device=device) for spec in program.inputs]
    outputs = [
        torch.empty(spec.shape or (), dtype=getattr(torch, spec.dtype), device=device) for spec in program.outputs
    ]
    stream = torch.cuda.current_stream(index).cuda_stream
    given = [(each.data_ptr(), tuple(each.shape)) for each in inputs]
    made = [(each.data_ptr(), each.nbytes) for each in outputs]

    def waited(call: Callable[[], object]) -> Callable[[], object]:
        def both() -> None:
            call()
            torch.cuda.synchronize(index)

        return both

    return {
        f"C++: execute(), {device}": waited(lambda: native.execute("forward", given, made, stream, False)),
        f"program(x), torch on {device}": waited(lambda: program(*inputs)),
        f"program(x, out=[y]), torch on {device}": waited(lambda: program(*inputs, out=outputs)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--calls", type=int, default=5000, help=f"of each row, in each of {ROUNDS} rounds")
    parser.add_argument("--device", help="cuda:N")
    parser.add_argument("--program", type=Path, help="for --device")
    arguments = parser.parse_args()
    if (arguments.device is None) != (arguments.program is None):
        parser.error("--device and --program go together")
    if arguments.device:
        found = measured(device_rows(arguments.program, arguments.device), arguments.calls)
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "doubled.pte"
            save(path)
            found = measured(host_rows(path), arguments.calls)
    report = {"machine": f"{platform.processor() or platform.machine()}, Python {platform.python_version()}"}
    print("| call | us | over the C++ call |\n|---|---|---|")
    floor = 0.0
    for name, value in found.items():
        floor = value if name.startswith("C++") else floor
        print(f"| {name} | {value:.2f} | {'' if name.startswith('C++') else f'{value - floor:+.2f}'} |")
    if arguments.out:
        arguments.out.write_text(json.dumps({**report, "microseconds": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
