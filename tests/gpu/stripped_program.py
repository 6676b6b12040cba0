"""Takes the weights out of a program that was built for TensorRT-RTX on this GPU, and compares the answers. JSON.

    python tests/gpu/stripped_program.py FOLDER

`torchtrt-ws strip` asks the engine for its plan without weights, which TensorRT gives of one that was built for other
weights (refit=True). Needs the extras export and rtx, and a GPU.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "examples"))

import numpy as np
import safetensors.torch
import torch
from refit_layers import FEATURES, ROWS, Chain

import torchtrt_ws

BUDGETS = ("0%", "50%", "100%")


def answer(path: Path, budget: str, x: np.ndarray) -> np.ndarray:
    with torchtrt_ws.load(path, weight_streaming_budget=budget) as program:
        return np.array(program(x)[0])


def measure(folder: Path) -> dict[str, Any]:
    model = Chain()
    whole, apart, weights = folder / "whole.pte", folder / "apart.pte", folder / "weights.safetensors"
    x = np.random.default_rng(2).normal(size=(ROWS, FEATURES)).astype(np.float16)
    torchtrt_ws.save(model, whole, arg_inputs=(torch.from_numpy(x),), engine="tensorrt_rtx", refit=True)
    safetensors.torch.save_file(model.state_dict(), weights)
    command = ["strip", str(whole), "-o", str(apart), "--weights", str(weights)]
    done = subprocess.run([sys.executable, "-m", "torchtrt_ws", *command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return {"failed": done.stderr}
    return {
        "bytes": {path.name: path.stat().st_size for path in (whole, apart, apart.with_suffix(".ptd"))},
        "equal": {
            budget: bool(np.array_equal(answer(whole, budget, x), answer(apart, budget, x))) for budget in BUDGETS
        },
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    facts = measure(folder)
    print(json.dumps(facts))
    sys.exit(0 if all(facts.get("equal", {"": False}).values()) else 1)
