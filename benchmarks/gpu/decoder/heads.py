"""Writes what a GPU machine without PyTorch's exporter needs to build the programs there: everything but the weights.

    python benchmarks/gpu/decoder/heads.py FOLDER --shape 8b [--layers 32] [--weights int8]

Needs the extras export and rtx; no GPU, and for 16 GB of weights some 5 GB of memory: the weights are a file that
is all holes. For each batch it writes the ONNX models of the engines as torchtrt_ws exports them and as one plain
engine, and of the program all bytes that are not zero. `assemble.py` builds the plans from that and puts them into the
holes. Quantized weights (int8, int4) are torchao's, which has to be installed then.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import model as models
import quantized
import torch

MARK = b"the table begins"  # first bytes of the table, which is found by it in the program
ROOM = 64 << 20  # bytes that a plan may have beside its weights
BLOCK = 1 << 16
BATCHES = (1, 8)
EXPORTS = ("streaming", "plain")


def hollow(shape: models.Shape, folder: Path) -> tuple[models.Decoder, dict[int, str]]:
    """The module, its matrices in a file without data: as large as they are, and of no size. And the names of weights,
    as `assemble.weights` has them, by their addresses."""
    from torchtrt_ws.export.sources.onnx_weights import LEFT_OUT

    module = models.build(shape, filled=False)
    named = models.matrices(module)
    shares = {"int8": 2, "int4": 4}
    for name, each in named:
        size = each.nbytes // (shares[shape.weights] if models.is_quantized(shape, name) else 1)
        if size < LEFT_OUT:
            raise SystemExit(f"{name}: under {LEFT_OUT} bytes, which stay in the model: they would be zeros")
    path = folder / "weights"
    with open(path, "wb") as file:
        file.truncate(sum(-(-each.nbytes // 4096) * 4096 for _, each in named))
    offset = 0
    names: dict[int, str] = {}
    for seed, (name, each) in enumerate(named):
        # A mapping of its own for each: offsets of whole pages.
        stored = torch.from_file(str(path), shared=True, size=(offset + each.nbytes) // 2, dtype=torch.float16)
        data = stored[offset // 2 :]
        offset += -(-each.nbytes // 4096) * 4096
        if models.is_quantized(shape, name):
            rows, columns = each.shape
            numbers = data.view(torch.int8)[: rows * columns].view(rows, columns)
            scale = quantized.scales((rows, columns), shape.weights, seed, models.DEVIATION)
            owner = module.get_submodule(name.rpartition(".")[0])
            weight = quantized.as_torchao(numbers, scale, shape.weights)
            owner.weight = torch.nn.Parameter(weight, requires_grad=False)
            names |= {numbers.data_ptr(): f"{name}_quantized", scale.data_ptr(): f"{name}_scale"}
        else:
            each.data = data.view(each.shape)
            names[data.data_ptr()] = name
    mark = torch.frombuffer(bytearray(MARK), dtype=torch.float16)
    module.table.weight.data.view(-1)[: mark.numel()] = mark
    return module, names


def write(
    folder: Path,
    shape: models.Shape,
    batches: tuple[int, ...] = BATCHES,
    exports: tuple[str, ...] = EXPORTS,
    streaming: Any = True,
) -> None:
    """Writes the folder, or what it lacks. `streaming` is what `torchtrt_ws.save` takes."""
    facts: dict[str, Any] = {"shape": asdict(shape), "programs": {}}
    if (path := folder / "decoder.json").exists():
        there = json.loads(path.read_text())
        facts = there if there["shape"] == facts["shape"] else facts
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        module, names = hollow(shape, Path(scratch))
        for batch in batches:
            for export in exports:
                name = f"{export}-{batch}"
                if name in facts["programs"]:
                    continue
                chosen = streaming if export == "streaming" else False
                facts["programs"][name] = _program(folder, Path(scratch), name, module, names, batch, chosen)
                path.write_text(json.dumps(facts, indent=1) + "\n")
                print(name, flush=True)


def _program(
    folder: Path,
    scratch: Path,
    name: str,
    module: models.Decoder,
    names: dict[int, str],
    batch: int,
    streaming: Any,
) -> dict[str, Any]:
    import torchtrt_ws
    from torchtrt_ws.digests import Digests
    from torchtrt_ws.export.engine.payload import FilePayload
    from torchtrt_ws.export.sources import tensorrt_rtx
    from torchtrt_ws.export.sources.onnx_weights import address

    engines: dict[str, Any] = {}

    def left_out(engine: str, model: Any, interface: Any, _: Any, profiles: Any, *rest: Any) -> FilePayload:
        """In the place of a build: keeps the model, and gives a plan that is a hole."""
        shutil.copy(model.path, folder / f"{name}-{engine}.onnx")
        size = model.weight_bytes + ROOM
        plan = scratch / f"{name}-{engine}.plan"
        with open(plan, "wb") as file:
            file.write(struct.pack("<4s12xQ4B", b"vtrt", size, 1, 6, 1, 120))
            file.truncate(size)
        number = len(engines) + 1  # no digests of holes: placeholders that are found again
        digests = Digests(f"{number:08x}", f"{number:064x}")
        engines[engine] = {
            "model": f"{name}-{engine}.onnx",
            # Integers of four bits were packed, so their address is not known; they have the name of their weight.
            "weights": {key: names.get(address(each), key) for key, each in model.weights.items()},
            "weight_bytes": model.weight_bytes,
            "profiles": [[[each.name, each.min, each.opt, each.max] for each in profile] for profile in profiles],
        }
        return FilePayload(plan, digests)

    shape = module.shape
    module.set_batch(batch)
    start = torch.zeros(1, dtype=torch.int64)
    several = torch.export.Dim("count", min=1, max=shape.prompt)
    # One profile: TensorRT-RTX keeps most weights once for each, and two took 1.65 times the memory.
    shapes: Any = {"ids": {1: several}, "start": None} if batch == 1 else None
    tensorrt: Any = tensorrt_rtx
    built, tensorrt.build_plan = tensorrt.build_plan, left_out
    path = scratch / f"{name}.pte"
    try:
        torchtrt_ws.save(
            module,
            path,
            arg_inputs=(models.prompt(shape, batch, 8 if batch == 1 else 1), start),
            dynamic_shapes=shapes,
            engine="tensorrt_rtx",
            streaming=streaming,
            use_fp32_acc=None if streaming else False,  # plain is as TensorRT does it
        )
    finally:
        tensorrt.build_plan = built
    facts = {"batch": batch, "size": path.stat().st_size, "engines": engines, "table": None}
    with open(folder / f"{name}.head", "wb") as head:
        for offset, data in _blocks(path):
            if (at := data.find(MARK)) >= 0:
                facts["table"] = offset + at
            head.write(struct.pack("<QQ", offset, len(data)))
            head.write(data)
    path.unlink()
    return facts


def _blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) of what is neither a hole nor all zeros; runs of blocks in one."""
    zeros, start, kept = bytes(BLOCK), 0, bytearray()
    with open(path, "rb", buffering=0) as file:
        size, position = os.fstat(file.fileno()).st_size, 0
        while position < size:
            try:
                position = os.lseek(file.fileno(), position, os.SEEK_DATA) // BLOCK * BLOCK
            except OSError:  # no data any more
                break
            data = os.pread(file.fileno(), BLOCK, position)
            if data != zeros[: len(data)]:
                if start + len(kept) != position and kept:
                    yield start, bytes(kept)
                    kept.clear()
                start = position if not kept else start
                kept += data
            position += len(data)
    if kept:
        yield start, bytes(kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", choices=models.SHAPES, default="8b")
    parser.add_argument("--layers", type=int, help="instead of the shape's")
    parser.add_argument("--weights", choices=models.WEIGHTS, default="float16", help="of all matrices but the table")
    parser.add_argument("--batches", type=int, nargs="*", default=BATCHES)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    write(given.folder, models.read_shape(given.shape, given.layers, given.weights), given.batches)


if __name__ == "__main__":
    main()
