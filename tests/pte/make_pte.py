"""Writes real .pte files with ExecuTorch's own export, with blobs of our choice as delegate payloads.

A script, not a module of the tests: its backend class has the id of the shipped one, and a process holds only one.

    python tests/pte/make_pte.py FOLDER
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from pathlib import Path
from typing import Any, ClassVar, final

import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import ExecutorchBackendConfig, to_edge, to_edge_transform_and_lower
from executorch.exir._serialize._program import deserialize_pte_binary
from executorch.exir.backend.backend_api import to_backend
from executorch.exir.backend.backend_details import BackendDetails, PreprocessResult
from executorch.exir.backend.compile_spec_schema import CompileSpec

from torchtrt_ws import blob
from torchtrt_ws.export.engine.payload import BufferPayload
from torchtrt_ws.export.engine.weight import Weight, separate_weights
from torchtrt_ws.export.file.companion import lay_out_weights

PLAN = b"vtrt" + bytes(4092)
RTX_PLAN = struct.pack("<4s12xQ4B", b"vtrt", 4097, 1, 6, 1, 120) + bytes(4068)  # 4096 bytes, and one more for a name
NESTED = b"\x10\0\0\0ET12" + bytes(1000)


@final
class TensorRTBackend(BackendDetails):
    """Gives each lowered module the blob that its first compile spec names."""

    blobs: ClassVar[dict[bytes, bytes]] = {}

    @staticmethod
    def preprocess(edge_program: Any, compile_specs: list[CompileSpec]) -> PreprocessResult:
        return PreprocessResult(processed_bytes=TensorRTBackend.blobs[bytes(compile_specs[0].value)])


class Scale(torch.nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor


class Chain(torch.nn.Module):
    def __init__(self, *stages: Any) -> None:
        super().__init__()
        self.stages = stages  # lowered modules are no torch.nn.Modules to register

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for stage in self.stages:
            x = stage(x)
        return x


class Scaled(Chain):
    """With weights that `save_apart` puts into a file of their own."""

    def __init__(self, *stages: Any) -> None:
        super().__init__(*stages)
        self.scale = torch.nn.Parameter(torch.tensor([[2.0], [10.0]]), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * self.scale


X = (torch.zeros(2, 3),)


def our_blob(
    name: str,
    kind: str,
    engine: bytes,
    streamable: int | None,
    estimated: bool = False,
    profiles: tuple[blob.OptimizationProfile, ...] = (),
    weights: blob.SeparateWeights | None = None,
) -> bytes:
    dims = ((-1, 3), (1, 3), (2, 3))
    facts = blob.OwnFacts(
        name=name,
        kind=kind,
        sha256=hashlib.sha256(engine).hexdigest(),
        streamable_bytes=streamable,
        streamable_estimated=estimated,
        inputs=(blob.TensorFacts("x", "float32", *dims),),
        outputs=(blob.TensorFacts("y", "float32", *dims),),
        optimization_profiles=profiles,
        weights=weights,
        schema=1 if weights is None else 2,
    )
    bindings = (blob.Binding("x", "float32", (-1, 3), True), blob.Binding("y", "float32", (-1, 3), False))
    return blob.write(engine, blob.Metadata(bindings, own=facts))


def their_blob(engine: bytes, **facts: Any) -> bytes:
    bindings = (blob.Binding("input_0", is_input=True), blob.Binding("output_0", is_input=False))
    return blob.write(engine, blob.Metadata(bindings, target_platform="linux_x86_64", **facts))


def lower(tag: bytes, payload: bytes, *specs: tuple[str, bytes]) -> Any:
    """A module that is one delegate with this payload, and these compile specs behind the first."""
    TensorRTBackend.blobs[tag] = payload
    edge = to_edge(torch.export.export(Scale(2.0), X))
    compile_specs = [CompileSpec(key, value) for key, value in (("tag", tag), *specs)]
    return to_backend(TensorRTBackend.__name__, edge.exported_program(), compile_specs)


def save(path: Path, methods: dict[str, Any], **config: Any) -> None:
    programs = {name: torch.export.export(module, X) for name, module in methods.items()}
    path.write_bytes(to_edge(programs).to_executorch(ExecutorchBackendConfig(**config)).buffer)


def save_apart(folder: Path, name: str, module: Any, data: str) -> None:
    """`name`.pte, and its weights in `data`.ptd."""
    config = ExecutorchBackendConfig(external_constants=lambda node: data)
    program = to_edge(torch.export.export(module, X)).to_executorch(config)
    (folder / f"{name}.pte").write_bytes(program.buffer)
    program.write_tensor_data_to_file(str(folder))


def as_executorch_reads_it(path: Path) -> list[dict[str, Any]]:
    """Methods and delegates by ExecuTorch's own reader: what ours must find too."""
    program = deserialize_pte_binary(path.read_bytes()).program
    data = program.backend_delegate_data
    return [
        {
            "name": plan.name,
            "delegates": [
                {
                    "id": delegate.id,
                    "payload_sha256": hashlib.sha256(bytes(data[delegate.processed.index].data)).hexdigest(),
                    "compile_specs": [[spec.key, bytes(spec.value).hex()] for spec in delegate.compile_specs],
                }
                for delegate in plan.delegates
            ],
        }
        for plan in program.execution_plan
    ]


