"""Gives two layers of a loaded program other weights, as an update of an adapter (LoRA) does, and takes them back.

    python examples/refit_layers.py refit.pte    # where there is a GPU

The engine is built for other weights (refit=True), loaded once, and keeps its budget: nothing is saved or loaded again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

import torchtrt_ws

LAYERS, FEATURES, ROWS, RANK = 6, 512, 8, 4
CHANGED = ("layers.1", "layers.4")  # by the names that the module has for them


class Chain(torch.nn.Module):
    """Matrix products with a ReLU behind each."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        shape, scale = (FEATURES, FEATURES), (2 / FEATURES) ** 0.5
        self.layers = torch.nn.ParameterList(torch.randn(shape).mul(scale).half() for _ in range(LAYERS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for weight in self.layers:
            x = torch.relu(x @ weight)
        return x


def adapted(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The layers that change: each with a matrix of low rank added to it.

    Args:
        weights: All of them, by name.
    """
    random = np.random.default_rng(1)
    changed = {}
    for name in CHANGED:
        up, down = random.normal(size=(FEATURES, RANK)), random.normal(size=(RANK, FEATURES))
        changed[name] = (weights[name] + up @ down / FEATURES).astype(np.float16)
    return changed


def expected(weights: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """What the chain computes, in float32.

    Args:
        weights: All of them, by name.
        x: The input.
    """
    y = x.astype(np.float32)
    for index in range(LAYERS):
        y = np.maximum(y @ weights[f"layers.{index}"].astype(np.float32), 0)
    return y


def main() -> None:
    parser = argparse.ArgumentParser(description="Refit two layers of a loaded program.")
    parser.add_argument("path", nargs="?", type=Path, default=Path("refit.pte"), help="the .pte to write")
    path: Path = parser.parse_args().path
    model = Chain()
    x = np.random.default_rng(2).normal(size=(ROWS, FEATURES)).astype(np.float16)
    try:
        torchtrt_ws.save(
            model,
            path,
            arg_inputs=(torch.from_numpy(x),),
            engine="tensorrt_rtx",
            refit=True,
            weight_streaming_budget="50%",
        )
    except torchtrt_ws.EngineError as error:  # an engine for other weights is built on a GPU
        print(f"Stopped here: {error}")
        return
    own = {name: each.numpy() for name, each in model.state_dict().items()}
    changed = adapted(own)
    with torchtrt_ws.load(path) as program:
        (engine,) = program.engines
        print(f"{engine.name} takes {', '.join(engine.refittable_weights())}")

        def show(what: str, weights: dict[str, np.ndarray]) -> None:
            wanted = expected(weights, x)
            off = np.abs(np.array(program(x)[0]) - wanted).max() / np.abs(wanted).max()
            print(f"{what}: {engine.budget_bytes} bytes resident, off by {off:.1e}")

        show("as saved", own)
        program.refit(changed)
        show("refitted", {**own, **changed})
        program.refit({name: own[name] for name in CHANGED})
        show("as before", own)


if __name__ == "__main__":
    main()
