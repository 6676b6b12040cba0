"""Which part of a .pte with one host engine, or with several that are stored once, a byte belongs to."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from torchtrt_ws import blob, pte

# An extended header of ExecuTorch 1.5.1 (schema/extended_header.h), behind the root offset and the identifier: magic,
# its own size, the flatbuffer's size, where the segments start, the segments' size.
_EXTENDED = struct.Struct("<4sIQQQ")
_EXTENDED_OFFSET = 8
# XNNHeader (backends/xnnpack/runtime/XNNHeader.h): four zeros, magic, size, flatbuffer's offset and size, constants'
# offset and size.
_XNNPACK = struct.Struct("<4s4sHIIIQ")
_XNNPACK_MAGIC = b"XH00"


@dataclass(frozen=True)
class Part:
    """Bytes [start, end) of the file, and what they are."""

    name: str
    start: int
    end: int


def parts_of(path: Path) -> list[Part]:
    """The parts of a program whose engines are one host engine, in order and without a gap.

    Args:
        path: The .pte.

    Returns:
        Its parts. Those of the engine's own program are called "engine: ..."; what XNNPACK gets, "engine: XNNPACK ...";
        the data behind it, "engine: weights".

    Source:
        schema/extended_header.h and backends/xnnpack/runtime/XNNHeader.h of ExecuTorch 1.5.1.
    """
    data = path.read_bytes()
    engines = sorted(pte.read(path).engines, key=lambda engine: engine.payload_offset)
    ((start, engine_bytes),) = {(engine.engine_offset, engine.engine_bytes) for engine in engines}
    _, size, flatbuffer, _, _ = _EXTENDED.unpack_from(data, _EXTENDED_OFFSET)
    ends = [
        ("program: header", _EXTENDED_OFFSET + size),
        ("program: flatbuffer", flatbuffer),
        *(end for engine in engines for end in _blob(data, engine.payload_offset)),
        ("padding", start),
        *_engine(data, start, start + engine_bytes),
        ("padding", len(data)),
    ]
    parts, position = [], 0
    for name, end in ends:
        if end > position:
            parts.append(Part(name, position, end))
            position = end
    return parts


def _blob(data: bytes, start: int) -> list[tuple[str, int]]:
    """Where the parts of a blob before the engine end, counted in the file."""
    header = blob.read_header(data[start:])
    metadata = start + header.metadata_offset
    return [("padding", start), ("blob: header", metadata), ("blob: metadata", metadata + header.metadata_size)]


def _engine(data: bytes, start: int, end: int) -> list[tuple[str, int]]:
    """Where the parts of the engine's program end, counted in the outer file."""
    _, size, flatbuffer, base, _ = _EXTENDED.unpack_from(data, start + _EXTENDED_OFFSET)
    ends = [("engine: header", start + _EXTENDED_OFFSET + size), ("engine: flatbuffer", start + flatbuffer)]
    segment = start + base
    if base:
        ends.append(("padding", segment))
    if base and data[segment + 4 : segment + 8] == _XNNPACK_MAGIC:
        _, _, xnn_size, graph, graph_size, constants, constants_size = _XNNPACK.unpack_from(data, segment)
        ends += [
            ("engine: XNNPACK header", segment + xnn_size),
            ("padding", segment + graph),
            ("engine: XNNPACK graph", segment + graph + graph_size),
        ]
        if constants_size:
            ends += [
                ("padding", segment + constants),
                ("engine: XNNPACK constants", segment + constants + constants_size),
            ]
    return [*ends, ("engine: weights", end)]
