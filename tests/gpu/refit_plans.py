"""Builds plans with and without their weights for tests/engine/tensorrt/acceptance_refit_test.cpp, on a GPU.

    python tests/gpu/refit_plans.py FOLDER [--only chain]
    TORCHTRT_WS_TEST_STRIPPED=FOLDER/chain torchtrt_ws_tensorrt_acceptance --gtest_filter='Refit.*'

FOLDER/NAME then holds full.plan, stripped.plan, refittable.plan (built with REFIT), weights.bin (each weight at a
multiple of 256 bytes) and weights.txt: the engine's tensors, and what lies where. Networks: those of stripped_plans.py.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import plans
import stripped_plans

ALIGNMENT = 256


def write(folder: Path, network: stripped_plans.Network) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    build = stripped_plans.Builder(plans.import_tensorrt(), network)
    (folder / "full.plan").write_bytes(build.build())
    stripped = build.build("STRIP_PLAN", "REFIT_IDENTICAL")
    (folder / "stripped.plan").write_bytes(stripped)
    (folder / "refittable.plan").write_bytes(build.build("REFIT"))
    engine = build.load(stripped)
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
            file.write(values.tobytes())
    (folder / "weights.txt").write_text("\n".join(lines) + "\n")
    print(f"{folder}: {len(stripped)} bytes without weights", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=sorted(stripped_plans.NAMES))
    arguments = parser.parse_args()
    for name in stripped_plans.NAMES:
        if arguments.only in (None, name):
            write(arguments.folder / name, stripped_plans.chain(name))


if __name__ == "__main__":
    main()
