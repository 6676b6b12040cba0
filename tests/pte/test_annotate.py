"""torchtrt_ws.annotate: our metadata in files of others, and not a byte else."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from crc32c import crc32c
from warm_python import python

import torchtrt_ws
from torchtrt_ws import blob, pte
from torchtrt_ws.errors import BudgetError, ProgramError
from torchtrt_ws.pte.flatbuffer import FlatbufferError
from torchtrt_ws.pte.layout import open_program


def engine_bytes(path: Path, engine: pte.EngineInfo) -> bytes:
    return path.read_bytes()[engine.engine_offset : engine.engine_offset + engine.engine_bytes]


def engines_of(path: Path) -> list[bytes]:
    return [engine_bytes(path, engine) for engine in pte.read(path).engines]


def json_of(path: Path, engine: pte.EngineInfo) -> bytes:
    payload = path.read_bytes()[engine.payload_offset : engine.payload_offset + engine.payload_bytes]
    header = blob.read_header(payload)
    return payload[header.metadata_offset : header.metadata_offset + header.metadata_size]


@pytest.fixture
def several(pte_folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / "several.pte"
    path.write_bytes((pte_folder / "several.pte").read_bytes())
    return path


def test_what_is_recorded(several: Path) -> None:
    before, methods = engines_of(several), pte.read(several).methods
    specs = [engine.compile_specs for engine in pte.read(several).engines]
    report = torchtrt_ws.annotate(several)
    assert report.engines == ("engine0", "last", "encoder", "tower-a", "engine4")  # ours lacked checksums
    assert (report.file, report.stale_signature) == (str(several), None)
    assert engines_of(several) == before
    after = pte.read(several)
    assert after.methods == methods
    assert [engine.compile_specs for engine in after.engines] == specs
    for engine, contents in zip(after.engines, before, strict=True):
        own = engine.metadata.own
        assert own is not None
        assert own.crc32c == f"{crc32c(contents):08x}"
        assert own.sha256 == hashlib.sha256(contents).hexdigest()
        assert own.program_engines == 5
        assert own.program_streamable_bytes is None  # an engine of ExecuTorch does not tell
    theirs = after.engines[-1]
    assert (theirs.name, theirs.kind, theirs.streamable_bytes, theirs.streamable_estimated) == (
        "engine4",
        "tensorrt",
        len(before[-1]),
        True,
    )
    assert theirs.inputs == (pte.TensorInfo("input_0", "float32", (2, 3), (2, 3), (2, 3)),)
    assert theirs.outputs == (pte.TensorInfo("output_0", "float32", (2, 3), (2, 3), (2, 3)),)
    nested = after.engines[0]
    assert (nested.kind, nested.streamable_bytes) == ("host", None)
    assert after.engines[3].streamable_bytes == 4000  # what was recorded stays


def test_the_rest_of_the_json_stays_byte_for_byte(several: Path) -> None:
    before = [json_of(several, engine) for engine in pte.read(several).engines]
    torchtrt_ws.annotate(several)
    for old, engine in zip(before, pte.read(several).engines, strict=True):
        new = json_of(several, engine)
        rest = json.loads(old)
        rest.pop("torchtrt_ws", None)
        kept = json.dumps(rest, separators=(",", ":")).encode()[:-1]
        assert new.startswith(kept + b',"torchtrt_ws":{')
        assert list(json.loads(new))[-1] == "torchtrt_ws"


def test_json_of_another_writer_stays(several: Path) -> None:
    """Spaces, escapes, unknown keys, white space at the end, a number that no float holds."""
    text = b'{ "io_bindings": [ {"name":"\\u0078","is_input":true} ], "big":123456789012345678901234567890 }\n '
    facts = blob.OwnFacts(
        name="a", kind="tensorrt", sha256="0" * 64, inputs=(blob.TensorFacts("x", "float32", (2,), (2,), (2,)),)
    )
    changed = blob.with_own(text, facts)
    assert changed.startswith(text.rstrip()[:-1]) and changed.endswith(b"}\n ")
    assert blob.parse_metadata(changed).own == facts
    again = blob.to_json(blob.Metadata((blob.Binding("x"),), own=facts))
    other = blob.OwnFacts(name="b", kind="tensorrt", sha256="1" * 64, inputs=facts.inputs)
    assert blob.parse_metadata(blob.with_own(again, other)) == blob.Metadata((blob.Binding("x"),), own=other)
    not_last = again[:-1] + b',"later":1}'
    with pytest.raises(torchtrt_ws.BlobError, match="a key that is not last"):
        blob.with_own(not_last, other)


def test_twice_changes_nothing(several: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torchtrt_ws.annotate(several)
    contents, inode = several.read_bytes(), several.stat().st_ino
    monkeypatch.setattr(os, "replace", None)
    assert torchtrt_ws.annotate(several).engines == ()
    assert (several.read_bytes(), several.stat().st_ino) == (contents, inode)


@pytest.mark.parametrize("name", ["one", "several"])
def test_alignment_stays(pte_folder: Path, tmp_path: Path, name: str) -> None:
    path, out = pte_folder / f"{name}.pte", tmp_path / "out.pte"
    contents = path.read_bytes()
    torchtrt_ws.annotate(path, output=out)
    assert path.read_bytes() == contents
    before, after = open_program(path), open_program(out)
    assert before.segments.count == after.segments.count
    for index in range(before.segments.count):
        assert (after.segment(index).offset - before.segment(index).offset) % 4096 == 0
    for old, new in zip(pte.read(path).engines, pte.read(out).engines, strict=True):
        assert new.engine_offset % 16 == 0 and (new.engine_offset - old.engine_offset) % 4096 == 0


def test_executorch_reads_it(several: Path) -> None:
    from executorch.exir._serialize._program import deserialize_pte_binary

    torchtrt_ws.annotate(several)
    program = deserialize_pte_binary(several.read_bytes()).program
    payloads = [
        bytes(program.backend_delegate_data[delegate.processed.index].data)
        for plan in program.execution_plan
        for delegate in plan.delegates
    ]
    assert [bytes(blob.read(payload).engine) for payload in payloads] == engines_of(several)


def test_another_file_of_one_that_lacks_nothing(several: Path, tmp_path: Path) -> None:
    torchtrt_ws.annotate(several)
    report = torchtrt_ws.annotate(several, output=tmp_path / "copy.pte")
    assert report.engines == ()
    assert (tmp_path / "copy.pte").read_bytes() == several.read_bytes()


def test_budgets_by_size_then_work(pte_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.pte"
    theirs_only(pte_folder, path)
    with pytest.raises(BudgetError, match="torchtrt-ws annotate"):
        torchtrt_ws.set_budget(path, "50%")
    torchtrt_ws.annotate(path)
    (engine,) = pte.read(path).engines
    own = engine.metadata.own
    assert own is not None and own.program_streamable_bytes == own.streamable_bytes == engine.engine_bytes
    assert torchtrt_ws.set_budget(path, "50%").in_place  # what annotate writes has room
    assert pte.read(path).engines[0].baked_budget == engine.engine_bytes // 2


def theirs_only(pte_folder: Path, path: Path) -> None:
    """one.pte without our key: spaces in its place, which JSON allows."""
    contents = (pte_folder / "one.pte").read_bytes()
    (engine,) = pte.read(pte_folder / "one.pte").engines
    text = json_of(pte_folder / "one.pte", engine)
    bare = text[: text.index(b',"torchtrt_ws"')] + b"}"
    path.write_bytes(contents.replace(text, bare.ljust(len(text))))
    assert pte.read(path).engines[0].metadata.own is None


def test_a_signature_goes_stale(several: Path) -> None:
    signature = several.with_name("several.pte.sig")
    signature.write_text("signed")
    assert torchtrt_ws.annotate(several).stale_signature == str(signature)
    assert torchtrt_ws.annotate(several).stale_signature is None


def test_an_engine_that_is_not_the_recorded_one(several: Path) -> None:
    contents = bytearray(several.read_bytes())
    tower = pte.read(several).engines[3]
    contents[tower.engine_offset + 100] ^= 1
    several.write_bytes(contents)
    with pytest.raises(ProgramError, match=r"engine 'tower-a': found bytes of SHA-256 .*The file is damaged"):
        torchtrt_ws.annotate(several)
    assert several.read_bytes() == contents
    assert list(several.parent.iterdir()) == [several]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("inline", "found an engine inside the flatbuffer; expected one in a segment behind it"),
        ("xnnpack", "delegates of other backends only"),
        ("no_delegates", "no delegates"),
        ("missing", "no such file"),
    ],
)
def test_what_cannot_be_annotated(pte_folder: Path, name: str, words: str) -> None:
    with pytest.raises(ProgramError, match=words):
        torchtrt_ws.annotate(pte_folder / f"{name}.pte")


def test_without_the_package_for_checksums(several: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = several.read_bytes()
    monkeypatch.setitem(sys.modules, "crc32c", None)
    with pytest.raises(torchtrt_ws.EngineError, match=r"crc32c: found no such package.*pip install"):
        torchtrt_ws.annotate(several)
    assert several.read_bytes() == contents and list(several.parent.iterdir()) == [several]


def test_a_file_that_changes_meanwhile(several: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.copy_file_range

    def copy(*arguments: Any, **keywords: Any) -> int:
        os.utime(several, (0, 0))
        return real(*arguments, **keywords)

    contents = several.read_bytes()
    monkeypatch.setattr(os, "copy_file_range", copy)
    with pytest.raises(ProgramError, match="changed or replaced meanwhile"):
        torchtrt_ws.annotate(several)
    assert several.read_bytes() == contents and list(several.parent.iterdir()) == [several]


def test_where_the_kernel_cannot_copy(several: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two file systems, and an old kernel: other calls, the same file."""

    def refuse(*arguments: Any, **keywords: Any) -> int:
        raise OSError(18, "Invalid cross-device link")

    out, wanted = several.with_name("out.pte"), several.with_name("wanted.pte")
    torchtrt_ws.annotate(several, output=wanted)
    monkeypatch.setattr(os, "copy_file_range", refuse)
    torchtrt_ws.annotate(several, output=out)
    assert out.read_bytes() == wanted.read_bytes()


