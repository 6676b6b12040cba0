"""Builds the plans that the GPU report measures. Needs TensorRT-RTX or TensorRT; TensorRT-RTX builds without a GPU.

    python tests/gpu/plans.py FOLDER [--only small]

acceptance: y = 2 x + 1, float32, 1 to 8 rows of 1024; what tests/engine/tensorrt asks for, with
TORCHTRT_WS_TEST_WIDTH=1024. profiles: the same with two optimization profiles, 1 to 2 and 4 to 8 rows. shapes: one row
as often as a shape tensor says; state: y = 2 (x + sum) + 1, where sum is that of all x before; nonzero,
where asked for: where x is not 0. small: 17 MB of
fp16 weights (8 layers of 1024 x 1024). big: 537 MB (16 layers of 4096 x 4096). Both: batch 16, one input `x`, one
output `y`. A layer is y = x W with W = 1/2 I + 1/2 P, P a cyclic shift of its own: dense for TensorRT, which would
merge equal weights, small when compressed, and with a result that numpy computes (`expected`). All have weight
streaming on.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 16
PLANS = {"small": (8, 1024), "big": (16, 4096)}  # layers, features
LARGE = (160, 4096)  # 5.4 GB, for programs.py --large: needs some 16 GB of memory and of disk to build
UNEQUAL = {"large": (16, 4096), "middle": (8, 4096), "little": (8, 2048)}  # of the programs `pair` and `trio`
ACCEPTANCE_WIDTH = 1024
STATE_ROWS = 4
PROFILES = ((1, 2, 2), (4, 8, 8))  # rows: min, opt, max


def import_tensorrt() -> Any:
    """TensorRT-RTX under any of its names, else TensorRT."""
    for name in ("tensorrt_rtx", "tensorrt_rtx_bindings", "tensorrt"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    sys.exit("no tensorrt_rtx and no tensorrt: pip install tensorrt-rtx==1.6.1.120")


def weights(features: int, layer: int) -> np.ndarray:
    """fp16 [features, features]."""
    identity = np.eye(features, dtype=np.float16)
    return (identity + np.roll(identity, shift(layer), axis=1)) / np.float16(2)


def shift(layer: int) -> int:
    return 7 * layer + 3


def inputs(features: int) -> np.ndarray:
    """fp16 [BATCH, features]: eighths, so that fp16 is exact for the first layers."""
    return ((np.arange(BATCH * features).reshape(BATCH, features) * 37 % 64 - 32) / 8).astype(np.float16)


def expected(x: np.ndarray, layers: int) -> np.ndarray:
    """float32 [BATCH, features]: what the plan computes."""
    y = x.astype(np.float32)
    for layer in range(layers):
        y = (y + np.roll(y, shift(layer), axis=1)) / 2
    return y


def build(layers: int, features: int, profiles: Sequence[tuple[int, int, int]] = ()) -> memoryview:
    """The serialized plan `small` or `big`; with `profiles` any rows that they have, not BATCH."""
    trt = import_tensorrt()
    builder, network = start(trt)
    tensor = network.add_input("x", trt.float16, (-1 if profiles else BATCH, features))
    kept = [weights(features, layer) for layer in range(layers)]  # TensorRT reads them when it builds
    for weight in kept:
        tensor = multiply(trt, network, tensor, weight)
    return finish(trt, builder, network, tensor, profiles=profiles)


def build_acceptance(
    factor: float = 2, output: str = "y", profiles: Sequence[tuple[int, int, int]] = ((1, 4, 8),)
) -> memoryview:
    """The serialized plan `acceptance`, or one with another factor, name of the output, or rows of profiles."""
    trt = import_tensorrt()
    builder, network = start(trt)
    x = network.add_input("x", trt.float32, (-1, ACCEPTANCE_WIDTH))
    scaled = np.eye(ACCEPTANCE_WIDTH, dtype=np.float32) * np.float32(factor)
    one = np.ones((1, 1), dtype=np.float32)
    doubled = multiply(trt, network, x, scaled)
    constant = network.add_constant(one.shape, trt.Weights(one))
    y = network.add_elementwise(doubled, constant.get_output(0), trt.ElementWiseOperation.SUM).get_output(0)
    return finish(trt, builder, network, y, output, profiles)


def build_shapes() -> memoryview:
    """The serialized plan `shapes`: y is the one row of x as often as k says, int64 [rows, width]."""
    trt = import_tensorrt()
    builder, network = start(trt)
    x = network.add_input("x", trt.float32, (1, ACCEPTANCE_WIDTH))
    k = network.add_input("k", trt.int64, (2,))
    begin, step = (np.array(values, dtype=np.int64) for values in ((0, 0), (0, 1)))  # kept until it is built
    repeated = network.add_slice(x, (0, 0), (1, ACCEPTANCE_WIDTH), (0, 1))
    for index, values in ((1, begin), (3, step)):
        repeated.set_input(index, network.add_constant((2,), trt.Weights(values)).get_output(0))
    repeated.set_input(2, k)
    return finish(
        trt, builder, network, repeated.get_output(0), values={"k": [(n, ACCEPTANCE_WIDTH) for n in (1, 4, 8)]}
    )


def build_state() -> memoryview:
    """The serialized plan `state`: y = 2 * (x + sum) + 1 and sum_after = x + sum, with weights that can stream."""
    trt = import_tensorrt()
    builder, network = start(trt)
    shape = (STATE_ROWS, ACCEPTANCE_WIDTH)
    x, before = (network.add_input(name, trt.float32, shape) for name in ("x", "sum"))
    add = trt.ElementWiseOperation.SUM
    after = network.add_elementwise(x, before, add).get_output(0)
    after.name = "sum_after"
    network.mark_output(after)
    doubled = multiply(trt, network, after, np.eye(ACCEPTANCE_WIDTH, dtype=np.float32) * np.float32(2))
    one = np.ones((1, 1), dtype=np.float32)
    constant = network.add_constant(one.shape, trt.Weights(one))
    y = network.add_elementwise(doubled, constant.get_output(0), add).get_output(0)
    return finish(trt, builder, network, y)


def build_nonzero() -> memoryview:
    """The serialized plan `nonzero`: y int64 [2, n] is where x is not 0. TensorRT-RTX 1.6.1 has no such layer."""
    trt = import_tensorrt()
    builder, network = start(trt)
    x = network.add_input("x", trt.float32, (-1, ACCEPTANCE_WIDTH))
    y = network.add_non_zero(x, trt.int64).get_output(0)
    return finish(trt, builder, network, y, profiles=((1, 4, 8),))


def start(trt: Any) -> tuple[Any, Any]:
    """A builder and an empty, strongly typed network."""
    builder = trt.Builder(trt.Logger(trt.Logger.WARNING))
    return builder, builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))


def multiply(trt: Any, network: Any, tensor: Any, weight: np.ndarray) -> Any:
    constant = network.add_constant(weight.shape, trt.Weights(weight))
    none = trt.MatrixOperation.NONE
    return network.add_matrix_multiply(tensor, none, constant.get_output(0), none).get_output(0)


def finish(
    trt: Any,
    builder: Any,
    network: Any,
    y: Any,
    output: str = "y",
    profiles: Sequence[tuple[int, int, int]] = (),
    values: Mapping[str, Sequence[tuple[int, ...]]] | None = None,
) -> memoryview:
    """Builds with weight streaming; `profiles` are those of a dynamic first dimension: min, opt, max; `values` those of
    shape tensors."""
    y.name = output
    network.mark_output(y)
    config = builder.create_builder_config()
    config.set_flag(trt.BuilderFlag.WEIGHT_STREAMING)
    for rows in profiles:
        x = network.get_input(0)
        profile = builder.create_optimization_profile()
        profile.set_shape(x.name, *((count, x.shape[1]) for count in rows))
        config.add_optimization_profile(profile)
    if values:
        profile = builder.create_optimization_profile()
        for name, bounds in values.items():
            profile.set_shape_input(name, *bounds)
        config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        sys.exit("TensorRT built no plan; its log lines above say why")
    return memoryview(plan)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=["acceptance", "profiles", "shapes", "state", "nonzero", *PLANS])
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    builds = {
        "acceptance": build_acceptance,
        "profiles": partial(build_acceptance, profiles=PROFILES),
        "shapes": build_shapes,
        "state": build_state,
        **{name: partial(build, *sizes) for name, sizes in PLANS.items()},
    }
    if arguments.only == "nonzero":  # TensorRT alone builds it
        builds["nonzero"] = build_nonzero
    for name, make in builds.items():
        if arguments.only in (None, name):
            plan = make()
            (arguments.folder / f"{name}.plan").write_bytes(plan)
            print(f"{name}.plan: {len(plan)} bytes")


if __name__ == "__main__":
    main()
