"""Saves a decoder with its weights in a file of their own and whole, on a GPU, and compares what they answer. JSON.

    python tests/gpu/separate_save.py FOLDER [--layers 4]

Needs the extras export and rtx, and a GPU: TensorRT-RTX builds engines without their weights only where there is one.
The decoder is the shape of 1B in benchmarks/gpu/decoder/model.py with fewer layers: two engines, caches, a table on the
host.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "benchmarks" / "gpu" / "decoder"))

import model as models
import numpy as np
import torch

import torchtrt_ws

BUDGETS = ("0%", "50%", "100%")
STEPS = 4  # tokens after the prompt


def answers(path: Path, shape: models.Shape, budget: str) -> np.ndarray:
    """Logits of the prompt and of each step after it, one behind the other."""
    ids, found = models.prompt(shape, 1, 8).numpy(), []
    with torchtrt_ws.load(path, weight_streaming_budget=budget) as program:
        start = 0
        for _ in range(STEPS + 1):
            logits = np.array(program(ids, np.array([start]))[0])
            found.append(logits)
            start += ids.shape[1]
            ids = logits.argmax(-1)[:, None].astype(np.int64)
    return np.stack(found)


def timed(make: Any) -> float:
    start = time.perf_counter()
    make()
    return time.perf_counter() - start


def measure(folder: Path, layers: int) -> dict[str, Any]:
    shape = models.read_shape("1b", layers)
    decoder = models.build(shape)
    decoder.set_batch(1)
    arguments = (models.prompt(shape, 1, 8), torch.zeros(1, dtype=torch.int64))
    shapes = {"ids": {1: torch.export.Dim("count", min=1, max=shape.prompt)}, "start": None}
    whole, apart, merged = (folder / f"{name}.pte" for name in ("whole", "apart", "merged"))
    options: dict[str, Any] = {"arg_inputs": arguments, "dynamic_shapes": shapes, "engine": "tensorrt_rtx"}
    facts: dict[str, Any] = {
        "seconds": {
            "save whole": timed(lambda: torchtrt_ws.save(decoder, whole, **options)),
            "save apart": timed(lambda: torchtrt_ws.save(decoder, apart, weights="separate", **options)),
            "merge": timed(lambda: torchtrt_ws.merge(apart, merged)),
        }
    }
    facts["bytes"] = {each.name: each.stat().st_size for each in (whole, apart, apart.with_suffix(".ptd"), merged)}
    wanted = {budget: answers(whole, shape, budget) for budget in BUDGETS}
    facts["equal"] = {budget: bool(np.array_equal(answers(apart, shape, budget), wanted[budget])) for budget in BUDGETS}
    facts["merged_equal"] = bool(np.array_equal(answers(merged, shape, "50%"), wanted["50%"]))
    eager = decoder.cuda()
    eager.set_batch(1, "cuda")
    with torch.no_grad():
        first = eager(*(each.cuda() for each in arguments)).float().cpu().numpy()
    ours = wanted["50%"][0].astype(np.float32)
    facts["cosine"] = float((first * ours).sum() / np.linalg.norm(first) / np.linalg.norm(ours))
    return facts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=4)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    print(json.dumps(measure(given.folder, given.layers)))
