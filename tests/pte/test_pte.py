"""torchtrt_ws.pte: real .pte files, and files that mean harm."""

from __future__ import annotations

import ctypes
import hashlib
import json
import mmap
import os
import re
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import flatbuffers
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from torchtrt_ws import blob, budget, pte
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.identifiers import BACKEND_ID
from torchtrt_ws.pte.flatbuffer import FlatbufferError
from torchtrt_ws.pte.layout import Region, open_program
from torchtrt_ws.pte.read_program import _Blobs, read_open

REAL = ("one", "inline", "several", "theirs", "no_delegates", "xnnpack")


@pytest.mark.parametrize("name", REAL)
def test_we_find_what_executorch_finds(pte_folder: Path, name: str) -> None:
    path = pte_folder / f"{name}.pte"
    wanted = json.loads((pte_folder / "wanted.json").read_text())[path.name]
    contents = path.read_bytes()
    report = pte.read(path)

    assert report.bytes == len(contents)
    assert [method.name for method in report.methods] == [method["name"] for method in wanted]
    delegates = [(m["name"], d) for m in wanted for d in m["delegates"]]
    ours = [(method, d) for method, d in delegates if d["id"] == BACKEND_ID]
    assert sum(report.other_backends.values()) == len(delegates) - len(ours)
    assert len(report.engines) == len(ours)
    for engine, (method, delegate) in zip(report.engines, ours, strict=True):
        payload = contents[engine.payload_offset : engine.payload_offset + engine.payload_bytes]
        assert engine.method == method
        assert hashlib.sha256(payload).hexdigest() == delegate["payload_sha256"]
        assert [[s.key, s.value.hex()] for s in engine.compile_specs] == delegate["compile_specs"]
        plan = contents[engine.engine_offset : engine.engine_offset + engine.engine_bytes]
        assert engine.sha256 in (None, hashlib.sha256(plan).hexdigest())


@pytest.mark.parametrize("name", ["one", "inline"])
def test_one_engine(pte_folder: Path, name: str) -> None:
    path = pte_folder / f"{name}.pte"
    tensor = {"dtype": "float32", "shape": [-1, 3], "min": [1, 3], "max": [2, 3]}
    specs = [("tag", "one"), ("weight_streaming_budget", "1000"), ("target_device", "cuda:1")]
    value = {
        "type": "tensor",
        "dtype": "float32",
        "shape": [2, 3],
        "dynamic": False,
        "name": None,
        "device": None,
        "planned": True,
    }
    report = pte.read(str(path))
    assert report.as_dict() == {
        "file": str(path),
        "bytes": path.stat().st_size,
        "streamable_bytes": 4000,
        "streamable_estimated": False,
        "methods": [{"name": "forward", "inputs": [value], "outputs": [{**value, "device": "cuda:1"}]}],
        "engines": [
            {
                "name": "tower-a",
                "method": "forward",
                "kind": "tensorrt",
                "builder": "tensorrt-rtx 0.0.0.0",
                "engine_bytes": 4096,
                "engine_offset": path.read_bytes().index(b"vtrt"),
                "streamable_bytes": 4000,
                "streamable_estimated": False,
                "baked_budget": 1000,
                "sha256": hashlib.sha256(b"vtrt" + bytes(4092)).hexdigest(),
                "crc32c": None,
                "same_plan_as": None,
                "target_device": "cuda:1",
                "device_id": 0,
                "target_platform": None,
                "hardware_compatible": False,
                "compile_specs": [
                    {"key": key, "bytes": len(value), "text": value, "hex": None} for key, value in specs
                ],
                "inputs": [{"name": "x", **tensor}],
                "outputs": [{"name": "y", **tensor}],
                "aliased_io": [],
                "optimization_profiles": [
                    {"x": {"min": [1, 3], "opt": [rows, 3], "max": [rows, 3]}} for rows in (1, 2)
                ],
                "nested_method": None,
                "keeps_state": False,
                "state": [],
                "serialized_metadata_bytes": 0,
                "streaming": None,
                "weights": None,
                "engine_key": None,
                "compute_capabilities": [],
                "variants": [],
                "streamable_percent": 100.0,
            }
        ],
        "other_backends": {},
        "has_room": False,
        "external_tensors": [],
        "data_files": [],
        "data_problem": None,
        "signature": None,
    }
    report.require_engines()


