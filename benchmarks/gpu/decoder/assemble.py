"""Builds the plans of heads.py's models with real weights, and puts them into the programs.

Needs TensorRT-RTX and PyTorch; no exporter, no ExecuTorch. Weights are given to the parser where PyTorch has them.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import model as models
import quantized
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent.parent))

PIECE = 512 << 10  # bytes: larger writes cost the kernel more

Weights = Mapping[str, torch.Tensor]


def weights(shape: models.Shape) -> dict[str, torch.Tensor]:
    """What the parser is given, by the names that heads.py has: quantized matrices as ONNX has them, with scales."""
    found = {}
    module = models.build(shape, filled=False)
    seeds = {name: seed for seed, (name, _) in enumerate(models.matrices(module))}
    for name, each in module.named_parameters():
        if name in seeds and models.is_quantized(shape, name):
            numbers, found[f"{name}_scale"] = models.numbers(each, shape.weights, seeds[name])
            found[f"{name}_quantized"] = quantized.packed(numbers) if shape.weights == "int4" else numbers
            if shape.weights == "int8":
                found[f"{name}_scale_behind"] = quantized.scales_behind(found[f"{name}_scale"])
            continue
        if name in seeds:
            models.fill(each.data, seeds[name])
        found[name] = each.data
    return found


def import_tensorrt() -> Any:
    """TensorRT-RTX, from its wheel or its bare bindings (RTX_DIR then has its libraries)."""
    folder = Path(os.environ.get("RTX_DIR", "/nowhere")) / "tensorrt_rtx_libs"
    for library in sorted(folder.glob("*.so*"), reverse=True):  # the runtime before the parser, which needs it
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    for name in ("tensorrt_rtx", "tensorrt_rtx_bindings"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise SystemExit("no tensorrt_rtx and no tensorrt_rtx_bindings")


class _Target:
    """Bytes of a file from a place on, with their digests where the package crc32c is there."""

    def __init__(self, path: Path, offset: int) -> None:
        self.file = open(path, "r+b", buffering=0)  # noqa: SIM115  # closed by `build`
        self.file.seek(offset)
        self.size = 0
        self.hasher: Any = None
        try:
            importlib.import_module("crc32c")
            from torchtrt_ws.digests import Hasher

            self.hasher = Hasher()
        except ImportError:
            pass

    def write(self, data: bytes) -> int:
        view = memoryview(data)
        while view:
            view = view[self.file.write(view[:PIECE]) :]
        if self.hasher is not None:
            self.hasher.update(data)
        self.size += len(data)
        return len(data)


def build(trt: Any, model: Path, facts: Mapping[str, Any], weights: Weights, path: Path, offset: int) -> _Target:
    """Builds one plan.

    Args:
        trt: From `import_tensorrt`.
        model: The ONNX model, without its large weights.
        facts: What heads.py says of the engine.
        weights: By their names in the module.
        path: The file that gets the plan.
        offset: Where in it.

    Returns:
        What was written: its size, and its digests.
    """
    log = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    parser.load_model_proto(model.read_bytes(), str(model))
    for initializer, name in facts["weights"].items():
        if not parser.load_initializer(initializer, weights[name].data_ptr(), weights[name].nbytes):
            raise SystemExit(f"{model}: no initializer {initializer!r} of {weights[name].nbytes} bytes")
    if not parser.parse_model_proto():
        raise SystemExit(f"{model}: {[parser.get_error(each).desc() for each in range(parser.num_errors)]}")
    config = builder.create_builder_config()
    config.set_flag(trt.BuilderFlag.WEIGHT_STREAMING)
    for profile in facts["profiles"]:
        made = builder.create_optimization_profile()
        for name, *bounds in profile:
            made.set_shape(name, *bounds)
        config.add_optimization_profile(made)
    target = _Target(path, offset)

    class Stream(trt.IStreamWriter):  # type: ignore[misc]  # the bindings have no types
        def __init__(self) -> None:
            trt.IStreamWriter.__init__(self)

        def write(self, data: bytes) -> int:
            return target.write(data)

    if not builder.build_serialized_network_to_stream(network, config, Stream()):
        raise SystemExit(f"{model}: not built")
    target.file.close()
    return target


def plan(trt: Any, folder: Path, name: str, facts: Mapping[str, Any], weights: Weights, path: Path) -> int:
    """Builds the one engine of a plain program into a file of its own. Returns its bytes."""
    path.write_bytes(b"")
    (engine,) = facts["engines"].values()
    return build(trt, folder / engine["model"], engine, weights, path, 0).size


def program(trt: Any, folder: Path, name: str, facts: Mapping[str, Any], weights: Weights, path: Path) -> bool:
    """Builds the engines of a program into it. Returns whether it has their digests: otherwise load it with
    verify="off"."""
    from torchtrt_ws import pte
    from torchtrt_ws.pte.flatbuffer import Table
    from torchtrt_ws.pte.layout import U64, Field, open_program

    with open(path, "wb") as file:
        file.truncate(facts["size"])
        with open(folder / f"{name}.head", "rb") as head:
            while place := head.read(16):
                offset, size = struct.unpack("<QQ", place)
                file.seek(offset)
                file.write(head.read(size))
        if facts["table"] is not None:
            file.seek(facts["table"])
            file.write(weights["table.weight"].view(torch.uint8).numpy().data)
    digested = True
    patches: list[tuple[int, bytes]] = []
    for engine in pte.read(path).engines:
        own = facts["engines"][engine.name]
        made = build(trt, folder / own["model"], own, weights, path, engine.engine_offset)
        if made.size > engine.engine_bytes:
            raise SystemExit(f"{engine.name}: a plan of {made.size} bytes; heads.py left {engine.engine_bytes}")
        patches.append((engine.payload_offset + 16, U64.pack(made.size)))
        opened = open_program(path)
        for index in range(opened.segments.count):
            region = opened.segment(index)
            if region.offset == engine.payload_offset and region.size:
                table: Table = opened.segments.table(index)
                position = table.find(Field.SEGMENT_SIZE, U64.size)
                assert position is not None, "it is not empty"
                before = engine.engine_offset - engine.payload_offset
                patches.append((position, U64.pack(before + made.size)))
        digested = made.hasher is not None
        if digested:
            found = made.hasher.digests()
            text = bytes(opened.view[engine.payload_offset : engine.engine_offset])
            for old, new in ((engine.sha256, found.sha256), (engine.crc32c, found.crc32c)):
                patches.append((engine.payload_offset + text.index(f'"{old}"'.encode()) + 1, new.encode()))
    with open(path, "r+b") as file:
        for offset, data in patches:
            file.seek(offset)
            file.write(data)
    return digested
