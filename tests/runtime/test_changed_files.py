"""Programs whose budget was changed, or that were annotated, in the real runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from warm_python import python

import torchtrt_ws
from torchtrt_ws import blob, pte

MIB = 1 << 20


def copy_of(original: Path, tmp_path: Path) -> Path:
    path = tmp_path / "m.pte"
    path.write_bytes(original.read_bytes())
    return path


def without_metadata(original: Path, path: Path) -> Path:
    """The program as Torch-TensorRT would have written its metadata: spaces in the place of our key."""
    contents = bytearray(original.read_bytes())
    (engine,) = pte.read(original).engines
    start = engine.payload_offset
    header = blob.read_header(contents[start : start + engine.payload_bytes])
    begin = start + header.metadata_offset
    text = bytes(contents[begin : begin + header.metadata_size])
    bare = text[: text.index(b',"torchtrt_ws"')] + b"}"
    contents[begin : begin + header.metadata_size] = bare.ljust(len(text))
    path.write_bytes(contents)
    return path


def test_the_new_budget_is_loaded(plain: Path, tmp_path: Path, x: np.ndarray, want: np.ndarray) -> None:
    path = copy_of(plain, tmp_path)
    for value, wanted in ((2 * MIB, 2 * MIB), ("50%", None), (MIB, MIB), (0, 0)):
        assert torchtrt_ws.set_budget(path, value).in_place
        program = torchtrt_ws.load(path)
        (engine,) = program.engines
        assert engine.source == "baked"
        assert engine.budget_bytes == wanted or wanted is None
        np.testing.assert_allclose(program(x)[0], want, rtol=1e-4, atol=1e-4)
    assert torchtrt_ws.set_budget(path, "auto").in_place
    assert torchtrt_ws.load(path).engines[0].source != "baked"


def test_a_loaded_program_keeps_its_budget(plain: Path, tmp_path: Path, x: np.ndarray, want: np.ndarray) -> None:
    path = copy_of(plain, tmp_path)
    torchtrt_ws.set_budget(path, MIB)
    program = torchtrt_ws.load(path)
    for value in (0, "100%", 3 * MIB):  # the second change writes where the program was read from
        torchtrt_ws.set_budget(path, value)
        assert program.engines[0].budget_bytes == MIB
        np.testing.assert_allclose(program(x)[0], want, rtol=1e-4, atol=1e-4)


def test_executorch_s_own_checks_take_it(plain: Path, tmp_path: Path) -> None:
    """Its flatbuffer verifier, through its own bindings."""
    path = copy_of(plain, tmp_path)
    code = """
import sys
import torchtrt_ws.runtime  # registers the backend
from executorch.runtime import Runtime, Verification
program = Runtime.get().load_program(sys.argv[1], verification=Verification.InternalConsistency)
print(sorted(program.method_names))
"""
    for value in (None, 5, "100%"):
        torchtrt_ws.set_budget(path, value)
        done = python("-c", code, path, exports=True)
        assert done.stdout == "['forward']\n", done.stderr


def test_a_file_without_metadata_is_annotated(
    plain: Path, tmp_path: Path, x: np.ndarray, want: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    path = without_metadata(plain, tmp_path / "theirs.pte")
    np.testing.assert_allclose(torchtrt_ws.load(path)(x)[0], want, rtol=1e-4, atol=1e-4)
    assert "`torchtrt-ws annotate` adds one" in " ".join(caplog.messages)
    caplog.clear()
    assert torchtrt_ws.annotate(path).engines == ("engine0",)
    program = torchtrt_ws.load(path, weight_streaming_budget=MIB)
    assert "is not verified" not in caplog.text
    assert (program.engines[0].name, program.engines[0].budget_bytes) == ("engine0", MIB)
    np.testing.assert_allclose(program(x)[0], want, rtol=1e-4, atol=1e-4)
    (engine,) = pte.read(path).engines
    contents = bytearray(path.read_bytes())
    contents[engine.engine_offset + engine.engine_bytes // 2] ^= 1
    path.write_bytes(contents)
    with pytest.raises(torchtrt_ws.WeightStreamingError, match="CRC-32C"):
        torchtrt_ws.load(path)