def test_several_engines_in_loading_order(pte_folder: Path) -> None:
    report = pte.read(pte_folder / "several.pte")
    assert [(e.name, e.method, e.kind, e.baked_budget) for e in report.engines] == [
        ("engine0", "decode", "host", None),
        ("last", "decode", "later", None),
        ("encoder", "encode", "host", None),
        ("tower-a", "forward", "tensorrt", budget.MAX_BYTES),
        ("engine4", "forward", "tensorrt", 0),
    ]
    theirs = report.engines[-1]
    assert theirs.metadata.own is None and theirs.metadata.target_platform == "linux_x86_64"
    assert (theirs.streamable_bytes, theirs.sha256) == (None, None)
    assert theirs.inputs == (pte.TensorInfo("input_0"),)
    assert report.engines[1].streamable_bytes == 7 and report.engines[1].streamable_estimated


def test_what_a_file_of_others_tells(pte_folder: Path) -> None:
    """Torch-TensorRT records no names of ours, no sizes and no builder: the plan tells what built it."""
    (engine,) = pte.read(pte_folder / "theirs.pte").engines
    plain = engine.as_dict()
    assert (plain["name"], plain["kind"], plain["builder"]) == ("engine0", "tensorrt", "tensorrt-rtx 1.6.1.120")
    assert (plain["target_device"], plain["device_id"], plain["target_platform"]) == ("cuda:3", 3, "linux_x86_64")
    assert plain["hardware_compatible"] is True and plain["keeps_state"] is None
    assert plain["aliased_io"] == [{"output": "output_0", "input": "input_0", "kind": "kv_cache_update"}]
    assert plain["serialized_metadata_bytes"] == 24
    assert [(spec.key, spec.text) for spec in engine.other_specs] == [
        ("tag", "i"),
        ("note", "[bold]two words"),
        ("bits", None),
        ("\x1b[2J\n", "1"),
    ]
    assert plain["compile_specs"][2] == {"key": "bits", "bytes": 256, "text": None, "hex": bytes(range(256)).hex()}
    assert [each.builder for each in pte.read(pte_folder / "several.pte").engines[:2]] == [None, "tensorrt-rtx 0.0.0.0"]


def test_shares_of_the_program(pte_folder: Path) -> None:
    (engine,) = pte.read(pte_folder / "one.pte").engines
    report = pte.read(pte_folder / "one.pte")

    def shares(*sizes: int | None, places: tuple[int, ...] = ()) -> tuple[int | None, tuple[float | None, ...]]:
        engines = tuple(
            replace(engine, name=f"e{i}", streamable_bytes=size, engine_offset=places[i] if places else i)
            for i, size in enumerate(sizes)
        )
        found = replace(report, engines=engines)
        return found.streamable_bytes, found.streamable_percent()

    assert shares(100, 200, 0) == (300, (33.33, 66.67, 0.0))
    assert shares(100, None) == (None, (None, None))
    assert shares(0, 0) == (0, (None, None))
    assert shares() == (None, ())
    assert shares(100, 100, 300, places=(7, 7, 8)) == (
        400,
        (25.0, None, 75.0),
    )  # the second runs on the first's weights


