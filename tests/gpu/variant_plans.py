"""One program with plans for several GPUs, on a real one: is the right plan taken, and are its answers the right ones?

    python tests/gpu/variant_plans.py build FOLDER      # with a GPU: torch, numpy and tensorrt_rtx
    python tests/gpu/variant_plans.py combine FOLDER    # anywhere: `pip install .[export]`, no GPU
    python tests/gpu/variant_plans.py run FOLDER        # with a GPU: torch, numpy, tensorrt_rtx and torchtrt_ws

`build` writes plans of one network (`chain` of stripped_plans.py, 17 MB of weights) without their weights:

    ada.plan        for compute capability 8.9 alone
    current.plan    for this GPU alone (ComputeCapability.CURRENT); TensorRT-RTX 1.6.1 has no name for 9.0
    any.plan        bound to no GPU
    plans.json      their sizes, the mask in their headers or the error of the build, and this GPU's compute capability

`combine` makes a program of each, and of these

    named.pte       8.9 first, then the plan for this GPU, named as such
    unnamed.pte     the same, with nothing recorded of either: the first that TensorRT-RTX takes. 1.6.1 takes that for
                    8.9 on an H200, and it computes what it should
    any.pte         8.9 first, then the plan that is bound to no GPU
    none.pte        two for 8.9: nothing runs on a GPU of another architecture

on one weights.ptd; where current.plan could not be built any.plan stands for it. `run` loads each with torchtrt_ws,
which needs the adapter (compiled with TensorRT-RTX's or TensorRT 11's headers) and ExecuTorch's library, and nothing of
its Python. It compares answers at 100, 50 and 0 % with numpy's, prints one JSON object, and exits with 1 where
something is wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import plans

NETWORK = "chain"
# The last one where it may fail: after that TensorRT-RTX 1.6.1 builds nothing in this process (seen on an H200).
CAPABILITIES = {"any": None, "ada": "SM89", "current": "CURRENT"}
HEAD = 40  # bytes of a plan, of which plans.json has the last 12
BUDGETS = ("100%", "50%", "0")
TOLERANCE = 0.05  # of the largest value, in fp16


def build(folder: Path) -> int:
    """The plans, on this GPU."""
    import stripped_plans
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    trt = plans.import_tensorrt()
    builder = stripped_plans.Builder(trt, stripped_plans.chain(NETWORK))
    capability = ".".join(map(str, torch.cuda.get_device_capability()))
    facts: dict[str, Any] = {
        "tensorrt": trt.__version__,
        "gpu": torch.cuda.get_device_name(),
        "compute_capability": capability,
        "plans": {},
    }
    for name, asked in CAPABILITIES.items():
        try:
            plan = builder.build("STRIP_PLAN", "REFIT_IDENTICAL", capability=asked)
        except Exception as error:  # the bindings raise what they like; the other plans are worth having
            facts["plans"][name] = {"error": f"{type(error).__name__}: {error}"}
            continue
        (folder / f"{name}.plan").write_bytes(plan)
        facts["plans"][name] = {"bytes": plan.nbytes, "header": bytes(plan[28:HEAD]).hex(" ", 4)}
    (folder / "plans.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(json.dumps(facts, indent=1))
    return 0 if (folder / "ada.plan").exists() and (folder / "any.plan").exists() else 1


def combine(folder: Path) -> int:
    """The programs, of the plans."""
    import torchtrt_ws

    layers, features = plans.PLANS["small"]
    here = json.loads((folder / "plans.json").read_text())["compute_capability"]
    weights = {f"layers.{layer}.weight": plans.weights(features, layer) for layer in range(layers)}
    shape = f"float16:{plans.BATCH}x{features}"

    def save(name: str, plan: str, capabilities: list[str] | None) -> Path:
        path = folder / f"{name}.part.pte"
        torchtrt_ws.save_plan(
            folder / f"{plan}.plan",
            path,
            inputs=f"x:{shape}",
            outputs=f"y:{shape}",
            weights=weights,
            streamable_bytes=sum(each.nbytes for each in weights.values()),
            compute_capabilities=capabilities,
        )
        return path

    own = "current" if (folder / "current.plan").exists() else "any"
    ada, every = save("ada", "ada", ["8.9"]), save("any", "any", None)
    named = save("own", own, [here])
    other = folder / "other.plan"  # for 8.9 as well, and not the same bytes
    other.write_bytes((folder / "ada.plan").read_bytes() + bytes(16))
    programs = {"named": [ada, named], "any": [ada, every], "none": [ada, save("other", "other", ["8.9"])]}
    for name, parts in programs.items():
        torchtrt_ws.combine(parts, folder / f"{name}.pte", weights_path=folder / "weights.ptd")
    _without_names(folder / "named.pte", folder / "unnamed.pte")
    for part in folder.glob("*.part.pt?"):
        part.unlink()
    return 0


def _without_names(source: Path, target: Path) -> None:
    """The same program with nothing recorded of its plans' GPUs. The JSON keeps its length: the key is another one."""
    data = source.read_bytes()
    known, unknown = b'"compute_capabilities":', b'"compute_capabilitiez":'
    assert data.count(known) == 2, "one for each plan"
    target.write_bytes(data.replace(known, unknown))


def run(folder: Path) -> int:
    """What the programs do on this GPU."""
    import torchtrt_ws

    layers, features = plans.PLANS["small"]
    x = plans.inputs(features)
    want = plans.expected(x, layers)
    here = json.loads((folder / "plans.json").read_text())["compute_capability"]
    results: dict[str, Any] = {}
    wrong: list[str] = []
    for name in ("named", "unnamed", "any"):
        result = _outcome(lambda name=name: _answers(folder / f"{name}.pte", x, want))
        results[name] = result
        chosen = name == "unnamed" or (result.get("variant") or "").startswith("2 of 2")
        difference = result["largest_difference"]
        right = difference is not None and difference <= TOLERANCE * float(np.abs(want).max())
        if here != "8.9" and not (chosen and right):
            wrong.append(name)
    results["none"] = _outcome(lambda: _answers(folder / "none.pte", x, want))
    if here != "8.9" and "none runs here" not in results["none"].get("error", ""):
        wrong.append("none")
    report = torchtrt_ws.check(folder / "named.pte")
    results["check"] = [fact.found for fact in report.engines[0].facts if fact.name == "plan"]
    print(json.dumps({**results, "compute_capability": here, "wrong": wrong}, indent=1))
    return 1 if wrong else 0


def _outcome(make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    import torchtrt_ws

    try:
        return make()
    except torchtrt_ws.WeightStreamingError as error:
        return {"error": str(error), "largest_difference": None}


def _answers(path: Path, x: np.ndarray, want: np.ndarray) -> dict[str, Any]:
    import torchtrt_ws

    differences, seconds, variant = [], [], None
    for budget in BUDGETS:
        start = time.perf_counter()
        with torchtrt_ws.load(path, weight_streaming_budget=budget) as program:
            seconds.append(round(time.perf_counter() - start, 3))
            (y,) = program(x)
            differences.append(float(np.abs(np.asarray(y, np.float32) - want).max()))
            variant = program.engines[0].variant
    return {"variant": variant, "largest_difference": max(differences), "load_seconds": seconds}


def main() -> None:
    steps = {"build": build, "combine": combine, "run": run}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=steps)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    sys.exit(steps[arguments.step](arguments.folder))


if __name__ == "__main__":
    main()
