"""Builds plans with and without their weights on a GPU, and writes what programs are made of elsewhere.

    python tests/gpu/stripped_plans.py FOLDER [--onnx minilm.onnx --bounds 1..8x1..128] [--only chain]

Needs TensorRT-RTX or TensorRT, numpy and torch, and a GPU: none builds STRIP_PLAN without one. FOLDER then holds, for
each network, NAME.stripped.plan (kilobytes) and, in plans.json:

  missing    what IRefitter takes: name, dtype, count, bytes, role; sha256 and crc32c of what it was given
  tensors    the engine's inputs and outputs: name, dtype, shape, bounds of the first profile
  sizes, seconds and answers of each way to a plan, or the error of it:
    full        WEIGHT_STREAMING
    stripped    STRIP_PLAN, REFIT_IDENTICAL, WEIGHT_STREAMING; then refitted, serialized with its weights (`merged`),
                and that read again
    refittable  REFIT_IDENTICAL, WEIGHT_STREAMING; then serialized with EXCLUDE_WEIGHTS (`excluded`)
    own_weights whether IRefitter gives weights back of an engine that has them
  equal      for each budget in percent: whether the refitted engine's answer is the full one's to the bit

Networks: `chain` (8 layers of 1024 x 1024 fp16), `big` (16 of 4096 x 4096, 512 MiB), of plans.py; and an ONNX model
with its data beside it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import plans

NAMES = {"chain": "small", "big": "big"}
BUDGETS = (100, 50, 0)  # percent
NUMPY = {
    "HALF": np.float16,
    "FLOAT": np.float32,
    "INT32": np.int32,
    "INT64": np.int64,
    "INT8": np.int8,
    "BOOL": np.bool_,
}
TORCH = {"HALF": "float16", "FLOAT": "float32", "BF16": "bfloat16"}  # others: the lower-case name


class Network:
    """What to build: `define(trt, builder)` gives a network and what must outlive the build."""

    def __init__(
        self, define: Callable[[Any, Any, Any], tuple[Any, Any]], weights: Callable[[str], np.ndarray]
    ) -> None:
        self.define = define
        self.weights = weights  # by the name that IRefitter asks for
        self.bounds: list[tuple[int, int]] = []


def chain(name: str) -> Network:
    """`small` or `big` of plans.py, with names for its weights."""
    layers, features = plans.PLANS[NAMES[name]]

    def define(trt: Any, builder: Any, logger: Any) -> tuple[Any, Any]:
        del logger
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        tensor = network.add_input("x", trt.float16, (plans.BATCH, features))
        kept = []
        for layer in range(layers):
            values = plans.weights(features, layer)
            weight = trt.Weights(values)
            constant = network.add_constant(values.shape, weight)
            network.set_weights_name(weight, f"layers.{layer}.weight")
            none = trt.MatrixOperation.NONE
            tensor = network.add_matrix_multiply(tensor, none, constant.get_output(0), none).get_output(0)
            kept.append((values, weight))
        tensor.name = "y"
        network.mark_output(tensor)
        return network, kept

    return Network(define, lambda weight: plans.weights(features, int(weight.split(".")[1])))


def onnx_model(path: Path, bounds: list[tuple[int, int]]) -> Network:
    """An ONNX model, whose weights have the names of its initializers."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(path))
    initializers = {each.name: each for each in model.graph.initializer}

    def define(trt: Any, builder: Any, logger: Any) -> tuple[Any, Any]:
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, logger)
        if not parser.parse_from_file(str(path)):
            raise RuntimeError("; ".join(parser.get_error(index).desc() for index in range(parser.num_errors)))
        return network, parser

    network = Network(define, lambda weight: numpy_helper.to_array(initializers[weight]))
    network.bounds = bounds
    return network


