"""Two plans in one program, with one budget for both: a tower for the query and one for the document.

    python examples/two_towers.py towers.pte --weight-streaming-budget 300KiB

Both take `x`, so it is one input of the program. They give tensors that nothing takes: those are its outputs.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
import wrap_plan

import torchtrt_ws
from torchtrt_ws import pte


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", nargs="?", default="towers.pte")
    parser.add_argument("--weight-streaming-budget", default="300KiB", help="the program's total")
    arguments = parser.parse_args()

    x = "x:float32:1..8x256"
    torchtrt_ws.save_plan(
        {"query": wrap_plan.build_plan(2.0, "query"), "document": wrap_plan.build_plan(3.0, "document")},
        arguments.path,
        inputs={"query": x, "document": x},
        outputs={"query": "query:float32:1..8x256", "document": "document:float32:1..8x256"},
        weight_streaming_budget=arguments.weight_streaming_budget,
    )
    engines = pte.read(arguments.path).engines
    for engine in engines:
        print(f"{engine.name}: about {engine.streamable_bytes} bytes can be streamed; budget {engine.baked_budget}")
    print(f"together: {sum(engine.baked_budget or 0 for engine in engines)}")

    if not torch.cuda.is_available():
        print("Stopped here: running TensorRT engines needs an NVIDIA GPU.")
        return
    rows = np.arange(3 * wrap_plan.FEATURES, dtype=np.float32).reshape(3, wrap_plan.FEATURES)
    for budget in (None, "100%", 0):
        loaded = torchtrt_ws.load(arguments.path, weight_streaming_budget=budget)
        query, document = loaded(rows)
        np.testing.assert_allclose(query, rows * 2, rtol=1e-3)
        np.testing.assert_allclose(document, rows * 3, rtol=1e-3)
        print("ran with budgets", {engine.name: engine.budget_bytes for engine in loaded.engines})


if __name__ == "__main__":
    main()
