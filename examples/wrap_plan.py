"""Wraps a TensorRT plan in a .pte with a budget. Builds a small plan first if none is given: TensorRT-RTX needs no GPU.

    python examples/wrap_plan.py layer.pte
    python examples/wrap_plan.py model.pte --plan model.plan --input x:float16:1..8x4096 --output y:float16:1..8x4096

The second line is what `torchtrt-ws wrap model.plan -o model.pte --input ... --output ...` does.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import tensorrt_rtx as trt
import torch

import torchtrt_ws
from torchtrt_ws import pte

FEATURES = 256


def build_plan(scale: float, output: str = "y") -> bytes:
    """A plan that multiplies x, float32 [1..8, 256], by `scale`, as a matrix product whose weights can be streamed."""
    builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    x = network.add_input("x", trt.float32, (-1, FEATURES))
    weights = np.eye(FEATURES, dtype=np.float32) * np.float32(scale)
    none = trt.MatrixOperation.NONE
    constant = network.add_constant(weights.shape, trt.Weights(weights)).get_output(0)
    y = network.add_matrix_multiply(x, none, constant, none).get_output(0)
    y.name = output
    network.mark_output(y)
    config = builder.create_builder_config()
    config.set_flag(trt.BuilderFlag.WEIGHT_STREAMING)  # without it, a budget has no effect
    profile = builder.create_optimization_profile()
    profile.set_shape("x", (1, FEATURES), (8, FEATURES), (8, FEATURES))
    config.add_optimization_profile(profile)
    return bytes(builder.build_serialized_network(network, config))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", nargs="?", default="layer.pte")
    parser.add_argument("--plan", type=Path)
    parser.add_argument("--input", action="append")
    parser.add_argument("--output", action="append")
    parser.add_argument("--weight-streaming-budget", default="50%")
    arguments = parser.parse_args()

    torchtrt_ws.save_plan(
        arguments.plan or build_plan(2.0),
        arguments.path,
        inputs=arguments.input or ["x:float32:1..8x256"],
        outputs=arguments.output or ["y:float32:1..8x256"],
        weight_streaming_budget=arguments.weight_streaming_budget,
    )
    (engine,) = pte.read(arguments.path).engines
    print(f"{arguments.path}: an engine of {engine.engine_bytes} bytes; baked budget {engine.baked_budget}")

    if not torch.cuda.is_available():
        print("Stopped here: running a TensorRT engine needs an NVIDIA GPU.")
        return
    loaded = torchtrt_ws.load(arguments.path)
    outputs = loaded(*loaded.zeros("forward"))
    print("ran; outputs of", ", ".join(str(each.shape) for each in outputs))


if __name__ == "__main__":
    main()
