"""Saving a decoder of gigabytes for TensorRT-RTX: seconds and peak memory by stage.

    python benchmarks/save_decoder.py --layers 4 [--label after] [--folder DIR]

Needs no GPU; some 3.2 times the weights of memory and twice of disk are enough. The shape is a Llama 3 8B's with fewer
layers and a smaller vocabulary (`--vocabulary`): 4 layers and 16384 words have 2.0 GB in float16. A small module is
saved first: imports do not count. Peaks are resident sets over what was resident before the weights were made, as
shares of the weights, which are one of them. With --mapped the weights are a mapping of a checkpoint, as
`torch.load(mmap=True)` gives it: its pages are the file's, and the system takes them back where memory is short. So the
peak of all other memory (RssAnon, looked at 20 times a second) is told as well. Results are kept by label in
benchmarks/results/save-decoder.{json,md}: with PYTHONPATH another checkout's package is measured beside this one's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "save-decoder.json"
STAGES = ("torch.export", "plan the engines", "to ONNX", "parse and build", "delegates and file")


def resident(key: str) -> int:
    with open("/proc/self/status") as file:
        return 1024 * int(next(line for line in file if line.startswith(key)).split()[1])


# Another process: this one's threads may wait for the builder.
WATCH = """
import select, sys
most, ends = 0, False
while not ends:
    ends = bool(select.select([sys.stdin], [], [], 0.05)[0])
    with open(f"/proc/{sys.argv[1]}/status") as file:
        most = max(most, *(int(line.split()[1]) for line in file if line.startswith("RssAnon")))
print(1024 * most)
"""


@contextmanager
def watched() -> Iterator[list[int]]:
    """The peak of this process's memory that is no file's, bytes, is in the list once the block is over."""
    found: list[int] = []
    command = [sys.executable, "-c", WATCH, str(os.getpid())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield found
        finally:
            found.append(int(process.communicate("\n")[0]))


class Stages:
    """Seconds and peaks of functions, by stage. They do not overlap."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self.processor = dict.fromkeys(STAGES, 0.0)
        self.peaks = dict.fromkeys(STAGES, 0)

    def watch(self, stage: str, owner: Any, name: str) -> None:
        """Counts the calls of a function to a stage."""
        setattr(owner, name, self._timed(stage, getattr(owner, name)))

    def _timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **keywords: Any) -> Any:
            Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
            start, processor = time.perf_counter(), time.process_time()
            try:
                return function(*arguments, **keywords)
            finally:
                self.seconds[stage] += time.perf_counter() - start
                self.processor[stage] += time.process_time() - processor
                self.peaks[stage] = max(self.peaks[stage], resident("VmHWM"))

        return run


def mapped(decoder: Any, shape: Any, folder: Path) -> Any:
    """The same with its weights in a file."""
    import model as models
    import torch

    torch.save(decoder.state_dict(), folder / "weights.pt")
    fresh = models.build(shape, filled=False)
    fresh.load_state_dict(torch.load(folder / "weights.pt", mmap=True), assign=True)
    return fresh


