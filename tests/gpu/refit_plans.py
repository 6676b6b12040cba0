"""Builds plans with and without their weights for tests/engine/tensorrt/acceptance_refit_test.cpp, on a GPU.

    python tests/gpu/refit_plans.py FOLDER chain big [llama:8] [model.onnx]
    TORCHTRT_WS_TEST_STRIPPED=FOLDER/chain torchtrt_ws_tensorrt_acceptance --gtest_filter='Refit.*'

FOLDER/NAME then holds full.plan, stripped.plan, refittable.plan (built with REFIT; not of `llama`), weights.bin (each
weight at a multiple of 256 bytes), weights.txt (the engine's tensors, and what lies where) and seconds.json (what the
builds took). Networks: those of stripped_plans.py; an ONNX model of static shapes, whose name is its file's;
`llama:LAYERS`, of llama_network.py: 32 of them are 15 GB of weights, which take 48 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import llama_network
import numpy as np
import plans
import stripped_plans

ALIGNMENT = 256


def network_of(word: str) -> tuple[str, stripped_plans.Network]:
    """The network of an argument, and its name."""
    if word in stripped_plans.NAMES:
        return word, stripped_plans.chain(word)
    if word.startswith("llama:"):
        layers = int(word.removeprefix("llama:"))

        def define(trt: Any, builder: Any, _: Any) -> tuple[Any, Any]:
            network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
            return network, llama_network.Layers(trt, network, layers)

        return f"llama-{layers}", stripped_plans.Network(define, partial(llama_network.weight, layers=layers))
    path = Path(word)
    return path.stem, stripped_plans.onnx_model(path, [])


def write(folder: Path, network: stripped_plans.Network, refittable: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    build = stripped_plans.Builder(plans.import_tensorrt(), network)
    seconds = {}
    ways: dict[str, tuple[str, ...]] = {
        "full": (),
        "stripped": ("STRIP_PLAN", "REFIT_IDENTICAL"),
        "refittable": ("REFIT",),
    }
    for name, flags in list(ways.items())[: 3 if refittable else 2]:
        start = time.perf_counter()
        plan = build.build(*flags)
        seconds[name] = time.perf_counter() - start
        (folder / f"{name}.plan").write_bytes(plan)
        if name == "stripped":
            engine, size = build.load(plan), plan.nbytes
        del plan
    (folder / "seconds.json").write_text(json.dumps(seconds) + "\n")
    refitter = build.trt.Refitter(engine, build.logger)
    lines = []
    for tensor in build.tensors(engine):
        role, shape = "input" if tensor["is_input"] else "output", ",".join(map(str, tensor["shape"]))
        lines.append(f"{role} {tensor['name']} {tensor['dtype']} {shape}")
    with (folder / "weights.bin").open("wb") as file:
        for name in refitter.get_all_weights():  # RTX 1.6.1 says that none is missing
            dtype = refitter.get_weights_prototype(name).dtype.name
            values = np.ascontiguousarray(network.weights(name), stripped_plans.NUMPY[dtype])
            file.write(bytes(-file.tell() % ALIGNMENT))
            torch_dtype = stripped_plans.TORCH.get(dtype, dtype.lower())
            lines.append(f"weight {name} {torch_dtype} {values.size} {file.tell()} {values.nbytes}")
            file.write(values.reshape(-1).view(np.uint8).data)
    (folder / "weights.txt").write_text("\n".join(lines) + "\n")
    print(f"{folder}: {size} bytes without weights, built in {seconds} s", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("networks", nargs="+")
    arguments = parser.parse_args()
    for word in arguments.networks:
        name, network = network_of(word)
        write(arguments.folder / name, network, refittable=not word.startswith("llama:"))


if __name__ == "__main__":
    main()
