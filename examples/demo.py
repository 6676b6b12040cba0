"""The whole path on any machine: save MiniLM with a budget baked in, load it under others, look at memory and results.

    python examples/demo.py

Prints one table: how the budget was given, who decided, what was set, the weights that are resident after the runs,
and the cosine similarity with eager PyTorch. Each row loads the file in a process of its own, so that its memory is
its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import minilm
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

BAKED = "20MiB"

# How a deployment may give the budget of one file, which has BAKED baked in: a label, and the keywords of
# torchtrt_ws.load.
LOADS: list[tuple[str, dict[str, str]]] = [
    (f"save: {BAKED}", {}),
    ("load: auto", {"weight_streaming_budget": "auto"}),
    ("load: 100%", {"weight_streaming_budget": "100%"}),
    ("load: 50%", {"weight_streaming_budget": "50%"}),
    ("load: 8MiB", {"weight_streaming_budget": "8MiB"}),
    ("load: 0", {"weight_streaming_budget": "0"}),
]

WORKER = """
import json, sys, time
import numpy as np
import torchtrt_ws

path, inputs, output, keywords = sys.argv[1:]
program = torchtrt_ws.load(path, **json.loads(keywords))
tensors = [np.load(file) for file in inputs.split(",")]
seconds = []
for _ in range(20):
    start = time.perf_counter()
    embeddings, = program(*tensors)
    seconds.append(time.perf_counter() - start)
np.save(output, embeddings)
print(json.dumps({**program.engines[0].as_dict(), "median": sorted(seconds)[len(seconds) // 2]}))
"""


def run(path: Path, inputs: list[Path], folder: Path, keywords: dict[str, str]) -> tuple[dict, np.ndarray]:
    """Loads and runs the program in a new process; returns what the engine reports, and the embeddings."""
    output = folder / "embeddings.npy"
    arguments = [sys.executable, "-c", WORKER, path, ",".join(map(str, inputs)), output, json.dumps(keywords)]
    done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout), np.load(output)


def cosine(found: np.ndarray, expected: np.ndarray) -> float:
    """The lowest cosine similarity of two batches of unit vectors, row by row."""
    return float((found * expected).sum(axis=1).min())


@contextlib.contextmanager
def step(console: Console, text: str):
    start = time.perf_counter()
    with console.status(f"{text} ..."):
        yield
    console.print(f"{text}: {time.perf_counter() - start:.1f} s")


def main() -> None:
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="torchtrt-ws-demo-") as temporary:
        folder = Path(temporary)
        os.environ.setdefault("TORCHTRT_WS_CACHE", str(folder / "cache"))
        path = folder / "minilm.pte"
        with step(console, f"Saving all-MiniLM-L6-v2 with weight_streaming_budget={BAKED!r}"):
            minilm.save(path, weight_streaming_budget=BAKED)
        with step(console, "Eager PyTorch, for comparison"), torch.no_grad():
            tensors = minilm.tokenize()
            expected = minilm.build()(*tensors).numpy()
        inputs = [folder / "input_ids.npy", folder / "attention_mask.npy"]
        for file, tensor in zip(inputs, tensors, strict=True):
            np.save(file, tensor.numpy())

        with step(console, "First load: XNNPACK packs the weights into the cache"):
            run(path, inputs, folder, {})
        table = Table(title="all-MiniLM-L6-v2, 3 sentences; sizes in MiB, after 20 runs")
        for column in ("given", "source", "budget", "streamable", "resident", "ms", "cosine"):
            table.add_column(column, justify="left" if column in ("given", "source") else "right")
        worst = 1.0
        for label, keywords in LOADS:
            engine, embeddings = run(path, inputs, folder, keywords)
            similarity = cosine(embeddings, expected)
            worst = min(worst, similarity)
            sizes = [f"{engine[key] / 2**20:.1f}" for key in ("budget_bytes", "streamable_bytes", "device_bytes")]
            table.add_row(label, engine["source"], *sizes, f"{engine['median'] * 1e3:.1f}", f"{similarity:.6f}")
        console.print(table)
        similar = expected @ expected.T
        console.print(f"The sentences: 1 and 2 are alike ({similar[0, 1]:.2f}), 1 and 3 are not ({similar[0, 2]:.2f}).")
        if worst < 0.999:
            sys.exit(f"cosine with eager PyTorch: found {worst:.6f}; expected at least 0.999.")


if __name__ == "__main__":
    main()
