"""Writes the programs that tests/gpu/report.py runs: plans (plans.py) in .pte files, inputs, expected outputs, facts.

    python tests/gpu/programs.py FOLDER

Needs the extras export, rtx and examples; no GPU. FOLDER then holds all that the GPU machine needs of Python's side.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import decoder
import language
import numpy as np
import plans
import quantized_programs

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "examples"))


def facts_of(path: Path, columns: int) -> dict[str, Any]:
    """Where the engine is in the file."""
    from torchtrt_ws import pte

    (engine,) = pte.read(path).engines
    return {
        "file": path.name,
        "engine": engine.name,
        "columns": columns,
        "payload_offset": engine.payload_offset,
        "payload_bytes": engine.payload_bytes,
        "engine_offset": engine.engine_offset,
        "engine_bytes": engine.engine_bytes,
    }


def write_measured(folder: Path, name: str, size: tuple[int, int]) -> dict[str, Any]:
    """`small`, `big` or `large`; `size` is layers and features."""
    import torchtrt_ws

    layers, features = size
    plan = plans.build(layers, features)
    shape = f"float16:{plans.BATCH}x{features}"
    path = folder / f"{name}.pte"
    torchtrt_ws.save_plan(plan, path, inputs=f"x:{shape}", outputs=f"y:{shape}", name=name)
    x = plans.inputs(features)
    np.save(folder / f"{name}-x.npy", x)
    np.save(folder / f"{name}-y.npy", plans.expected(x, layers))
    return {**facts_of(path, features), "inputs": [f"{name}-x.npy"], "expected": f"{name}-y.npy"}


def write_acceptance(
    folder: Path, name: str = "acceptance", profiles: Sequence[tuple[int, int, int]] = ((1, 4, 8),)
) -> dict[str, Any]:
    """`acceptance`, or `profiles`."""
    import torchtrt_ws

    shape = f"float32:1..8x{plans.ACCEPTANCE_WIDTH}"
    path = folder / f"{name}.pte"
    plan = plans.build_acceptance(profiles=profiles)
    torchtrt_ws.save_plan(plan, path, inputs=f"x:{shape}", outputs=f"y:{shape}", name=name)
    return facts_of(path, plans.ACCEPTANCE_WIDTH)


def write_planned(folder: Path, name: str = "planned", device_io: bool = False) -> dict[str, Any]:
    """`small` again, with delegate tensors planned in device memory, as Torch-TensorRT writes programs; with
    `device_io` those of the method too."""
    import torchtrt_ws

    layers, features = plans.PLANS["small"]
    shape = f"float16:{plans.BATCH}x{features}"
    torchtrt_ws.save_plan(
        plans.build(layers, features),
        folder / f"{name}.pte",
        inputs=f"x:{shape}",
        outputs=f"y:{shape}",
        device="cuda:0",
        device_io=device_io,
    )
    facts = facts_of(folder / f"{name}.pte", features)
    return {**facts, "inputs": ["small-x.npy"], "expected": "small-y.npy"}


def write_towers(folder: Path) -> dict[str, Any]:
    """Two engines without a path between them, both from `x`: 2 x + 1 and 3 x + 1."""
    import torchtrt_ws

    shape = f"float32:1..8x{plans.ACCEPTANCE_WIDTH}"
    factors = {"query": 2.0, "document": 3.0}
    torchtrt_ws.save_plan(
        {name: plans.build_acceptance(factor, name) for name, factor in factors.items()},
        folder / "towers.pte",
        inputs={name: f"x:{shape}" for name in factors},
        outputs={name: f"{name}:{shape}" for name in factors},
        weight_streaming_budget="3MiB",
    )
    return {"file": "towers.pte", "columns": plans.ACCEPTANCE_WIDTH, "factors": factors}


def write_unequal(folder: Path, file: str, names: list[str]) -> dict[str, Any]:
    """Engines of 537, 268 and 67 MB as methods of one program."""
    import torchtrt_ws
    from torchtrt_ws import pte

    sizes = {name: plans.UNEQUAL[name] for name in names}
    shapes = {name: f"float16:{plans.BATCH}x{features}" for name, (_, features) in sizes.items()}
    path = folder / file
    torchtrt_ws.save_plan(
        {name: plans.build(*size) for name, size in sizes.items()},
        path,
        inputs={name: f"x:{shape}" for name, shape in shapes.items()},
        outputs={name: f"y:{shape}" for name, shape in shapes.items()},
        methods={name: [name] for name in shapes},
    )
    engines = {engine.name: [engine.engine_offset, engine.engine_bytes] for engine in pte.read(path).engines}
    return {"file": path.name, "engines": engines}


def write_minilm(folder: Path) -> dict[str, Any]:
    """The real model, built for TensorRT-RTX, and eager PyTorch's embeddings of real sentences."""
    import minilm
    import torch

    import torchtrt_ws

    model, tensors = minilm.build(), minilm.tokenize()
    path = folder / "minilm.pte"
    torchtrt_ws.save(model, path, arg_inputs=tensors, dynamic_shapes=minilm.dynamic_shapes(), engine="tensorrt_rtx")
    with torch.no_grad():
        np.save(folder / "minilm-expected.npy", model(*tensors).numpy())
    names = ["minilm-input_ids.npy", "minilm-attention_mask.npy"]
    for file, tensor in zip(names, tensors, strict=True):
        np.save(folder / file, tensor.numpy())
    return {**facts_of(path, 0), "inputs": names, "expected": "minilm-expected.npy"}