def test_what_lies_beside_a_program(pte_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.pte"
    path.write_bytes((pte_folder / "apart.pte").read_bytes())
    report = pte.read(path)
    assert (report.external_tensors, report.data_files, report.signature) == (("scale",), (), None)
    assert report.data_problem is not None and "no file with the tensor 'scale'" in report.data_problem
    (tmp_path / "weights.ptd").write_bytes((pte_folder / "weights.ptd").read_bytes())
    (tmp_path / "m.pte.sig").write_text("signed")
    report = pte.read(path)
    assert (report.data_files, report.data_problem) == ((str(tmp_path / "weights.ptd"),), None)
    assert report.signature == str(tmp_path / "m.pte.sig")
    assert not report.has_room
    assert not pte.set_budget(path, 7).in_place
    assert pte.read(path).has_room
    assert pte.set_budget(path, 8).in_place


def resident(path: Path) -> int:
    """Bytes of a file that this process has in memory: Rss of its mappings."""
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    found = 0
    for line in lines:
        if line.endswith(str(path)):
            found += next(int(each.split()[1]) * 1024 for each in lines if each.startswith("Rss:"))
    return found


def cached(path: Path) -> int:
    """Bytes of a file that the system has in memory: mincore(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_WRITE) as mapping:
        pages = (ctypes.c_ubyte * -(-len(mapping) // mmap.PAGESIZE))()
        start = ctypes.c_char.from_buffer(mapping)
        done = libc.mincore(ctypes.c_void_p(ctypes.addressof(start)), ctypes.c_size_t(len(mapping)), pages)
        del start
        assert done == 0, os.strerror(ctypes.get_errno())
        return sum(bytes(pages)) * mmap.PAGESIZE


def test_of_ten_gigabytes_little_is_read(sparse_program: Callable[[int], Path]) -> None:
    """What decides how long it takes, and no clock: header, flatbuffer, metadata and a plan's first bytes."""
    path = sparse_program(10_000_000_000)
    file = open_program(path)
    (engine,) = read_open(file).engines
    assert engine.engine_bytes == 10_000_000_000
    assert resident(path) < 1 << 20
    assert cached(path) < 16 << 20  # with what the system reads ahead
    assert file.view.nbytes > 10_000_000_000  # the mapping was there until here


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("xnnpack", "delegates of other backends only: XnnpackBackend (1)"),
        ("no_delegates", "no delegates"),
    ],
)
def test_a_program_for_another_backend_is_named(pte_folder: Path, name: str, says: str) -> None:
    report = pte.read(pte_folder / f"{name}.pte")
    assert report.engines == ()
    with pytest.raises(ProgramError, match=re.escape(f"{name}.pte: found {says}; expected an engine of backend")):
        report.require_engines()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("bad_budget", r"engine 0, method 'forward': weight_streaming_budget: found b'1GiB'; expected decimal digits"),
        ("two_budgets", r"weight_streaming_budget: found 2 compile specs; expected at most one"),
        ("bad_blob", r"engine 0, method 'forward': found metadata of 0 bytes at 0; expected"),
    ],
)
def test_an_engine_that_cannot_be_read_is_named(pte_folder: Path, name: str, says: str) -> None:
    with pytest.raises(ProgramError, match=says) as caught:
        pte.read(pte_folder / f"{name}.pte")
    assert str(pte_folder / f"{name}.pte") in str(caught.value)


@pytest.mark.parametrize(
    ("contents", "says"),
    [
        (b"", "an empty file"),
        (b"ET12", "4 bytes that start with b'ET12'"),
        (b"\x10\0\0\0ET12", "a broken program"),
        (b"\xff\xff\xff\xffET12" + bytes(64), "a broken program"),
        (b"\x10\0\0\0ET11" + bytes(64), r"start with b'\\x10\\x00\\x00\\x00ET11'"),
        (b"PK\x03\x04" + bytes(64), "a zip archive"),
        (b"vtrt" + bytes(64), "a TensorRT-RTX plan"),
        (b"TR01" + bytes(64), "a bare engine blob"),
        (hashlib.sha512(b"garbage").digest(), "64 bytes that start with"),
        (b"\x28\0\0\0ET12eh00\x10\0\0\0" + bytes(64), "an extended header of 16 bytes"),
        (b"\x28\0\0\0ET12eh00\x20\0\0\0" + b"\xff" * 24 + bytes(64), "104 of 18446744073709551615 bytes"),
    ],
)
def test_files_that_are_no_program(tmp_path: Path, contents: bytes, says: str) -> None:
    path = tmp_path / "bad.pte"
    path.write_bytes(contents)
    with pytest.raises(ProgramError, match=says) as caught:
        pte.read(path)
    assert str(caught.value).startswith(f"{path}: found ")
    assert '"ET12" at byte 4' in str(caught.value)


def test_paths_that_are_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "nullable").mkdir()
    for path, says in [
        (Path("/dev/null"), "not a regular file"),
        (tmp_path / "nullable", "not a regular file"),
        (tmp_path / "missing.pte", "no such file or directory"),
        (tmp_path, "not a regular file"),
        (tmp_path / "pipe", "not a regular file"),
        (Path("/dev/zero"), "not a regular file"),
        (tmp_path / ("n" * 300), "file name too long"),
    ]:
        with pytest.raises(ProgramError, match=says):
            pte.read(path)
    with pytest.raises(ProgramError, match="a NUL character"):
        pte.read("a\0b")


@pytest.mark.parametrize("name", ["one", "inline", "xnnpack"])
def test_every_truncation_is_refused(pte_folder: Path, tmp_path: Path, name: str) -> None:
    contents = (pte_folder / f"{name}.pte").read_bytes()
    path = tmp_path / "short.pte"
    accepted = []
    for size in [*range(0, min(len(contents), 2048), 7), *range(0, len(contents), 97), len(contents) - 1]:
        path.write_bytes(contents[:size])
        try:
            pte.read(path)
            accepted.append(size)
        except ProgramError as error:
            assert str(path) in str(error)
    # Without segments no header says how long the file is: padding at its end may be missing.
    assert all(name == "inline" and size >= len(contents) - 8 for size in accepted)


