"""Saves all-MiniLM-L6-v2 as a TensorRT-RTX engine in a .pte, without a GPU, and runs it where there is one.

python examples/minilm_tensorrt_rtx.py minilm_rtx.pte --weight-streaming-budget 50%
"""

from __future__ import annotations

import argparse
import os

import minilm
import torch

import torchtrt_ws
from torchtrt_ws import pte


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", nargs="?", default="minilm_rtx.pte")
    parser.add_argument(
        "--weight-streaming-budget", default="50%", help='"auto", bytes, "20MiB" or "50%%" (the default)'
    )
    arguments = parser.parse_args()

    model, inputs = minilm.build(), minilm.tokenize()
    torchtrt_ws.save(
        model,
        arguments.path,
        arg_inputs=inputs,
        dynamic_shapes=minilm.dynamic_shapes(),
        engine="tensorrt_rtx",
        weight_streaming_budget=arguments.weight_streaming_budget,
    )
    (engine,) = pte.read(arguments.path).engines
    print(
        f"{arguments.path}: {os.path.getsize(arguments.path)} bytes, of which about {engine.streamable_bytes} can be "
        f"streamed; baked budget {engine.baked_budget}"
    )

    if not torch.cuda.is_available():
        print("Stopped here: running a TensorRT-RTX engine needs an NVIDIA GPU.")
        return
    with torch.no_grad():
        expected = model(*inputs)
    for budget in (None, "100%", 0):
        loaded = torchtrt_ws.load(arguments.path, weight_streaming_budget=budget)
        (found,) = loaded(*(each.numpy() for each in inputs))
        similarity = torch.nn.functional.cosine_similarity(torch.as_tensor(found), expected).min().item()
        print(f"budget {loaded.engines[0].budget_bytes}: cosine with eager PyTorch {similarity:.6f}")


if __name__ == "__main__":
    main()