KILLED = """
import os, signal, sys
import torchtrt_ws
at, count = int(sys.argv[2]), 0
def wrap(name):
    real = getattr(os, name)
    def call(*arguments, **keywords):
        global count
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **keywords)
    setattr(os, name, call)
for name in ("copy_file_range", "fsync", "replace"):
    wrap(name)
torchtrt_ws.annotate(sys.argv[1])
print(count)
"""


def test_a_writer_that_is_killed_anywhere(pte_folder: Path, tmp_path: Path) -> None:
    path, original = tmp_path / "a.pte", (pte_folder / "several.pte").read_bytes()
    torchtrt_ws.annotate(pte_folder / "several.pte", output=tmp_path / "wanted.pte")
    wanted, seen = (tmp_path / "wanted.pte").read_bytes(), set()
    for at in range(1, 40):
        path.write_bytes(original)
        done = python("-c", KILLED, path, at)
        assert path.read_bytes() in (original, wanted)
        seen.add(path.read_bytes() == wanted)
        if done.returncode == 0:
            assert at > int(done.stdout) and path.read_bytes() == wanted
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
    else:
        pytest.fail("the writer never finished")
    assert seen == {False, True}


def test_it_imports_nothing_heavy(several: Path) -> None:
    code = (
        "import sys, torchtrt_ws; torchtrt_ws.annotate(sys.argv[1]);"
        "print(sorted({'torch', 'executorch', 'numpy', 'flatbuffers', 'rich', 'typer'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(several)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_hostile_files_are_refused_or_changed(pte_folder: Path, tmp_path: Path) -> None:
    """A byte of the flatbuffer changed: both functions refuse the file, or write one that can be read."""
    original = (pte_folder / "several.pte").read_bytes()
    path, out = tmp_path / "a.pte", tmp_path / "out.pte"
    outcomes = set()
    for position in range(0, open_program(pte_folder / "several.pte").program_size, 7):
        contents = bytearray(original)
        contents[position] ^= 0x5A
        path.write_bytes(contents)
        for change in (
            lambda: torchtrt_ws.annotate(path, output=out),
            lambda: torchtrt_ws.set_budget(path, "100%", output=out),
        ):
            try:
                change()
            except (ProgramError, BudgetError):
                outcomes.add("refused")
                continue
            except FlatbufferError:
                pytest.fail("an error that is not of the closed set")
            pte.read(out)
            outcomes.add("changed")
    assert outcomes == {"refused", "changed"}