class Builder:
    """Builds one network with other flags again and again."""

    def __init__(self, trt: Any, network: Network) -> None:
        self.trt, self.network = trt, network
        self.logger = trt.Logger(trt.Logger.WARNING)
        self.runtime = trt.Runtime(self.logger)

    def build(self, *flags: str, capability: str | None = None) -> memoryview:
        """`capability`: a member of TensorRT-RTX's ComputeCapability, such as "SM89"; None for what is usual."""
        trt = self.trt
        builder = trt.Builder(self.logger)
        network, kept = self.network.define(trt, builder, self.logger)
        config = builder.create_builder_config()
        for flag in ("WEIGHT_STREAMING", *flags):
            config.set_flag(getattr(trt.BuilderFlag, flag))
        if capability is not None:
            config.num_compute_capabilities = 1
            if not config.set_compute_capability(getattr(trt.ComputeCapability, capability), 0):
                raise RuntimeError(f"TensorRT does not build for {capability}; its log says why")
        self._add_profile(builder, network, config)
        plan = builder.build_serialized_network(network, config)
        del kept
        if plan is None:
            raise RuntimeError("TensorRT built no plan; its log says why")
        return memoryview(plan)

    def load(self, plan: memoryview) -> Any:
        engine = self.runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise RuntimeError("TensorRT reads no engine from this plan; its log says why")
        return engine

    def refit(self, engine: Any) -> list[dict[str, Any]]:
        """Gives an engine all its weights; returns what that was. TensorRT-RTX 1.6.1 says that none is missing."""
        refitter = self.trt.Refitter(engine, self.logger)
        facts, kept = [], []
        roles = dict(zip(*refitter.get_all(), strict=True))
        for name in refitter.get_all_weights():
            prototype = refitter.get_weights_prototype(name)
            wanted = prototype.dtype.name
            values = np.ascontiguousarray(self.network.weights(name))
            if wanted in NUMPY and values.dtype != NUMPY[wanted]:
                values = values.astype(NUMPY[wanted])
            if not refitter.set_named_weights(name, self.trt.Weights(values)):
                raise RuntimeError(f"TensorRT does not take weight {name!r}; its log says why")
            kept.append(values)
            data = values.tobytes()
            facts.append(
                {
                    "name": name,
                    "dtype": TORCH.get(wanted, wanted.lower()),
                    "count": int(prototype.size),
                    "bytes": int(prototype.nbytes),
                    "given_dtype": str(values.dtype),
                    "given_shape": list(values.shape),
                    "sha256": hashlib.sha256(data).hexdigest(),
                }
            )
        left = list(refitter.get_missing_weights())
        if left:
            raise RuntimeError(f"still missing: {left[:3]}")
        if not refitter.refit_cuda_engine():
            raise RuntimeError("TensorRT refits no engine; its log says why")
        for fact in facts:
            fact["roles"] = {layer: str(role) for layer, role in roles.items() if fact["name"] in layer}
        return facts

    def serialize(self, engine: Any, exclude: bool) -> memoryview:
        config = engine.create_serialization_config()
        flag = self.trt.SerializationFlag.EXCLUDE_WEIGHTS
        (config.set_flag if exclude else config.clear_flag)(flag)
        plan = engine.serialize_with_config(config)
        if plan is None:
            raise RuntimeError("TensorRT serializes no plan; its log says why")
        return memoryview(plan)

    def run(self, engine: Any, percent: int) -> dict[str, np.ndarray]:
        """The outputs at a budget, from inputs that are the same each time."""
        import torch

        if engine.streamable_weights_size:
            engine.weight_streaming_budget_v2 = engine.streamable_weights_size * percent // 100
        context = engine.create_execution_context()
        stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        tensors = {}
        generator = np.random.default_rng(0)
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        inputs = [name for name in names if engine.get_tensor_mode(name) == self.trt.TensorIOMode.INPUT]
        for name in inputs:
            shape = tuple(engine.get_tensor_profile_shape(name, 0)[1])
            dtype = NUMPY[engine.get_tensor_dtype(name).name]
            values = (
                generator.integers(0, 2, shape) if np.issubdtype(dtype, np.integer) else generator.normal(size=shape)
            )
            tensors[name] = torch.from_numpy(np.asarray(values, dtype)).cuda()
            context.set_input_shape(name, shape)
        for name in names:
            if name not in tensors:
                dtype = NUMPY[engine.get_tensor_dtype(name).name]
                tensors[name] = torch.from_numpy(np.zeros(tuple(context.get_tensor_shape(name)), dtype)).cuda()
            context.set_tensor_address(name, tensors[name].data_ptr())
        torch.cuda.synchronize()
        if not context.execute_async_v3(stream.cuda_stream):
            raise RuntimeError("TensorRT does not run the engine; its log says why")
        torch.cuda.synchronize()
        return {name: tensors[name].cpu().numpy() for name in names if name not in inputs}

    def tensors(self, engine: Any) -> list[dict[str, Any]]:
        found = []
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            dtype = engine.get_tensor_dtype(name).name
            is_input = engine.get_tensor_mode(name) == self.trt.TensorIOMode.INPUT
            fact = {"name": name, "dtype": TORCH.get(dtype, dtype.lower()), "is_input": is_input}
            fact["shape"] = list(engine.get_tensor_shape(name))
            if is_input:
                fact["bounds"] = [list(each) for each in engine.get_tensor_profile_shape(name, 0)]
            found.append(fact)
        return found

    def _add_profile(self, builder: Any, network: Any, config: Any) -> None:
        inputs = [network.get_input(index) for index in range(network.num_inputs)]
        if not any(-1 in tuple(each.shape) for each in inputs):
            return
        profile = builder.create_optimization_profile()
        for each in inputs:
            ends = [iter(self.network.bounds) for _ in range(2)]
            low = [next(ends[0])[0] if size == -1 else size for size in each.shape]
            high = [next(ends[1])[1] if size == -1 else size for size in each.shape]
            profile.set_shape(each.name, low, high, high)
        config.add_optimization_profile(profile)


