"""A whole engine blob: a 32-byte header, compact JSON, padding, the engine."""

from __future__ import annotations

from dataclasses import dataclass

from torchtrt_ws.blob.header import (
    HEADER_SIZE,
    MAGIC,
    MAGIC_ALIASED,
    MAGIC_STRIPPED,
    Buffer,
    Header,
    bad_blob,
    engine_start,
    fits,
    header_bytes,
    max_metadata_size,
    read_header,
)
from torchtrt_ws.blob.metadata import Metadata, parse_metadata, to_json
from torchtrt_ws.errors import BlobError

__all__ = ["Blob", "header_and_metadata", "read", "write"]


@dataclass(frozen=True)
class Blob:
    """A blob that was read. `engine` is a view into the buffer it was read from, not a copy."""

    header: Header
    metadata: Metadata
    engine: memoryview


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
        raise bad_blob(subject, found, f"{MAGIC_ALIASED!r}, which readers that know no aliases refuse")
    if header.engine_size == 0 and not metadata.engine_key:
        raise bad_blob(subject, "an engine of 0 bytes, and no engine_key", "an engine, or where a data file has it")
    if header.stripped != metadata.stripped:
        found = f"magic {bytes(view[:4])!r} and {'' if metadata.stripped else 'no '}weights in a file of their own"
        raise bad_blob(subject, found, f"{MAGIC_STRIPPED!r} for these, and for nothing else")
    _check_variants(metadata, header.engine_size, subject)
    return Blob(header, metadata, view[header.engine_offset : header.engine_offset + header.engine_size])


def _check_variants(metadata: Metadata, engine_size: int, subject: str) -> None:
    for each in metadata.own.variants if metadata.own is not None else ():
        if not fits(each.offset, each.size, engine_size):
            found = f"a plan of {each.size} bytes at {each.offset} of the engine"
            raise bad_blob(subject, found, f"plans within the engine's {engine_size} bytes")


def header_and_metadata(metadata: Metadata, engine_size: int, gap: int = 0) -> bytes:
    """Writes all that comes before the engine, so that a big engine can be streamed after it.

    Args:
        metadata: What the JSON will say. It is read back before this returns, so a reader will accept it.
        engine_size: Bytes of the engine, > 0.
        gap: Bytes that others write between this and the engine, a multiple of 16.

    Returns:
        Header, JSON and padding: a multiple of 16 bytes.

    Raises:
        BlobError: Metadata that our own reader would refuse or change, or an engine size out of range.
    """
    if not 0 < engine_size < 2**64:
        raise BlobError("engine", f"{engine_size} bytes", "1 to 2^64-1 bytes", "Give the engine's bytes.")
    text = to_json(metadata)
    most = max_metadata_size(metadata.stripped)
    if len(text) > most:
        raise BlobError("metadata", f"{len(text)} bytes", f"at most {most}", "Shorten the names, or save less I/O.")
    if parse_metadata(text, "metadata") != metadata:
        raise BlobError("metadata", "values that do not survive JSON", "tuples, str, int, bool and None", "")
    _check_variants(metadata, engine_size, "metadata")
    magic = MAGIC_STRIPPED if metadata.stripped else MAGIC_ALIASED if metadata.aliased_io else MAGIC
    header = header_bytes(magic, len(text), engine_size, gap)
    return header + text + bytes(engine_start(len(text)) - HEADER_SIZE - len(text))


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
