"""Quantized models through torchtrt_ws.load on a GPU: their answers at three budgets, and what streaming them takes.

    python tests/gpu/quantized_programs.py FOLDER --write    # needs the extras export and rtx, torchao, no GPU
    python tests/gpu/quantized_programs.py FOLDER            # on a GPU; prints JSON, and fails where an answer is wrong

Each program is LAYERS layers of FEATURES x FEATURES, float16, batch 16. Its expected output is that of float32 products
with the weights that the quantized ones stand for. Rows of the weights are shifted copies of others, so that the files
shrink when they are packed to be sent.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

LAYERS, FEATURES, BATCH, GROUP = 8, 2048, 16, 128
BUDGETS = ("100%", "50%", "0%")
CALLS = 30
TOLERANCE = 5e-3  # of the largest output


def configs() -> dict[str, Any]:
    import torch
    from torchao import quantization
    from torchao.quantization.granularity import PerGroup

    int4, groups = torch.int4, PerGroup(GROUP)  # type: ignore[attr-defined]
    return {
        "float16": None,
        "int8": quantization.Int8WeightOnlyConfig(),
        "int8-intx": quantization.IntxWeightOnlyConfig(),
        "int8-groups": quantization.IntxWeightOnlyConfig(granularity=groups),
        "int4": quantization.IntxWeightOnlyConfig(weight_dtype=int4),
        "int4-groups": quantization.IntxWeightOnlyConfig(weight_dtype=int4, granularity=groups),
        "float8": quantization.Float8WeightOnlyConfig(),
    }


def network(layers: int, features: int) -> Any:
    import torch

    made = []
    for layer in range(layers):
        linear = torch.nn.Linear(features, features, dtype=torch.float16)
        generator = torch.Generator().manual_seed(layer)
        # A factor for each row, so that scales differ and none is taken for another's.
        factors = 0.5 + torch.rand(GROUP, 1, generator=generator)
        rows = torch.randn(GROUP, features, generator=generator) / features**0.5 * factors
        with torch.no_grad():
            linear.weight.copy_(torch.cat([rows.roll(GROUP * each, dims=1) for each in range(features // GROUP)]))
            linear.bias.copy_(torch.randn(features, generator=generator) / 10)
        made += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*made).eval()


def expected(module: Any, x: Any) -> Any:
    """With float32 products of the same weights and activations between them in float16."""
    import torch

    for each in module:
        if isinstance(each, torch.nn.Linear):
            weight = each.weight.dequantize() if hasattr(each.weight, "qdata") else each.weight
            x = torch.nn.functional.linear(x.float(), weight.detach().float(), each.bias.float()).half()
        else:
            x = each(x)
    return x


def write(folder: Path, layers: int = LAYERS, features: int = FEATURES) -> None:
    import torch
    from torchao.quantization import quantize_

    import torchtrt_ws

    folder.mkdir(parents=True, exist_ok=True)
    x = torch.randn(BATCH, features, generator=torch.Generator().manual_seed(99)).half()
    np.save(folder / "quantized-x.npy", x.numpy())
    for name, config in configs().items():
        module = network(layers, features)
        if config is not None:
            quantize_(module, config)
        path = folder / f"quantized-{name}.pte"
        torchtrt_ws.save(module, path, arg_inputs=(x,), engine="tensorrt_rtx")
        with torch.no_grad():
            np.save(folder / f"quantized-{name}-y.npy", expected(module, x).numpy())
        print(f"{name}: {path.stat().st_size} bytes", file=sys.stderr)


def milliseconds(program: Any, x: np.ndarray) -> float:
    """Of one call with tensors on the host: the median."""
    took = []
    for _ in range(CALLS):
        start = time.perf_counter()
        program(x)
        took.append(time.perf_counter() - start)
    return 1000 * float(np.median(took[CALLS // 3 :]))


def measure(path: Path, x: np.ndarray, wanted: np.ndarray) -> dict[str, Any]:
    """One program. Sizes are bytes."""
    import torchtrt_ws

    answers, rows = [], []
    for budget in BUDGETS:
        with torchtrt_ws.load(path, weight_streaming_budget=budget, share_engines=False) as program:
            answers.append(np.array(program(x)[0], np.float64))
            (engine,) = program.engines
            row = {"budget": budget, "budget_bytes": engine.budget_bytes, "device_bytes": engine.device_bytes}
            rows.append({**row, "milliseconds": milliseconds(program, x)})
            streamable = engine.streamable_bytes
    error = float(max(np.abs(each - wanted).max() for each in answers))
    largest = float(np.abs(wanted).max())
    return {
        "file_bytes": path.stat().st_size,
        "streamable_bytes": streamable,
        "largest_output": largest,
        "largest_error": error,
        "equal_at_all_budgets": all(np.array_equal(answers[0], each) for each in answers),
        "right": error <= TOLERANCE * largest,
        "budgets": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--layers", type=int, default=LAYERS)
    parser.add_argument("--features", type=int, default=FEATURES, help=f"a multiple of {GROUP}")
    arguments = parser.parse_args()
    if arguments.write:
        write(arguments.folder, arguments.layers, arguments.features)
        return
    x = np.load(arguments.folder / "quantized-x.npy")
    found = {}
    for path in sorted(arguments.folder.glob("quantized-*.pte")):
        wanted = np.load(path.with_name(f"{path.stem}-y.npy")).astype(np.float64)
        found[path.stem.removeprefix("quantized-")] = measure(path, x, wanted)
    print(json.dumps(found, indent=1))
    if not found or not all(each["right"] for each in found.values()):
        sys.exit("an answer is wrong, or there are no programs")


if __name__ == "__main__":
    main()