def write_plan(folder: Path, name: str, plan: memoryview) -> dict[str, Any]:
    """A plan by itself, for tests of the adapter alone."""
    (folder / name).write_bytes(plan)
    return {"file": name, "engine_offset": 0, "engine_bytes": len(plan)}


def add(folder: Path, name: str, facts: dict[str, Any]) -> None:
    """One program, in the programs.json that is there."""
    path = folder / "programs.json"
    all_facts = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**all_facts, name: facts}, indent=1) + "\n")


def write_separate(folder: Path, stripped: Path) -> None:
    """The programs of separate_programs.py, from the plans that stripped_plans.py built on a GPU."""
    import torchtrt_ws

    (folder / "separate").mkdir(exist_ok=True)
    for name, whole in {"chain": "small", "big": "big"}.items():
        layers, features = plans.PLANS[whole]
        shape = f"float16:{plans.BATCH}x{features}"
        torchtrt_ws.save_plan(
            stripped / f"{name}.stripped.plan",
            folder / "separate" / f"{name}.pte",
            inputs=f"x:{shape}",
            outputs=f"y:{shape}",
            weights={f"layers.{layer}.weight": plans.weights(features, layer) for layer in range(layers)},
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--large", action="store_true", help="the program of 5.4 GB alone, beside what is there")
    parser.add_argument("--smollm2", action="store_true", help="the language model alone, beside what is there")
    parser.add_argument(
        "--separate", type=Path, metavar="PLANS", help="those with weights of their own alone, likewise"
    )
    parser.add_argument("--without-minilm", action="store_true", help="the model's packages are not installed")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if arguments.large:
        add(arguments.folder, "large", write_measured(arguments.folder, "large", plans.LARGE))
        return
    if arguments.separate:
        write_separate(arguments.folder, arguments.separate)
        return
    if arguments.smollm2:
        add(arguments.folder, "smollm2", language.write(arguments.folder))
        return
    facts = {name: write_measured(arguments.folder, name, size) for name, size in plans.PLANS.items()}
    facts["acceptance"] = write_acceptance(arguments.folder)
    facts["profiles"] = write_acceptance(arguments.folder, "profiles", plans.PROFILES)
    facts["shapes"] = write_plan(arguments.folder, "shapes.plan", plans.build_shapes())
    facts["state"] = write_plan(arguments.folder, "state.plan", plans.build_state())
    facts["planned"] = write_planned(arguments.folder)
    facts["device_io"] = write_planned(arguments.folder, "device_io", device_io=True)
    facts["towers"] = write_towers(arguments.folder)
    facts["pair"] = write_unequal(arguments.folder, "pair.pte", ["large", "little"])
    facts["trio"] = write_unequal(arguments.folder, "trio.pte", ["large", "middle", "little"])
    facts["decoder"] = decoder.write(arguments.folder)
    quantized_programs.write(arguments.folder / "quantized")
    if not arguments.without_minilm:
        facts["minilm"] = write_minilm(arguments.folder)
    (arguments.folder / "programs.json").write_text(json.dumps(facts, indent=1) + "\n")
    for name, about in facts.items():
        print(f"{name}: {about['file']}")


if __name__ == "__main__":
    main()
