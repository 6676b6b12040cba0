"""The first 32 bytes of an engine blob: a magic number, and where metadata and engine lie."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TypeAlias

from torchtrt_ws.errors import BlobError

__all__ = [
    "ENGINE_ALIGNMENT",
    "HEADER_SIZE",
    "MAGIC",
    "MAGIC_ALIASED",
    "MAGIC_STRIPPED",
    "MAX_METADATA_SIZE",
    "MAX_STRIPPED_METADATA_SIZE",
    "Buffer",
    "Header",
    "bad_blob",
    "engine_start",
    "fits",
    "header_bytes",
    "max_metadata_size",
    "moved_header",
    "read_header",
]

MAGIC = b"TR01"
MAGIC_ALIASED = b"TR02"  # readers that know no aliased_io refuse it, instead of returning wrong results
MAGIC_STRIPPED = b"TR03"  # readers that know no engines without weights refuse it, instead of computing without them
_LAYOUT = struct.Struct("<4sIIIQ8s")  # magic, metadata offset and size, engine offset and size, reserved
HEADER_SIZE = _LAYOUT.size  # 32
ENGINE_ALIGNMENT = 16
MAX_METADATA_SIZE = 1 << 20  # bytes of JSON
MAX_STRIPPED_METADATA_SIZE = 4 << 20  # where 4096 weights have their names and digests in it
_MAGICS = (MAGIC, MAGIC_ALIASED, MAGIC_STRIPPED)
_RESERVED = b"\x01" + bytes(7)

Buffer: TypeAlias = bytes | bytearray | memoryview


@dataclass(frozen=True)
class Header:
    """The first 32 bytes. Offsets count from the start of the blob; sizes are bytes.

    `aliased`: the metadata may name aliases (TR02, TR03). `stripped`: the weights are in a file of their own (TR03).
    `engine_size` is 0 where the whole engine is in a data file, as Torch-TensorRT 2.15 may have it.
    """

    aliased: bool
    stripped: bool
    metadata_offset: int
    metadata_size: int
    engine_offset: int
    engine_size: int


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
        raise bad_blob(subject, f"{total} bytes", f"a header of {HEADER_SIZE} bytes")
    magic, metadata_offset, metadata_size, engine_offset, engine_size, _ = _LAYOUT.unpack_from(view)
    if magic not in _MAGICS:
        raise bad_blob(subject, f"magic {magic!r}", f"{MAGIC!r}, {MAGIC_ALIASED!r} or {MAGIC_STRIPPED!r}")
    if metadata_size > max_metadata_size(magic == MAGIC_STRIPPED):
        found = f"metadata of {metadata_size} bytes"
        raise bad_blob(subject, found, f"at most {max_metadata_size(magic == MAGIC_STRIPPED)}")
    if metadata_offset < HEADER_SIZE or not fits(metadata_offset, metadata_size, total):
        found = f"metadata of {metadata_size} bytes at {metadata_offset}"
        raise bad_blob(subject, found, f"metadata between byte {HEADER_SIZE} and the end of the blob at {total}")
    if engine_offset % ENGINE_ALIGNMENT or engine_offset < metadata_offset + metadata_size:
        end = metadata_offset + metadata_size
        expected = f"a multiple of {ENGINE_ALIGNMENT} at or after the metadata's end at {end}"
        raise bad_blob(subject, f"engine offset {engine_offset}", expected)
    if not fits(engine_offset, engine_size, total):
        found = f"an engine of {engine_size} bytes at {engine_offset}"
        raise bad_blob(subject, found, f"an engine that ends within the blob's {total} bytes")
    aliased, stripped = magic in (MAGIC_ALIASED, MAGIC_STRIPPED), magic == MAGIC_STRIPPED
    if engine_size == 0 and stripped:
        raise bad_blob(subject, "an engine of 0 bytes", "an engine")
    return Header(aliased, stripped, metadata_offset, metadata_size, engine_offset, engine_size)


def max_metadata_size(stripped: bool) -> int:
    """How many bytes of JSON a blob may have; `stripped`: its weights are in a file of their own."""
    return MAX_STRIPPED_METADATA_SIZE if stripped else MAX_METADATA_SIZE


def header_bytes(magic: bytes, metadata_size: int, engine_size: int, gap: int = 0) -> bytes:
    """Writes a header; the metadata follows it at once, and the engine `gap` bytes behind the next multiple of 16.

    Args:
        magic: The first four bytes: what a reader must know to read this blob.
        metadata_size: Bytes of JSON.
        engine_size: Bytes of the engine.
        gap: Bytes of others between metadata and engine, a multiple of 16.

    Returns:
        32 bytes.
    """
    return _LAYOUT.pack(magic, HEADER_SIZE, metadata_size, engine_start(metadata_size) + gap, engine_size, _RESERVED)


def moved_header(header: bytes, metadata_size: int, engine_offset: int) -> bytes:
    """A header for other metadata, with all that a reader may not know as it was.

    Args:
        header: The first 32 bytes of a blob that `read_header` takes.
        metadata_size: Bytes of the new JSON, which follows the header at once.
        engine_offset: Where the engine is now, a multiple of 16.

    Returns:
        32 bytes.
    """
    magic, _, _, _, engine_size, reserved = _LAYOUT.unpack(header)
    return _LAYOUT.pack(magic, HEADER_SIZE, metadata_size, engine_offset, engine_size, reserved)


def engine_start(metadata_size: int) -> int:
    """Where the engine lies behind `metadata_size` bytes of JSON: an offset from the start of the blob."""
    return -(-(HEADER_SIZE + metadata_size) // ENGINE_ALIGNMENT) * ENGINE_ALIGNMENT


def bad_blob(subject: str, found: str, expected: str) -> BlobError:
    """The error for a `subject` that is no whole blob: `found` where `expected` should be."""
    return BlobError(subject, found, expected, "The file is damaged, or is not an engine blob: save it again.")