def measure(layers: int, vocabulary: int, profiles: int, folder: Path, is_mapped: bool) -> dict[str, Any]:
    """One save, in this process."""
    sys.path.insert(0, str(ROOT / "benchmarks" / "gpu" / "decoder"))
    import model as models
    import torch

    import torchtrt_ws
    from torchtrt_ws.export.sources import rtx_method, tensorrt_rtx

    torchtrt_ws.save(torch.nn.Linear(8, 8), folder / "a.pte", arg_inputs=(torch.ones(2, 8),), engine="tensorrt_rtx")
    before, anonymous_before = resident("VmRSS"), resident("RssAnon")
    shape = replace(models.SHAPES["8b"], layers=layers, vocabulary=vocabulary)
    decoder = models.build(shape)
    if is_mapped:
        decoder = mapped(decoder, shape, folder)
    decoder.set_batch(1)
    weights = sum(each.nbytes for each in decoder.parameters())
    stages = Stages()
    stages.watch("torch.export", torch.export, "export")
    stages.watch("plan the engines", rtx_method, "plan_method")
    stages.watch("to ONNX", tensorrt_rtx, "write_onnx")
    stages.watch("parse and build", tensorrt_rtx, "build_plan")
    stages.watch("delegates and file", sys.modules["torchtrt_ws.export.save"], "write_program")
    start, processor = time.perf_counter(), time.process_time()
    path = folder / "decoder.pte"
    count = torch.export.Dim("count", min=1, max=shape.prompt)
    with watched() as anonymous:
        torchtrt_ws.save(
            decoder,
            path,
            arg_inputs=(models.prompt(shape, 1, 8), torch.zeros(1, dtype=torch.int64)),
            dynamic_shapes=[{"ids": {1: count}, "start": None}, {"ids": {1: 1}, "start": None}][:profiles],
            engine="tensorrt_rtx",
        )
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    return {
        "layers": layers,
        "vocabulary": vocabulary,
        "profiles": profiles,
        "weight_bytes": weights,
        "file_bytes": path.stat().st_size,
        "seconds": seconds,
        "processor_seconds": processor,
        "peak_bytes": max(stages.peaks.values()) - before,
        "mapped": is_mapped,
        "anonymous_peak_bytes": anonymous[0] - anonymous_before,
        "stages": {
            stage: {
                "seconds": stages.seconds[stage],
                "processor_seconds": stages.processor[stage],
                "peak_bytes": stages.peaks[stage] - before,
            }
            for stage in STAGES
        },
        "load": os.getloadavg()[0],
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "versions": {name: version(name) for name in ("torch", "onnxscript", "tensorrt-rtx", "executorch")},
    }


def markdown(results: dict[str, Any]) -> str:
    lines = ["# Saving a decoder of gigabytes", ""]
    lines += ["`python benchmarks/save_decoder.py`: seconds (of which processor), and the peak of resident memory as a"]
    lines += ["share of the weights, which are one of it."]
    for label, found in results.items():
        weights = found["weight_bytes"]
        profiles = f"{found.get('profiles', 2)} profiles" if found.get("profiles", 2) > 1 else "one profile"
        versions = ", ".join(f"{name} {each}" for name, each in found["versions"].items())
        lines += ["", f"## {label}: {found['layers']} layers, {weights / 1e9:.2f} GB, {profiles}", ""]
        lines += [f"{found['machine']}, {versions}. Load of the machine: {found['load']:.1f}.", ""]
        lines += ["| stage | s | processor s | peak |", "|---|---|---|---|"]
        for stage, each in found["stages"].items():
            share = f"{each['peak_bytes'] / weights:.2f}x"
            lines += [f"| {stage} | {each['seconds']:.1f} | {each['processor_seconds']:.1f} | {share} |"]
        share = f"{found['peak_bytes'] / weights:.2f}x"
        lines += [f"| all | {found['seconds']:.1f} | {found['processor_seconds']:.1f} | {share} |"]
        if "anonymous_peak_bytes" in found:
            where = "which lie in a file" if found["mapped"] else "which lie in memory"
            share = f"{found['anonymous_peak_bytes'] / weights:.2f}x the weights, {where}"
            lines += ["", f"Peak of memory that is no file's: {share}."]
        lines += ["", f"{1e9 * found['processor_seconds'] / weights:.1f} s of a processor for each GB."]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--vocabulary", type=int, default=16384)
    parser.add_argument(
        "--profiles", type=int, choices=(1, 2), default=2, help="TensorRT-RTX keeps most weights once for each"
    )
    parser.add_argument(
        "--mapped", action="store_true", help="the weights in a file, as torch.load(mmap=True) has them"
    )
    parser.add_argument("--label", default="now")
    parser.add_argument("--folder", type=Path, help="with room for twice the weights")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        found = measure(given.layers, given.vocabulary, given.profiles, Path(folder), given.mapped)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[given.label] = found
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    RESULTS.with_suffix(".md").write_text(markdown(results))
    print(RESULTS.with_suffix(".md").read_text())


if __name__ == "__main__":
    main()
