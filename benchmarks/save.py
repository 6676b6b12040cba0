"""Saving one engine: seconds and peak memory, beside `cp` and Torch-TensorRT; MiniLM to TensorRT-RTX by stage.

    python benchmarks/save.py [--folder DIR] [--repeat 3]

Needs no GPU. Each measurement has a process of its own, which first saves a small engine: imports do not count.
Memory is the peak of the resident set during the save, over what was resident before it (and over the engine, where
that is in memory). `cp + sync` is the floor: ours syncs the file and hashes the engine, `cp` alone does neither. The
process that saves a plan file copies it with `cp` and `sync` right before: their ratio, in turns, is what machines with
other work can tell. The 4 GiB plan is a sparse file; the others are full.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MIB, GIB = 1 << 20, 1 << 30
SMALL = 64 << 10
FULL = (256 * MIB, 512 * MIB, GIB)
SPARSE = (4 * GIB,)
TENSOR = "x:float32:8x64", "y:float32:8x64"


def write_plan(path: Path, size: int, sparse: bool) -> None:
    """A file that begins like a plan of TensorRT-RTX 1.6.1, and has bytes that differ, or a hole, behind that."""
    with open(path, "wb") as file:
        file.write(struct.pack("<4s12xQ4B", b"vtrt", size, 1, 6, 1, 120))
        piece = os.urandom(MIB)
        while not sparse and file.tell() + MIB <= size:
            file.write(piece)
        file.truncate(size)
        file.flush()
        os.fsync(file.fileno())


def resident(key: str) -> int:
    with open("/proc/self/status") as file:
        return 1024 * int(next(line for line in file if line.startswith(key)).split()[1])


@contextlib.contextmanager
def measured(result: dict[str, Any]) -> Iterator[None]:
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before, start = resident("VmRSS"), time.perf_counter()
    yield
    result["seconds"] = time.perf_counter() - start
    result["peak_bytes"] = resident("VmHWM") - before


def engine_program(plan: Path) -> Any:
    """A program of Torch-TensorRT with the engine in a tensor."""
    import numpy as np
    import torch
    from torch_tensorrt.dynamo.runtime._TorchTensorRTModule import TorchTensorRTModule

    sides = [{"shape_exprs": [8, 64], "dtype": torch.float32, "name": name} for name in "xy"]
    symbols = {"inout_symexprs": {"inputs": sides[:1], "outputs": sides[1:]}}
    metadata = TorchTensorRTModule.encode_metadata(None, symbols)

    class Module(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("engine", torch.from_numpy(np.fromfile(plan, dtype=np.uint8)))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            record = (
                "10",
                "engine",
                "0%9%0%0%",
                self.engine,
                "x",
                "y",
                "0",
                metadata,
                "linux_x86_64",
                "0",
                "0",
                "0",
                "",
            )
            return torch.ops.tensorrt.no_op_placeholder_for_execute_engine.default([x], *record)[0]

    return torch.export.export(Module(), (torch.ones(8, 64),), strict=False)


def import_torch_tensorrt() -> Any:
    """Torch-TensorRT asks for two things that need a GPU when it is imported."""
    import torch

    if not torch.cuda.is_available():
        torch.cuda.get_device_capability = lambda *_: (9, 0)
        torch.cuda.current_device = lambda: 0
    import torch_tensorrt
    import torch_tensorrt.dynamo.runtime.meta_ops.register_meta_ops

    return torch_tensorrt


def worker(case: str, plan: Path, small: Path, out: Path) -> dict[str, Any]:
    """One measurement, in this process."""
    import torchtrt_ws

    result: dict[str, Any] = {}
    if case == "file":
        torchtrt_ws.save_plan(small, out, inputs=TENSOR[0], outputs=TENSOR[1])
        out.unlink()
        result["cp_sync_seconds"] = copy(plan, out, 1)["cp_sync_seconds"]
        with measured(result):
            torchtrt_ws.save_plan(plan, out, inputs=TENSOR[0], outputs=TENSOR[1], weight_streaming_budget=GIB)
        return result
    torch_tensorrt = import_torch_tensorrt()

    def save(program: Any) -> None:
        if case == "tensor":
            torchtrt_ws.save(program, out, weight_streaming_budget_per_engine=GIB)
            return
        torch_tensorrt.save(
            program, str(out), output_format="executorch", retrace=False, weight_streaming_budget_per_engine=GIB
        )

    save(engine_program(small))
    program = engine_program(plan)
    with measured(result):
        save(program)
    return result


def run(case: str, plan: Path, small: Path, out: Path, repeat: int) -> dict[str, Any] | None:
    """The median of some processes; None where the case cannot run."""
    samples = []
    for _ in range(repeat):
        command = [sys.executable, __file__, "--worker", case, plan, small, out]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode != 0:
            print(f"{case}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            return None
        samples.append(json.loads(done.stdout.splitlines()[-1]))
        out.unlink()
    if "cp_sync_seconds" in samples[0]:
        for sample in samples:
            sample["ratio"] = sample["seconds"] / sample["cp_sync_seconds"]
    return {key: statistics.median(sample[key] for sample in samples) for key in samples[0]} | {"samples": samples}


def copy(plan: Path, out: Path, repeat: int) -> dict[str, float]:
    """`cp`, and what `sync` takes after it."""
    samples = []
    for _ in range(repeat):
        start = time.perf_counter()
        subprocess.run(["cp", plan, out], check=True)
        copied = time.perf_counter()
        subprocess.run(["sync", out], check=True)
        samples.append((copied - start, time.perf_counter() - start))
        out.unlink()
        subprocess.run(["sync"], check=True)  # a file system may discard what is removed when it next commits
    return {
        "cp_seconds": statistics.median(each[0] for each in samples),
        "cp_sync_seconds": statistics.median(each[1] for each in samples),
    }


def one_engine(folder: Path, repeat: int) -> list[dict[str, Any]]:
    small, plan, out = folder / "small.plan", folder / "a.plan", folder / "a.pte"
    write_plan(small, SMALL, sparse=False)
    rows = []
    for size in (*FULL, *SPARSE):
        write_plan(plan, size, sparse=size in SPARSE)
        row: dict[str, Any] = {"bytes": size, "sparse": size in SPARSE, **copy(plan, out, repeat)}
        row["file"] = run("file", plan, small, out, repeat)
        if size not in SPARSE:  # in memory, a sparse file is not sparse
            row["tensor"] = run("tensor", plan, small, out, repeat)
            row["torch_tensorrt"] = run("torch_tensorrt", plan, small, out, 1)
        rows.append(row)
        print(json.dumps(row), file=sys.stderr)
    return rows


def alternate(folder: Path, repeat: int) -> None:
    """Prints a plan file of 1 GiB by itself: `cp` and `sync`, then a save, in turns."""
    small, plan, out = folder / "small.plan", folder / "a.plan", folder / "a.pte"
    write_plan(small, SMALL, sparse=False)
    write_plan(plan, GIB, sparse=False)
    found = run("file", plan, small, out, repeat)
    assert found is not None, "saved"
    print("| cp + sync s | plan file s | ratio |\n|---|---|---|")
    for each in (*found["samples"], found):
        print(f"| {each['cp_sync_seconds']:.2f} | {each['seconds']:.2f} | {each['ratio']:.2f}x |")


def minilm_stages(folder: Path) -> dict[str, float]:
    """Seconds of one save from torch to a TensorRT-RTX .pte, by stage."""
    sys.path.insert(0, str(ROOT / "examples"))
    import minilm
    import torch

    import torchtrt_ws
    from torchtrt_ws.export import save
    from torchtrt_ws.export.file.write_program import write_program
    from torchtrt_ws.export.sources import tensorrt_rtx

    seconds: dict[str, float] = {}

    def timed(stage: str, function: Any) -> Any:
        def run(*arguments: Any, **keywords: Any) -> Any:
            start = time.perf_counter()
            result = function(*arguments, **keywords)
            seconds[stage] = time.perf_counter() - start
            return result

        return run

    model, inputs = minilm.build(), minilm.tokenize()
    small = torch.nn.Linear(8, 8)
    torchtrt_ws.save(small, folder / "small.pte", arg_inputs=(torch.ones(2, 8),), engine="tensorrt_rtx")  # imports
    tensorrt_rtx.write_onnx = timed("to ONNX", tensorrt_rtx.write_onnx)
    tensorrt_rtx.build_plan = timed("parse and build", tensorrt_rtx.build_plan)
    sys.modules["torchtrt_ws.export.save"].write_program = timed("delegate and file", write_program)  # type: ignore[attr-defined]
    start = time.perf_counter()
    save(
        model,
        folder / "minilm.pte",
        arg_inputs=inputs,
        dynamic_shapes=minilm.dynamic_shapes(),
        engine="tensorrt_rtx",
    )
    total = time.perf_counter() - start
    return {"torch.export, and the rest": total - sum(seconds.values()), **seconds, "all": total}


def machine() -> dict[str, Any]:
    def installed(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "none"

    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.machine())
    packages = ("executorch", "torch", "torch-tensorrt-rtx", "tensorrt-rtx")
    return {"cpu": cpu, "cores": os.cpu_count(), **{name: installed(name) for name in packages}}


def markdown(results: dict[str, Any]) -> str:
    about = results["machine"]
    lines = [
        "# Saving\n",
        f"`{results['command']}`, {about['cores']} cores of {about['cpu']}, executorch {about['executorch']}, "
        f"torch-tensorrt-rtx {about['torch-tensorrt-rtx']}, tensorrt-rtx {about['tensorrt-rtx']}. Medians of "
        f"{results['repeat']} processes (Torch-TensorRT: one).\n",
        "One engine: seconds, and peak memory over what was resident before as a share of the engine. The ratio is "
        "that of a plan file's save to `cp` and `sync` of it in the same process, one after the other.\n",
        "| engine MiB | cp s | cp + sync s | plan file s | to cp + sync | memory | tensor s | memory "
        "| Torch-TensorRT s | memory |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in results["one_engine"]:
        cells = [f"{row['bytes'] // MIB}{' (sparse)' if row['sparse'] else ''}"]
        cells += [f"{row[key]:.2f}" for key in ("cp_seconds", "cp_sync_seconds")]
        for case in ("file", "tensor", "torch_tensorrt"):
            found = row.get(case)
            cells += [f"{found['seconds']:.2f}" if found else "-"]
            if case == "file":
                cells += [f"{found['ratio']:.2f}x" if found and not row["sparse"] else "-"]
            cells += [f"{found['peak_bytes'] / row['bytes']:.3f}x" if found else "-"]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["\nThe tensor's own bytes are resident before, and do not count.", "\nMiniLM to a TensorRT-RTX .pte:\n"]
    lines += ["| stage | s |", "|---|---|"]
    lines += [f"| {stage} | {seconds:.2f} |" for stage, seconds in results["minilm"].items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "save.json")
    parser.add_argument("--folder", type=Path, help="where the files are written; a temporary folder by default")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--alternate", action="store_true", help="only a plan file of 1 GiB, beside cp and sync")
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        case, *paths = arguments.worker
        print(json.dumps(worker(case, *map(Path, paths))))
        return
    with tempfile.TemporaryDirectory(prefix="torchtrt-ws-bench-", dir=arguments.folder) as temporary:
        if arguments.alternate:
            alternate(Path(temporary), arguments.repeat)
            return
        results = {
            "command": "python benchmarks/save.py",
            "machine": machine(),
            "repeat": arguments.repeat,
            "one_engine": one_engine(Path(temporary), arguments.repeat),
            "minilm": minilm_stages(Path(temporary)),
        }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(results, indent=1) + "\n")
    table = markdown(results)
    arguments.out.with_suffix(".md").write_text(table)
    print(table)


if __name__ == "__main__":
    main()
