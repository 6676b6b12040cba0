"""Torch-TensorRT to a .pte with a budget: compiled there, saved here. Compiling needs a GPU.

python examples/torch_tensorrt_to_pte.py model.pte --weight-streaming-budget 50%
"""

from __future__ import annotations

import argparse

import torch

import torchtrt_ws
from torchtrt_ws import pte

FEATURES = 512


def build() -> torch.nn.Module:
    """Linear layers with something between them."""
    torch.manual_seed(0)
    layers = [torch.nn.Linear(FEATURES, FEATURES), torch.nn.GELU(), torch.nn.Linear(FEATURES, FEATURES)]
    return torch.nn.Sequential(*layers).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", nargs="?", default="model.pte")
    parser.add_argument("--weight-streaming-budget", default="50%")
    arguments = parser.parse_args()

    model, x = build(), torch.randn(8, FEATURES)
    exported = torch.export.export(model, (x,))
    print(f"exported: {sum(node.op == 'call_function' for node in exported.graph.nodes)} operators")
    if not torch.cuda.is_available():
        print("Stopped here: Torch-TensorRT compiles on an NVIDIA GPU.")
        print('Without one, torchtrt_ws.save(..., engine="tensorrt_rtx") builds an engine: minilm_tensorrt_rtx.py.')
        return

    import torch_tensorrt

    on_device = torch.export.export(model.cuda(), (x.cuda(),))
    compiled = torch_tensorrt.dynamo.compile(
        on_device,
        arg_inputs=(x.cuda(),),
        enable_weight_streaming=True,  # without it, a budget has no effect
        min_block_size=1,
    )
    torchtrt_ws.save(compiled, arguments.path, weight_streaming_budget=arguments.weight_streaming_budget)
    for engine in pte.read(arguments.path).engines:
        print(f"{engine.name}: {engine.engine_bytes} bytes; baked budget {engine.baked_budget}")
    (y,) = torchtrt_ws.load(arguments.path)(x.numpy())
    torch.testing.assert_close(torch.as_tensor(y), model.cpu()(x), rtol=1e-2, atol=1e-2)
    print("ran; the same as eager PyTorch")


if __name__ == "__main__":
    main()