@pytest.fixture(scope="module")
def contents(pte_folder: Path) -> dict[str, bytes]:
    return {name: (pte_folder / f"{name}.pte").read_bytes() for name in REAL}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(name=st.sampled_from(REAL), data=st.data())
def test_a_mutated_program_is_read_or_refused(
    contents: dict[str, bytes], tmp_path: Path, name: str, data: st.DataObject
) -> None:
    mutated = bytearray(contents[name])
    head = min(len(mutated), 2000) - 1  # where the structure is
    for _ in range(data.draw(st.integers(1, 5))):
        position = data.draw(st.integers(0, head))
        mutated[position] = data.draw(st.sampled_from([0, 1, 4, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
    path = tmp_path / "mutated.pte"
    path.write_bytes(mutated)
    try:
        report = pte.read(path)
    except ProgramError as error:
        assert str(path) in str(error)
        return
    json.dumps(report.as_dict())
    for engine in report.engines:
        assert engine.engine_offset + engine.engine_bytes <= len(mutated)


def repeated(builder: flatbuffers.Builder, table: int, count: int) -> int:
    """A vector of `count` offsets to one and the same table."""
    builder.StartVector(4, count, 4)
    for _ in range(count):
        builder.PrependUOffsetTRelative(table)
    return builder.EndVector()


def table(builder: flatbuffers.Builder, **fields: int) -> int:
    """A table with offsets in fields `f<number>`."""
    builder.StartObject(10)
    for name, value in fields.items():
        builder.PrependUOffsetTRelativeSlot(int(name[1:]), value, 0)
    return builder.EndObject()


def test_a_small_file_with_a_million_delegates_is_refused_in_time(tmp_path: Path) -> None:
    builder = flatbuffers.Builder(0)
    name, backend = builder.CreateString("forward"), builder.CreateString("XnnpackBackend")
    delegates = repeated(builder, table(builder, f0=backend), 20_000)
    methods = repeated(builder, table(builder, f0=name, f7=delegates), 20_000)
    builder.Finish(table(builder, f1=methods), b"ET12")
    path = tmp_path / "busy.pte"
    path.write_bytes(builder.Output())
    started = time.monotonic()
    with pytest.raises(ProgramError, match="more than 262144 tables"):
        pte.read(path)
    assert time.monotonic() - started < 20
    assert path.stat().st_size < 200_000


def blob_with(metadata: bytes) -> bytes:
    """A blob with an engine of one byte."""
    engine_offset = -(-(32 + len(metadata)) // 16) * 16
    header = struct.pack("<4sIIIQ8x", b"TR01", 32, len(metadata), engine_offset, 1)
    return (header + metadata).ljust(engine_offset, b" ") + b"e"


def test_a_blob_with_many_users_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    builder = flatbuffers.Builder(0)
    name, backend = builder.CreateString("forward"), builder.CreateString(BACKEND_ID)
    data = builder.CreateByteVector(blob_with(b'{"io_bindings":[]}'))
    delegates = repeated(builder, table(builder, f0=backend, f1=table(builder)), 5_000)
    methods = repeated(builder, table(builder, f0=name, f7=delegates), 1)
    inline = repeated(builder, table(builder, f0=data), 1)
    builder.Finish(table(builder, f1=methods, f3=inline), b"ET12")
    path = tmp_path / "shared.pte"
    path.write_bytes(builder.Output())
    read, calls = blob.read, []
    monkeypatch.setattr(blob, "read", lambda *arguments: calls.append(1) or read(*arguments))
    assert len(pte.read(path).engines) == 5_000
    assert len(calls) == 1


def test_blobs_that_overlap_are_refused(tmp_path: Path) -> None:
    """Regions of one start and many ends: each would be read anew, with all of its metadata."""
    contents = blob_with(json.dumps({"io_bindings": [], "pad": "x" * 5_000}).encode())
    file = SimpleNamespace(view=memoryview(contents + bytes(1_000)), path="a.pte")
    blobs = _Blobs(file)  # type: ignore[arg-type]
    blobs.read(Region(0, len(contents)), "engine 0")
    blobs.read(Region(0, len(contents)), "engine 1")
    with pytest.raises(FlatbufferError, match="overlap"):
        blobs.read(Region(0, len(contents) + 1), "engine 2")


def test_reading_imports_nothing_heavy(pte_folder: Path) -> None:
    code = (
        "import sys; from torchtrt_ws import pte; pte.read(sys.argv[1]);"
        "print(sorted({'torch', 'executorch', 'numpy', 'flatbuffers', 'rich', 'typer'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(pte_folder / "one.pte")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
