"""Plans in files and buffers: the same bytes, the same digest, holes, and files that change."""

from __future__ import annotations

import hashlib
import io
import os
import random
import sys
from pathlib import Path

import pytest

from torchtrt_ws.errors import ProgramError
from torchtrt_ws.export.engine import payload
from torchtrt_ws.export.engine.hashed import hashed_early
from torchtrt_ws.export.engine.payload import PIECE, BufferPayload, FilePayload, SlicePayload
from torchtrt_ws.export.file.progress import ProgressFile
from torchtrt_ws.plan_header import HEADER_SIZE

SIZES = (1, 31, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 12345)


def contents(size: int) -> bytes:
    return random.Random(size).randbytes(size)  # no two pieces are equal


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["file", "buffer"])
def test_bytes_and_digest(tmp_path: Path, kind: str, size: int) -> None:
    data = contents(size)
    (tmp_path / "a.plan").write_bytes(data)
    source = FilePayload(tmp_path / "a.plan") if kind == "file" else BufferPayload(bytearray(data))
    assert source.size == size
    assert source.head == data[:HEADER_SIZE]
    for _ in range(2):  # the second time with the digest known
        out = io.BytesIO()
        source.write_to(out)
        assert out.getvalue() == data
        assert source.digests.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("size", SIZES)
def test_a_part_of_a_file(tmp_path: Path, size: int) -> None:
    data = contents(size)
    (tmp_path / "a.pte").write_bytes(b"before" + data + b"after")
    with open(tmp_path / "a.pte", "rb", buffering=0) as file:
        source = SlicePayload("a.pte", file, len(b"before"), size)
        assert source.read() == data
        assert source.head == data[:HEADER_SIZE]
        assert source.digests.sha256 == hashlib.sha256(data).hexdigest()
        out = io.BytesIO()
        source.write_to(out)
        assert out.getvalue() == data


@pytest.mark.parametrize("kind", ["file", "buffer"])
def test_the_digest_alone(tmp_path: Path, kind: str) -> None:
    data = contents(PIECE + 7)
    (tmp_path / "a.plan").write_bytes(data)
    source = FilePayload(tmp_path / "a.plan") if kind == "file" else BufferPayload(data)
    assert source.digests.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("end", [b"", b"end"], ids=["ends in a hole", "ends in data"])
def test_holes_stay_holes(tmp_path: Path, end: bytes) -> None:
    size = 64 << 20
    with open(tmp_path / "sparse.plan", "wb") as file:
        file.write(b"begin")
        file.truncate(size)
        file.seek(size)
        file.write(end)
    with open(tmp_path / "copy", "wb") as file:
        file.write(b"before")
        FilePayload(tmp_path / "sparse.plan").write_to(file)
        file.write(b"after")
    with open(tmp_path / "copy", "rb") as file:
        found = file.read()
    assert found == b"before" + (tmp_path / "sparse.plan").read_bytes() + b"after"
    if os.stat(tmp_path / "sparse.plan").st_blocks * 512 < size:  # where the file system has holes
        assert os.stat(tmp_path / "copy").st_blocks * 512 < size // 2


def test_a_file_system_without_holes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = contents(PIECE * 2 + 1)
    (tmp_path / "a.plan").write_bytes(data)

    def no_seek_data(*arguments: object) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(payload.os, "lseek", no_seek_data)  # type: ignore[attr-defined]
    out = io.BytesIO()
    FilePayload(tmp_path / "a.plan").write_to(out)
    assert out.getvalue() == data


def test_a_file_that_shrinks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.plan").write_bytes(contents(PIECE + 1))
    source = FilePayload(tmp_path / "a.plan")
    os.truncate(tmp_path / "a.plan", 100)
    with pytest.raises(ProgramError, match=rf"a file of 100 bytes that was changed.*the {PIECE + 1} bytes it had"):
        source.write_to(io.BytesIO())


def test_a_file_that_is_replaced_is_written_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.plan").write_bytes(b"old plan")
    source = FilePayload(tmp_path / "a.plan")
    (tmp_path / "new").write_bytes(b"another, longer one")
    os.replace(tmp_path / "new", tmp_path / "a.plan")
    out = io.BytesIO()
    source.write_to(out)
    assert out.getvalue() == b"old plan"


def test_hashed_early(tmp_path: Path) -> None:
    """The digests are of what is written; the interval that Python switches threads by is put back, once."""
    data, before = contents(3 * PIECE + 5), sys.getswitchinterval()
    (tmp_path / "a.plan").write_bytes(data)
    sources: list[FilePayload | BufferPayload] = [
        FilePayload(tmp_path / "a.plan"),
        BufferPayload(data),
        BufferPayload(b"x"),
    ]
    with hashed_early(sources):
        with hashed_early([]):
            assert sys.getswitchinterval() < before
        assert sys.getswitchinterval() < before
        for source in sources:
            out = io.BytesIO()
            source.write_to(out)
            assert source.digests.sha256 == hashlib.sha256(out.getvalue()).hexdigest()
    assert sys.getswitchinterval() == before


def test_what_is_given_up_is_hashed_later(tmp_path: Path) -> None:
    (tmp_path / "a.plan").write_bytes(contents(PIECE))
    source = FilePayload(tmp_path / "a.plan")
    with pytest.raises(KeyError), hashed_early([source, BufferPayload(bytes(64 << 20))]):
        raise KeyError("the work beside it failed")
    assert source.digests.sha256 == hashlib.sha256(contents(PIECE)).hexdigest()


def test_the_kernel_s_copy_is_the_same(tmp_path: Path) -> None:
    data = contents(2 * PIECE + 7)
    (tmp_path / "a.plan").write_bytes(data)
    with open(tmp_path / "out", "wb") as file, ProgressFile(file, len(data), "out") as shown:
        shown.write(b"before")
        FilePayload(tmp_path / "a.plan").write_to(shown)
        shown.write(b"after")
    assert (tmp_path / "out").read_bytes() == b"before" + data + b"after"


def test_a_file_that_shrinks_while_it_is_copied_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.plan").write_bytes(contents(PIECE + 1))
    source = FilePayload(tmp_path / "a.plan")
    os.truncate(tmp_path / "a.plan", 100)
    with (
        open(tmp_path / "out", "wb") as file,
        ProgressFile(file, source.size, "out") as shown,
        pytest.raises(ProgramError, match="a file of 100 bytes that was changed"),
    ):
        source.write_to(shown)


def test_refused(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "none", "No such file"), (tmp_path, "directory"), ("/dev/null", "regular file")):
        with pytest.raises(ProgramError, match=words):
            FilePayload(path)
