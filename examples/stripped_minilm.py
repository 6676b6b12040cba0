"""Saves all-MiniLM-L6-v2 without its weights, which are once in a file beside it, and runs it.

    python examples/stripped_minilm.py stripped.pte
    python examples/stripped_minilm.py stripped.pte --engine tensorrt_rtx    # where there is a GPU

The program is what an update ships, the weights stay where they are: a program that was saved again from the same
weights finds them in the file that is there. From other weights it does not, and says so.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import minilm
import numpy as np
import torch

import torchtrt_ws
from torchtrt_ws import pte


def save(path: Path, engine: str = "host", budget: str = "50%") -> None:
    """Writes the program and, beside it, its weights.

    Args:
        path: The .pte; the weights go to the .ptd of that name.
        engine: "host" for any CPU, "tensorrt_rtx" on a machine with a GPU.
        budget: The weight streaming budget to bake.
    """
    minilm.save(path, engine=engine, weights="separate", weight_streaming_budget=budget)


def update(path: Path, engine: str = "host") -> None:
    """Another budget in another program, which takes the weights that are there: the program alone is replaced.

    Args:
        path: A .pte of `save`.
        engine: As for `save`.
    """
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / path.name, engine, budget="25%")
        shutil.copy(Path(folder) / path.name, path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Save all-MiniLM-L6-v2 without its weights, and run it.")
    parser.add_argument("path", nargs="?", type=Path, default=Path("stripped.pte"), help="the .pte to write")
    parser.add_argument("--engine", choices=["host", "tensorrt_rtx"], default="host")
    arguments = parser.parse_args()
    path: Path = arguments.path
    try:
        save(path, arguments.engine)
    except torchtrt_ws.EngineError as error:  # an engine for a GPU is built without its weights on one
        print(f"Stopped here: {error}")
        return
    (engine,) = pte.read(path).engines
    assert engine.weights is not None
    print(f"{path}: {path.stat().st_size} bytes")
    print(f"{engine.weights.file}: {engine.weights.nbytes} bytes of weights, {len(engine.weights.tensors)} of them")

    inputs = minilm.tokenize()
    with torch.no_grad():
        wanted = minilm.build()(*inputs).numpy()
    for step in ("saved", "updated"):
        if step == "updated":
            update(path, arguments.engine)
        with torchtrt_ws.load(path) as program:
            (embeddings,) = program(*(each.numpy() for each in inputs))
            budget = program.engines[0].budget_bytes
        print(f"{step}: {budget} bytes resident, off by {np.abs(np.array(embeddings) - wanted).max():.1e}")


if __name__ == "__main__":
    main()
