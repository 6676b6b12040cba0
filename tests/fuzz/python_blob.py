"""torchtrt_ws.blob.read() on any bytes, under atheris: a Blob that says where its engine is, or a BlobError."""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
with atheris.instrument_imports(include=["torchtrt_ws", "json"]):
    from torchtrt_ws import blob
    from torchtrt_ws.errors import BlobError


def one_input(data: bytes) -> None:
    try:
        found = blob.read(data)
    except BlobError as error:
        assert str(error).isprintable(), "a message is printable"
        return
    header = found.header
    assert header.metadata_offset >= blob.HEADER_SIZE
    assert header.metadata_offset + header.metadata_size <= header.engine_offset
    assert header.engine_offset % blob.ENGINE_ALIGNMENT == 0
    assert 0 < found.engine.nbytes == header.engine_size <= len(data) - header.engine_offset
    again = blob.write(found.engine, found.metadata)  # what we accept we can write
    assert blob.read(again).metadata == found.metadata


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
