"""What bare TensorRT-RTX makes of products with weights in several forms: kernels, memory of a context, times.

    python benchmarks/gpu/forms.py --name h200 [--out benchmarks/results]

Needs a GPU, TensorRT-RTX, PyTorch and onnx. Each case is a chain of products of FEATURES x FEATURES, so that the memory
of a context tells whether a kernel of its own wrote the weights as floats: those of all products are in it together.
torchtrt_ws/export/graph/quantized_forms.py and sources/onnx_scales.py stand on what this says of quantized weights, the
default of `use_fp32_acc` on what it says of sums.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "benchmarks" / "gpu" / "decoder"))

FEATURES, GROUP = 2048, 128
CALLS = 30


@dataclass(frozen=True)
class Case:
    """One chain.

    Args:
        weights: "float16", or "int8" or "int4" with scales for "whole", "rows" or "groups", as in "int8 rows".
        rows: That are multiplied.
        tail: What is behind each product: "none", or "bias and relu".
        form: How the product is written: a Gemm ("gemm"), a MatMul ("matmul"), with rows of zeros added ("padded"), or
            turned ("column").
        sums: "float32" or "float16", where the model is float16.
        dtype: Of the model.
        layers: How many products there are.
        flags: Of TensorRT's builder, beside WEIGHT_STREAMING.
    """

    weights: str
    rows: int
    tail: str = "none"
    form: str = "gemm"
    sums: str = "float32"
    dtype: str = "float16"
    layers: int = 4
    flags: tuple[str, ...] = ()


def cases() -> Iterator[Case]:
    tails = ("none", "bias and relu")
    for tail in tails:
        for rows in (1, 2, 4, 8, 16):
            yield Case("int8 rows", rows, tail)
        yield Case("int8 rows", 1, tail, sums="float16")
        for form in ("matmul", "padded", "column"):
            yield Case("int8 rows", 1, tail, form)
        for weights in ("int8 whole", "int8 groups", "int4 groups"):
            for rows in (1, 16):
                yield Case(weights, rows, tail)
        yield Case("int4 rows", 16, tail)
        for rows in (1, 16):
            for weights in ("int8 rows", "int4 groups"):
                yield Case(weights, rows, tail, dtype="float32")
    for sums in ("float16", "float32"):
        for flags in ((), ("REFIT",), ("REFIT_INDIVIDUAL",)):
            yield Case("float16", 16, "bias and relu", sums=sums, layers=8, flags=flags)


class Chain:
    """The model of a case, and what it computes."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.dtype = np.dtype(case.dtype)
        random = np.random.default_rng(0)
        self.kind, _, self.scales = case.weights.partition(" ")
        low, high = (-8, 8) if self.kind == "int4" else (-127, 128)
        size = (FEATURES, FEATURES)
        self.integers = [random.integers(low, high, size, dtype=np.int8) for _ in range(case.layers)]
        factors = [0.5 + random.random((FEATURES, 1)) for _ in range(case.layers)]
        self.scale = [(each * 2 / (high * FEATURES**0.5)).astype(self.dtype) for each in factors]
        if self.scales == "whole":
            self.scale = [each[:1] for each in self.scale]
        self.bias = [(random.random(FEATURES) / 10).astype(self.dtype) for _ in range(case.layers)]
        self.x = random.standard_normal((case.rows, FEATURES)).astype(self.dtype)

    def weight(self, layer: int) -> np.ndarray[Any, Any]:
        """float64; of float16, those numbers rounded to it."""
        found = self.integers[layer] * self.scale[layer].astype(np.float64)
        return found.astype(np.float16).astype(np.float64) if self.kind == "float16" else found

    def expected(self) -> np.ndarray[Any, Any]:
        y = self.x.astype(np.float64)
        for layer in range(self.case.layers):
            y = y @ self.weight(layer).T
            if self.case.tail != "none":
                y = np.maximum(y + self.bias[layer], 0)
        return y

    def model(self) -> bytes:
        from onnx import TensorProto, helper, numpy_helper

        nodes: list[Any] = []
        tensors: list[Any] = []
        element = TensorProto.FLOAT16 if self.dtype == np.float16 else TensorProto.FLOAT
        wide = self.case.sums == "float32" and self.dtype == np.float16

        def tensor(name: str, array: Any) -> str:
            tensors.append(numpy_helper.from_array(np.asarray(array), name))
            return name

        def node(operator: str, inputs: list[str], **attributes: Any) -> str:
            name = f"t{len(nodes)}"
            nodes.append(helper.make_node(operator, inputs, [name], **attributes))
            return name

        def weight(layer: int) -> str:
            name = f"w{layer}"
            if self.kind == "float16":
                return tensor(name, self.weight(layer).astype(np.float16))
            if self.kind == "int4":
                pairs = self.integers[layer].reshape(-1, 2) & 15
                packed = (pairs[:, 0] | (pairs[:, 1] << 4)).astype(np.uint8)
                tensors.append(
                    helper.make_tensor(name, TensorProto.INT4, (FEATURES, FEATURES), packed.tobytes(), raw=True)
                )
            else:
                tensor(name, self.integers[layer])
            scale = self.scale[layer]
            if self.scales == "groups":
                grouped = tensor(f"s{layer}", np.repeat(scale, FEATURES // GROUP, axis=1))
                return node("DequantizeLinear", [name, grouped], axis=1, block_size=GROUP)
            if self.scales == "whole":
                return node("DequantizeLinear", [name, tensor(f"s{layer}", scale[0, 0])])
            return node("DequantizeLinear", [name, tensor(f"s{layer}", scale[:, 0])], axis=0)

        def product(x: str, w: str, layer: int) -> str:
            if self.case.form == "matmul":
                return node("MatMul", [x, node("Transpose", [w], perm=[1, 0])])
            if self.case.form == "column":
                turned = node("MatMul", [w, node("Transpose", [x], perm=[1, 0])])
                return node("Transpose", [turned], perm=[1, 0])
            if self.case.form == "gemm":
                return node("Gemm", [x, w], transB=1)
            padded = node("Pad", [x, tensor(f"p{layer}", np.array([0, 0, 1, 0]))])
            ends = [tensor(f"e{layer}{index}", np.array([index % 2])) for index in range(3)]
            return node("Slice", [node("Gemm", [padded, w], transB=1), *ends])

        y = "x"
        for layer in range(self.case.layers):
            w = weight(layer)
            if wide:
                y, w = (node("Cast", [each], to=TensorProto.FLOAT) for each in (y, w))
            y = product(y, w, layer)
            if wide:
                y = node("Cast", [y], to=element)
            if self.case.tail != "none":
                y = node("Relu", [node("Add", [y, tensor(f"b{layer}", self.bias[layer])])])
        nodes[-1].output[0] = "y"
        ends = [[helper.make_tensor_value_info(name, element, self.x.shape)] for name in ("x", "y")]
        graph = helper.make_graph(nodes, "chain", *ends, tensors)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        found: bytes = made.SerializeToString()
        return found


def measure(trt: Any, case: Case) -> dict[str, Any]:
    """Sizes are bytes; times microseconds of a call, at shares of the weights that stay on the device."""
    import torch

    chain = Chain(case)
    log = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(chain.model()):
        return {"failed": parser.get_error(0).desc()}
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    for flag in ("WEIGHT_STREAMING", *case.flags):
        config.set_flag(getattr(trt.BuilderFlag, flag))
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        return {"failed": "not built"}
    engine = trt.Runtime(log).deserialize_cuda_engine(bytes(plan))
    x = torch.from_numpy(chain.x).cuda()
    y: Any = torch.empty_like(x)
    stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    row: dict[str, Any] = {"plan_bytes": plan.nbytes, "streamable_bytes": engine.streamable_weights_size, "us": {}}
    for percent in (100, 50, 0):
        engine.weight_streaming_budget_v2 = engine.streamable_weights_size * percent // 100
        context = engine.create_execution_context()
        if context is None:
            return {"failed": "no execution context"}
        for name, memory in (("x", x), ("y", y)):
            context.set_tensor_address(name, memory.data_ptr())
        samples = []
        for _ in range(CALLS):
            torch.cuda.synchronize()
            began = time.perf_counter()
            context.execute_async_v3(stream.cuda_stream)
            stream.synchronize()
            samples.append(1e6 * (time.perf_counter() - began))
        row["us"][str(percent)] = statistics.median(samples[CALLS // 3 :])
        if percent == 100:
            row["context_bytes"] = engine.device_memory_size_v2
            said = engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
            row["layers"] = len(json.loads(said)["Layers"])
        del context  # a budget changes only without one
    expected = chain.expected()
    found = y.cpu().double().numpy()
    row["error"] = float(np.abs(found - expected).max() / np.abs(expected).max())
    return row


def markdown(results: dict[str, Any]) -> str:
    lines = [f"# Products with weights in several forms: {results['gpu']}\n"]
    lines.append(
        f"`python benchmarks/gpu/forms.py`, bare TensorRT-RTX. Chains of products of {FEATURES} x {FEATURES}; what a "
        "context takes is without weights. Where it is more than 8.5 MB, weights are written as floats there.\n"
    )
    if "note" in results:
        lines.append(results["note"] + "\n")
    head = "| weights | rows | model | sums | behind it | written as | flags | layers TensorRT has | context MB | "
    lines += [head + "us at 100 % | 50 % | 0 % | error, of the largest |", "|" + "---|" * 13]
    for row in results["rows"]:
        case = Case(**{**row["case"], "flags": tuple(row["case"]["flags"])})
        what = f"{case.layers} of {case.weights}"
        sums = case.dtype if case.dtype == "float32" else case.sums
        cells = [what, case.rows, case.dtype, sums, case.tail, case.form, ", ".join(case.flags)]
        if "failed" in row:
            cells += [row["failed"], *[""] * 5]
        else:
            times = [f"{row['us'][share]:.0f}" if share in row["us"] else "" for share in ("100", "50", "0")]
            layers, memory = row.get("layers", ""), row.get("context_bytes")
            cells += [layers, "" if memory is None else f"{memory / 1e6:.1f}", *times, f"{row['error']:.1e}"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def write(results: dict[str, Any], stem: Path) -> None:
    stem.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    stem.with_suffix(".md").write_text(markdown(results))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="of the machine: forms-NAME.json")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    given = parser.parse_args()
    import assemble
    import torch

    trt = assemble.import_tensorrt()
    rows = []
    for case in cases():
        rows.append({"case": asdict(case), **measure(trt, case)})
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    write({"gpu": torch.cuda.get_device_name(), "rows": rows}, given.out / f"forms-{given.name}")


if __name__ == "__main__":
    main()