def main(folder: Path) -> None:
    budget = "weight_streaming_budget"
    profiles = tuple((blob.ProfileBounds("x", (1, 3), (rows, 3), (rows, 3)),) for rows in (1, 2))
    ours = our_blob("tower-a", "tensorrt", PLAN, 4000, profiles=profiles)
    one = Chain(lower(b"one", ours, (budget, b"1000"), ("target_device", b"cuda:1")))
    save(folder / "one.pte", {"forward": one})
    save_apart(folder, "apart", Scaled(lower(b"apart", ours)), "weights")
    weights = [
        Weight(name, "float16", 1024, BufferPayload(bytes([index]) * 2048))
        for index, name in enumerate(("layers.0.weight", "layers.1.weight"))
    ]
    with (folder / "stripped.ptd").open("wb") as file:
        lay_out_weights(weights).write_to(file)
    recorded = separate_weights("stripped", weights, "stripped.ptd")
    stripped = lower(b"stripped", our_blob("stripped", "tensorrt", PLAN, 4096, weights=recorded), (budget, b"1000"))
    save(folder / "stripped.pte", {"forward": Chain(stripped)})
    # An engine in a data file, as Torch-TensorRT 2.15 may write it.
    elsewhere = their_blob(PLAN, engine_key="engine_0")
    elsewhere = elsewhere[:16] + bytes(8) + elsewhere[24 : -len(PLAN)]  # of 0 bytes
    save(folder / "elsewhere.pte", {"forward": Chain(lower(b"elsewhere", elsewhere))})
    save(folder / "inline.pte", {"forward": one}, extract_delegate_segments=False)

    towers = Chain(
        lower(b"a", ours, (budget, b"9223372036854775807")),
        lower(b"b", their_blob(PLAN + b"b"), (budget, b"0")),
    )
    host = Chain(lower(b"c", our_blob("encoder", "host", NESTED, None)), Scale(3.0))
    nested = Chain(lower(b"d", their_blob(NESTED)), lower(b"e", our_blob("last", "later", PLAN + b"e", 7, True)))
    save(folder / "several.pte", {"forward": towers, "encode": host, "decode": nested})

    facts = {
        "hardware_compatible": True,
        "device_id": 3,
        "serialized_metadata": "gASVBQAAAAAAAACMAXiULg==",
        "aliased_io": (blob.Alias("output_0", "input_0"),),
    }
    specs = (
        ("note", b"[bold]two words"),
        ("bits", bytes(range(256))),
        ("\x1b[2J\n", b"1"),
        ("target_device", b"cuda:3"),
    )
    theirs = Chain(lower(b"i", their_blob(RTX_PLAN + b"b", **facts), *specs))
    save(folder / "theirs.pte", {"forward": theirs})
    # The first engine has another name, the second one another byte, and one method is another one.
    renamed = Chain(
        lower(b"a", our_blob("tower-b", "tensorrt", PLAN, 4000, profiles=profiles), (budget, b"9223372036854775807")),
        lower(b"b", their_blob(PLAN + b"c"), (budget, b"0")),
    )
    save(folder / "changed.pte", {"forward": renamed, "encode": host, "later": nested})

    save(folder / "bad_budget.pte", {"forward": Chain(lower(b"f", ours, (budget, b"1GiB")))})
    save(folder / "two_budgets.pte", {"forward": Chain(lower(b"g", ours, (budget, b"1"), (budget, b"2")))})
    save(folder / "bad_blob.pte", {"forward": Chain(lower(b"h", b"TR01" + bytes(60)))})
    save(folder / "no_delegates.pte", {"forward": Scale(2.0)})

    linear = torch.export.export(torch.nn.Linear(3, 4), X)
    xnnpack = to_edge_transform_and_lower(linear, partitioner=[XnnpackPartitioner()]).to_executorch()
    (folder / "xnnpack.pte").write_bytes(xnnpack.buffer)

    wanted = {path.name: as_executorch_reads_it(path) for path in sorted(folder.glob("*.pte"))}
    (folder / "wanted.json").write_text(json.dumps(wanted))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
