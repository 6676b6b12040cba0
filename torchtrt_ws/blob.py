"""The engine blob: a 32-byte header, compact JSON, padding, the engine. Torch-TensorRT 2.14's format, and our key.

README "Wire format" is the text; the constants here are its table in code. Pure: bytes in, values or BlobError out.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from torchtrt_ws._metadata import (
    MAX_BINDINGS,
    MAX_DEPTH,
    MAX_METADATA_SIZE,
    MAX_RANK,
    SCHEMA_VERSION,
    Alias,
    Binding,
    Metadata,
    OwnFacts,
    TensorFacts,
    parse_metadata,
)
from torchtrt_ws.errors import BlobError

__all__ = [
    "ENGINE_ALIGNMENT",
    "HEADER_SIZE",
    "MAGIC",
    "MAGIC_ALIASED",
    "MAX_BINDINGS",
    "MAX_DEPTH",
    "MAX_METADATA_SIZE",
    "MAX_RANK",
    "SCHEMA_VERSION",
    "Alias",
    "Binding",
    "Blob",
    "Buffer",
    "Header",
    "Metadata",
    "OwnFacts",
    "TensorFacts",
    "fits",
    "header_and_metadata",
    "parse_metadata",
    "read",
    "read_header",
    "to_json",
    "write",
]

MAGIC = b"TR01"
MAGIC_ALIASED = b"TR02"  # readers that know no aliased_io refuse it, instead of returning wrong results
_LAYOUT = struct.Struct("<4sIIIQ8s")  # magic, metadata offset and size, engine offset and size, reserved
HEADER_SIZE = _LAYOUT.size  # 32
ENGINE_ALIGNMENT = 16
_RESERVED = b"\x01" + bytes(7)

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True)
class Header:
    """The first 32 bytes. Offsets count from the start of the blob; sizes are bytes."""

    aliased: bool
    metadata_offset: int
    metadata_size: int
    engine_offset: int
    engine_size: int


@dataclass(frozen=True)
class Blob:
    """A blob that was read. `engine` is a view into the buffer it was read from, not a copy."""

    header: Header
    metadata: Metadata
    engine: memoryview


def fits(offset: int, size: int, total: int) -> bool:
    """True if [offset, offset + size) lies within `total` bytes. Subtracts, as its C++ twin must."""
    return offset <= total and size <= total - offset


def read_header(buffer: Buffer, subject: str = "blob") -> Header:
    """Reads and checks the header of a blob.

    Args:
        buffer: The whole blob; only its first 32 bytes are touched.
        subject: What an error names, such as the file and the engine.

    Returns:
        The header, all of whose ranges lie within `buffer`, in order, without overlap.

    Raises:
        BlobError: Too short, another magic, or a range that is out of bounds, misaligned or over its cap.
    """
    view = memoryview(buffer).cast("B")
    total = view.nbytes
    if total < HEADER_SIZE:
        raise _bad(subject, f"{total} bytes", f"a header of {HEADER_SIZE} bytes")
    magic, metadata_offset, metadata_size, engine_offset, engine_size, _ = _LAYOUT.unpack_from(view)
    if magic not in (MAGIC, MAGIC_ALIASED):
        raise _bad(subject, f"magic {magic!r}", f"{MAGIC!r} or {MAGIC_ALIASED!r}")
    if metadata_size > MAX_METADATA_SIZE:
        raise _bad(subject, f"metadata of {metadata_size} bytes", f"at most {MAX_METADATA_SIZE}")
    if metadata_offset < HEADER_SIZE or not fits(metadata_offset, metadata_size, total):
        found = f"metadata of {metadata_size} bytes at {metadata_offset}"
        raise _bad(subject, found, f"metadata between byte {HEADER_SIZE} and the end of the blob at {total}")
    if engine_offset % ENGINE_ALIGNMENT or engine_offset < metadata_offset + metadata_size:
        end = metadata_offset + metadata_size
        expected = f"a multiple of {ENGINE_ALIGNMENT} at or after the metadata's end at {end}"
        raise _bad(subject, f"engine offset {engine_offset}", expected)
    if not fits(engine_offset, engine_size, total):
        found = f"an engine of {engine_size} bytes at {engine_offset}"
        raise _bad(subject, found, f"an engine that ends within the blob's {total} bytes")
    if engine_size == 0:
        raise _bad(subject, "an engine of 0 bytes", "an engine")
    return Header(magic == MAGIC_ALIASED, metadata_offset, metadata_size, engine_offset, engine_size)


def read(buffer: Buffer, subject: str = "blob") -> Blob:
    """Reads a blob without copying the engine.

    Args:
        buffer: The whole blob, such as a view into a mapped .pte.
        subject: What an error names.

    Returns:
        Header, metadata and a view of the engine. `metadata.own` is None in Torch-TensorRT's files.

    Raises:
        BlobError: A header or metadata that is malformed, over its caps, or of a newer schema.
    """
    view = memoryview(buffer).cast("B")
    header = read_header(view, subject)
    text = bytes(view[header.metadata_offset : header.metadata_offset + header.metadata_size])
    metadata = parse_metadata(text, subject)
    if metadata.aliased_io and not header.aliased:
        found = f"aliased_io in a blob with magic {MAGIC!r}"
        raise _bad(subject, found, f"{MAGIC_ALIASED!r}, which readers that know no aliases refuse")
    return Blob(header, metadata, view[header.engine_offset : header.engine_offset + header.engine_size])


def header_and_metadata(metadata: Metadata, engine_size: int) -> bytes:
    """Writes all that comes before the engine, so that a big engine can be streamed after it.

    Args:
        metadata: What the JSON will say. It is read back before this returns, so a reader will accept it.
        engine_size: Bytes of the engine, > 0.

    Returns:
        Header, JSON and padding: a multiple of 16 bytes.

    Raises:
        BlobError: Metadata that our own reader would refuse or change, or an engine size out of range.
    """
    if not 0 < engine_size < 2**64:
        raise BlobError("engine", f"{engine_size} bytes", "1 to 2^64-1 bytes", "Give the engine's bytes.")
    text = to_json(metadata)
    if len(text) > MAX_METADATA_SIZE:
        raise BlobError(
            "metadata", f"{len(text)} bytes", f"at most {MAX_METADATA_SIZE}", "Shorten the names, or save less I/O."
        )
    if parse_metadata(text, "metadata") != metadata:
        raise BlobError("metadata", "values that do not survive JSON", "tuples, str, int, bool and None", "")
    end = HEADER_SIZE + len(text)
    engine_offset = -(-end // ENGINE_ALIGNMENT) * ENGINE_ALIGNMENT
    magic = MAGIC_ALIASED if metadata.aliased_io else MAGIC
    header = _LAYOUT.pack(magic, HEADER_SIZE, len(text), engine_offset, engine_size, _RESERVED)
    return header + text + bytes(engine_offset - end)


def write(engine: Buffer, metadata: Metadata) -> bytes:
    """Writes a blob. Copies the engine: use `header_and_metadata` for a big one.

    Args:
        engine: The engine's bytes.
        metadata: What the JSON will say.

    Returns:
        The blob.

    Raises:
        BlobError: As `header_and_metadata`.
    """
    return b"".join((header_and_metadata(metadata, memoryview(engine).nbytes), engine))


def to_json(metadata: Metadata) -> bytes:
    """Compact ASCII JSON. Torch-TensorRT's C++ reader searches forward: the order of the keys is part of the format."""
    document: dict[str, object] = {
        "io_bindings": [
            {"name": b.name, "dtype": b.dtype, "shape": list(b.shape), "is_input": b.is_input}
            for b in metadata.io_bindings
        ],
        "aliased_io": [{"output": a.output, "input": a.input, "kind": a.kind} for a in metadata.aliased_io],
        "hardware_compatible": metadata.hardware_compatible,
        "device_id": metadata.device_id,
        "serialized_metadata": metadata.serialized_metadata,
        "target_platform": metadata.target_platform,
    }
    if metadata.own is not None:
        document["torchtrt_ws"] = dict(_own_items(metadata.own))
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode("ascii")


def _own_items(own: OwnFacts) -> Iterator[tuple[str, object]]:
    yield "schema", own.schema
    yield "name", own.name
    yield "kind", own.kind
    yield "sha256", own.sha256
    yield "builder", own.builder
    yield "streamable_bytes", own.streamable_bytes
    yield "streamable_estimated", own.streamable_estimated
    yield "program", {"engines": own.program_engines, "streamable_bytes": own.program_streamable_bytes}
    for key, tensors in (("inputs", own.inputs), ("outputs", own.outputs)):
        yield (
            key,
            [
                {"name": t.name, "dtype": t.dtype, "shape": list(t.shape), "min": list(t.min), "max": list(t.max)}
                for t in tensors
            ],
        )


def _bad(subject: str, found: str, expected: str) -> BlobError:
    return BlobError(subject, found, expected, "The file is damaged, or is not an engine blob: save it again.")
