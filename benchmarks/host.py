"""The host engine measured: memory and latency by budget, and what the delegate itself costs.

    python benchmarks/host.py [--out benchmarks/results/host.json] [--only loading]

Five tables. The first: MiniLM at 100, 50 and 0 %, each in a process of its own. The second: one call through the
delegate against the same nested program run bare by the stock ExecuTorch runtime, calls interleaved in one process, so
that the difference is the delegate. The third: what loading 512 MiB of weights at a budget of 0 leaves in memory. The
fourth: start-up. The fifth: looking into a file of 10 GB. Times are medians.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples"))

BUDGETS = ("100%", "50%", "0%")
CALLS = 200

WORKER = """
import json, sys, time
import torchtrt_ws

path, budget, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
start = time.perf_counter()
program = torchtrt_ws.load(path, weight_streaming_budget=budget)
load = time.perf_counter() - start
tensors = program.zeros()
tensors[1] += 1
seconds = []
for _ in range(calls):
    start = time.perf_counter()
    program(*tensors)
    seconds.append(time.perf_counter() - start)
seconds.sort()
with open("/proc/self/status") as status:
    rss = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))
print(json.dumps({**program.engines[0].as_dict(), "load_seconds": load, "p50": seconds[calls // 2],
                  "p90": seconds[calls * 9 // 10], "process_rss_bytes": rss}))
"""

LAYERS, FEATURES = 8, 4096  # of the model that is loaded: 512 MiB of float32

LOADER = """
import json, sys, time
import torchtrt_ws

def memory():
    with open("/proc/self/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    return {"rss_bytes": int(lines["VmRSS"].split()[0]) * 1024, "peak_bytes": int(lines["VmHWM"].split()[0]) * 1024}

start = time.perf_counter()
program = torchtrt_ws.load(sys.argv[1], weight_streaming_budget=0)
loaded = {"load_seconds": time.perf_counter() - start, **memory()}
program(*program.zeros())
print(json.dumps({**program.engines[0].as_dict(), **loaded, "rss_after_run_bytes": memory()["rss_bytes"]}))
"""


def by_budget(path: Path) -> list[dict[str, Any]]:
    """MiniLM (2 x 32 tokens) at each budget."""
    rows = []
    for budget in BUDGETS:
        command = [sys.executable, "-c", WORKER, str(path), budget, str(CALLS)]
        subprocess.run(command, check=True, capture_output=True)  # warm: the packed file and the page cache
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows.append({"asked": budget, **json.loads(done.stdout)})
    return rows


def delegate_cost(path: Path, folder: Path, name: str) -> dict[str, Any]:
    """One call through the delegate against the nested program run bare, both by the stock runtime."""
    import torch
    from executorch.runtime import Runtime

    import torchtrt_ws.runtime  # registers the backend
    from torchtrt_ws import pte

    assert torchtrt_ws.runtime
    (engine,) = pte.read(path).engines
    nested = folder / f"nested-{path.name}"
    data = path.read_bytes()
    nested.write_bytes(data[engine.engine_offset : engine.engine_offset + engine.engine_bytes])
    runtime = Runtime.get()
    methods = {"delegate": runtime.load_program(path), "bare": runtime.load_program(nested)}
    loaded = {key: value.load_method("forward") for key, value in methods.items()}
    # These stand for real inputs: zeros of the declared dtype and largest shape.
    inputs = [
        torch.zeros(value.shape or (), dtype=getattr(torch, str(value.dtype)))
        for value in pte.read(path).methods[0].inputs
    ]
    seconds: dict[str, list[float]] = {"delegate": [], "bare": []}
    for _ in range(CALLS):
        for key, method in loaded.items():
            start = time.perf_counter()
            method.execute(inputs)
            seconds[key].append(time.perf_counter() - start)
    medians = {key: statistics.median(values) for key, values in seconds.items()}
    difference = statistics.median(a - b for a, b in zip(seconds["delegate"], seconds["bare"], strict=True))
    return {"model": name, **medians, "difference": difference, "ratio": medians["delegate"] / medians["bare"]}


def loading(folder: Path) -> list[dict[str, Any]]:
    """A load that packs the weights, and one that finds them packed; each in a process of its own."""
    import torch

    import torchtrt_ws

    path = folder / "large.pte"
    model = torch.nn.Sequential(*(torch.nn.Linear(FEATURES, FEATURES) for _ in range(LAYERS)))
    torchtrt_ws.save(model, path, arg_inputs=(torch.zeros(1, FEATURES),))
    rows = []
    for cache in ("cold", "warm"):
        command = [sys.executable, "-c", LOADER, str(path)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows.append({"cache": cache, **json.loads(done.stdout)})
    return rows


def start_up() -> dict[str, float]:
    """Seconds until `import torchtrt_ws` and `torchtrt-ws --help` are done, beside an interpreter that does nothing."""
    commands = {
        "python": ["-c", "pass"],
        "import torchtrt_ws": ["-c", "import torchtrt_ws"],
        "torchtrt-ws --help": ["-m", "torchtrt_ws", "--help"],
        "torchtrt-ws inspect --help": ["-m", "torchtrt_ws", "inspect", "--help"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(11):
        for name, arguments in commands.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def inspecting(folder: Path) -> dict[str, Any]:
    """`pte.read` of a program with one engine of 10 GB, a hole on the disk, that is not in the page cache at first."""
    import torchtrt_ws
    from torchtrt_ws import pte

    plan, path = folder / "hole.plan", folder / "hole.pte"
    with plan.open("wb") as file:
        file.write(b"ptrt")
        file.truncate(10_000_000_000)
    torchtrt_ws.save_plan(plan, path, inputs="x:float32:1..8x4096", outputs="y:float32:1..8x4096")
    plan.unlink()
    seconds = []
    for _ in range(11):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        start = time.perf_counter()
        pte.read(path)
        seconds.append(time.perf_counter() - start)
    path.unlink()
    return {"bytes": 10_000_000_000, "median": statistics.median(seconds), "slowest": max(seconds)}


def save_models(folder: Path) -> tuple[Path, Path]:
    """MiniLM for 2 x 32 tokens, and one linear layer of 64 x 64: all overhead."""
    import minilm
    import torch

    import torchtrt_ws

    ids = torch.zeros(2, 32, dtype=torch.int64)
    torchtrt_ws.save(minilm.build(), folder / "minilm.pte", arg_inputs=(ids, torch.ones_like(ids)))
    torchtrt_ws.save(torch.nn.Linear(64, 64), folder / "linear.pte", arg_inputs=(torch.zeros(1, 64),))
    return folder / "minilm.pte", folder / "linear.pte"


def machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":", 1)[1].strip() for line in lines if "model name" in line), platform.machine())
    packages = ("executorch", "torch", "numpy")
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def markdown(results: dict[str, Any]) -> str:
    about = results["machine"]
    lines = [
        f"# Host engine\n\n`{results['command']}`, {about['cores']} cores of {about['cpu']}, executorch "
        f"{about['executorch']}, Python {about['python']}. Medians of {CALLS} calls.\n",
        "MiniLM, 2 x 32 tokens, by budget:\n",
        "| asked | budget MiB | resident weights MiB | process RSS MiB | load ms | p50 ms | p90 ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in results["by_budget"]:
        sizes = " | ".join(f"{row[k] / 2**20:.1f}" for k in ("budget_bytes", "device_bytes", "process_rss_bytes"))
        times = " | ".join(f"{row[k] * 1e3:.2f}" for k in ("load_seconds", "p50", "p90"))
        lines.append(f"| {row['asked']} | {sizes} | {times} |")
    lines += [
        "\nOne call through the delegate against the nested program run bare (stock runtime, interleaved):\n",
        "| model | bare us | delegate us | median difference us | ratio |",
        "|---|---|---|---|---|",
    ]
    for row in results["delegate_cost"]:
        times = " | ".join(f"{row[key] * 1e6:.1f}" for key in ("bare", "delegate", "difference"))
        lines.append(f"| {row['model']} | {times} | {row['ratio']:.3f} |")
    lines += [
        f"\n{LAYERS} linear layers of {FEATURES} x {FEATURES} loaded at a budget of 0, {about['cores']} cores, no GPU. "
        "Cold: this process packs the weights; warm: it finds them packed.\n",
        "| cache | weights MiB | device_bytes | RSS MiB | peak RSS of the load MiB | RSS after a run MiB | load s |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in results["loading"]:
        streamable, rss, peak, after = (
            f"{row[key] / 2**20:.1f}" for key in ("streamable_bytes", "rss_bytes", "peak_bytes", "rss_after_run_bytes")
        )
        lines.append(
            f"| {row['cache']} | {streamable} | {row['device_bytes']} | {rss} | {peak} | {after} | "
            f"{row['load_seconds']:.2f} |"
        )
    lines += ["\nStart-up, whole process:\n", "| command | s |", "|---|---|"]
    lines += [f"| `{name}` | {seconds:.3f} |" for name, seconds in results["start_up"].items()]
    if "inspecting" in results:  # a table that is younger than the others
        row = results["inspecting"]
        lines.append(
            f"\nLooking into a file of {row['bytes']} bytes (`pte.read`, out of the page cache): "
            f"{row['median'] * 1e3:.2f} ms, the slowest of 11 {row['slowest'] * 1e3:.2f} ms."
        )
    return "\n".join(lines) + "\n"


def tables(folder: Path) -> dict[str, Callable[[], Any]]:
    models = functools.cache(lambda: save_models(folder))

    def delegate_costs() -> list[dict[str, Any]]:
        transformer, linear = models()
        return [delegate_cost(linear, folder, "linear 64x64"), delegate_cost(transformer, folder, "MiniLM 2x32")]

    return {
        "start_up": start_up,
        "by_budget": lambda: by_budget(models()[0]),
        "delegate_cost": delegate_costs,
        "loading": lambda: loading(folder),
        "inspecting": lambda: inspecting(folder),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "host.json")
    parser.add_argument("--only", nargs="*", help="tables; the others are kept from an earlier file")
    arguments = parser.parse_args()
    results: dict[str, Any] = json.loads(arguments.out.read_text()) if arguments.only else {}
    with tempfile.TemporaryDirectory(prefix="torchtrt-ws-bench-") as temporary:
        folder = Path(temporary)
        os.environ["TORCHTRT_WS_CACHE"] = str(folder / "cache")
        results |= {"command": "python benchmarks/host.py", "machine": machine()}
        for name, measure in tables(folder).items():
            if not arguments.only or name in arguments.only:
                results[name] = measure()
    arguments.out.write_text(json.dumps(results, indent=1) + "\n")
    table = markdown(results)
    arguments.out.with_suffix(".md").write_text(table)
    print(table)


if __name__ == "__main__":
    main()