class Steps:
    """Runs one thing after the other; what fails is recorded, and what needs it is left out."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {"seconds": {}, "sizes": {}, "errors": {}}

    def run(self, name: str, make: Callable[[], Any]) -> Any:
        print(f"  {name} ...", file=sys.stderr, flush=True)
        start = time.perf_counter()
        try:
            made = make()
        except Exception as error:  # the bindings raise what they like; the rest of the run is worth having
            self.facts["errors"][name] = f"{type(error).__name__}: {error}"
            print(f"  {name}: {error}", file=sys.stderr, flush=True)
            return None
        self.facts["seconds"][name] = round(time.perf_counter() - start, 4)
        if isinstance(made, memoryview):
            self.facts["sizes"][name] = made.nbytes
        return made


def measure(name: str, network: Network, folder: Path) -> dict[str, Any]:
    """All of the above for one network."""
    build, steps = Builder(plans.import_tensorrt(), network), Steps()
    run, facts = steps.run, steps.facts
    full = run("full", lambda: build.build())
    engine = full is not None and run("load full", lambda: build.load(full))
    wanted = {}
    if engine:
        facts["tensors"] = build.tensors(engine)
        facts["streamable_bytes"] = int(engine.streamable_weights_size)
        wanted = {each: run(f"run full {each}", lambda each=each: build.run(engine, each)) for each in BUDGETS}
        run("exclude weights of full", lambda: build.serialize(engine, exclude=True))
    del engine
    stripped = run("stripped", lambda: build.build("STRIP_PLAN", "REFIT_IDENTICAL"))
    if stripped is not None:
        (folder / f"{name}.stripped.plan").write_bytes(stripped)
        facts["stripped_sha256"] = hashlib.sha256(stripped).hexdigest()
        engine = run("load stripped", lambda: build.load(stripped))
        if engine:
            facts["missing"] = run("refit", lambda: build.refit(engine))
            facts["stripped_streamable_bytes"] = int(engine.streamable_weights_size)
            facts["equal"] = dict(compare(build, engine, wanted, run, "refitted"))
            merged = run("merged", lambda: build.serialize(engine, exclude=False))
            run("excluded again", lambda: build.serialize(engine, exclude=True))
            again = merged is not None and run("load merged", lambda: build.load(merged))
            if again:
                facts["merged_equal"] = dict(compare(build, again, wanted, run, "merged"))
                facts["merged_refittable"] = bool(again.refittable)
                facts["merged_missing"] = run("missing of merged", lambda: missing(build, again))
    refittable = run("refittable", lambda: build.build("REFIT_IDENTICAL"))
    engine = refittable is not None and run("load refittable", lambda: build.load(refittable))
    if engine:
        facts["own_weights"] = run("own weights", lambda: own_weights(build, engine))
        excluded = run("excluded", lambda: build.serialize(engine, exclude=True))
        other = excluded is not None and run("load excluded", lambda: build.load(excluded))
        if other and run("refit excluded", lambda: build.refit(other)) is not None:
            facts["excluded_equal"] = dict(compare(build, other, wanted, run, "excluded"))
    return facts


def compare(build: Builder, engine: Any, wanted: Any, run: Any, what: str) -> Iterator[tuple[str, bool | None]]:
    for percent, answer in wanted.items():
        got = run(f"run {what} {percent}", lambda percent=percent: build.run(engine, percent))
        known = answer is not None and got is not None
        yield str(percent), all(np.array_equal(got[name], answer[name]) for name in answer) if known else None


def missing(build: Builder, engine: Any) -> int:
    return len(build.trt.Refitter(engine, build.logger).get_missing_weights())


def own_weights(build: Builder, engine: Any) -> dict[str, Any]:
    """What IRefitter says of weights that the engine has: to strip a file, they would have to come from there."""
    refitter = build.trt.Refitter(engine, build.logger)
    names = list(refitter.get_all_weights())
    found = {"all": len(names), "missing": len(refitter.get_missing_weights())}
    if names:
        weights = refitter.get_named_weights(names[0])
        found["first"] = {
            "name": names[0],
            "size": int(weights.size),
            "location": str(refitter.get_weights_location(names[0])),
        }
    return found


def read_bounds(text: str) -> list[tuple[int, int]]:
    """ "1..8x1..128": of the dynamic dimensions of each input, in order."""
    return [(int(low), int(high)) for low, _, high in (each.partition("..") for each in text.split("x"))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=sorted(NAMES))
    parser.add_argument("--onnx", type=Path)
    parser.add_argument("--bounds", type=read_bounds, default=[(1, 8), (1, 128)])
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    networks = {name: partial(chain, name) for name in NAMES if arguments.only in (None, name)}
    if arguments.onnx:
        networks[arguments.onnx.stem] = partial(onnx_model, arguments.onnx, arguments.bounds)
    facts: dict[str, Any] = {"tensorrt": plans.import_tensorrt().__version__, "networks": {}}
    for name, make in networks.items():
        print(name, file=sys.stderr, flush=True)
        facts["networks"][name] = measure(name, make(), arguments.folder)
        (arguments.folder / "plans.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
