"""`torchtrt-ws wrap`."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

from warm_python import python

from torchtrt_ws import pte


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return python("-m", "torchtrt_ws", "wrap", *arguments, exports=True)


def test_wrap(tmp_path: Path) -> None:
    plan, out = tmp_path / "a.plan", tmp_path / "a.pte"
    plan.write_bytes(struct.pack("<4s12xQ4B", b"vtrt", 100, 1, 6, 1, 120) + bytes(72))
    tensors = ("--input", "x:float16:1..16x4096", "--input", "m:bool:4", "--output", "y:float16:1..16x4096")
    done = run(plan, "-o", out, *tensors, "--weight-streaming-budget", "1KiB", "--name", "encoder", "--device", "cuda")
    assert (done.returncode, done.stdout) == (0, "")
    (engine,) = pte.read(out).engines
    assert (engine.name, engine.kind, engine.baked_budget) == ("encoder", "tensorrt", 1024)
    assert [(each.name, each.dtype, each.max) for each in engine.inputs] == [
        ("x", "float16", (16, 4096)),
        ("m", "bool", (4,)),
    ]
    assert [(spec.key, spec.value) for spec in engine.compile_specs][1] == ("target_device", b"cuda:0")


def test_refused(tmp_path: Path) -> None:
    (tmp_path / "a.plan").write_bytes(b"vtrt")
    done = run(tmp_path / "a.plan", "-o", tmp_path / "a.pte", "--input", "x:half:3", "--output", "y:half:3")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("error: engine 'forward': found 4 bytes of a TensorRT-RTX plan")
    assert not (tmp_path / "a.pte").exists()
    assert run(tmp_path / "a.plan").returncode == 2
