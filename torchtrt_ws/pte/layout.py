"""Where things are in a .pte: the extended header, the flatbuffer, the segments behind it.

Source:
    ExecuTorch 1.5.1, schema/program.fbs (fields in order, so their numbers here), schema/extended_header.h.
"""

from __future__ import annotations

import mmap
import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

from torchtrt_ws.blob import MAGIC, MAGIC_ALIASED, MAGIC_STRIPPED, fits
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.identifiers import PROGRAM_MAGIC, PROGRAM_MAGIC_OFFSET, RTX_MAGIC, is_program
from torchtrt_ws.pte.flatbuffer import FlatbufferError, Table, Vector, root_table

__all__ = [
    "HEADER_END",
    "VALUE_TYPES",
    "Field",
    "PteFile",
    "Region",
    "damaged",
    "map_program",
    "open_program",
    "set_header",
]

U8, I32, U32, U64 = struct.Struct("<B"), struct.Struct("<i"), struct.Struct("<I"), struct.Struct("<Q")

_IDENTIFIER_END = PROGRAM_MAGIC_OFFSET + len(PROGRAM_MAGIC)
_HEADER_MAGIC = b"eh00"
_HEADER = struct.Struct("<4sIQQ")  # magic, header length, program size, segment base offset
_HEADER_OFFSET = _IDENTIFIER_END
_SEGMENT_DATA_SIZE_OFFSET = _HEADER_OFFSET + _HEADER.size  # u64, in headers of 32 bytes and more
HEADER_END = _SEGMENT_DATA_SIZE_OFFSET + 8  # of the extended header: no table of the flatbuffer begins before
_LOCATION_SEGMENT = 1  # DataLocation.SEGMENT; 0 is INLINE

# What else people pass as a .pte, by its first bytes.
_OTHER_FILES = {
    b"PK\x03\x04": "a zip archive, such as a .pt2 or a checkpoint",
    RTX_MAGIC: "a TensorRT-RTX plan",
    b"ftrt": "a TensorRT plan",
    MAGIC: "a bare engine blob",
    MAGIC_ALIASED: "a bare engine blob",
    MAGIC_STRIPPED: "a bare engine blob",
}


class Field:
    """Field numbers of the schema's tables."""

    PROGRAM_EXECUTION_PLAN = 1
    PROGRAM_CONSTANT_BUFFER = 2
    PROGRAM_BACKEND_DELEGATE_DATA = 3
    PROGRAM_SEGMENTS = 4
    PROGRAM_CONSTANT_SEGMENT = 5
    PROGRAM_MUTABLE_DATA_SEGMENTS = 6
    PROGRAM_NAMED_DATA = 7
    PLAN_NAME = 0
    PLAN_VALUES = 2
    PLAN_INPUTS = 3
    PLAN_OUTPUTS = 4
    PLAN_CHAINS = 5
    PLAN_DELEGATES = 7
    PLAN_BUFFER_DEVICES = 9
    BUFFER_INDEX = 0
    BUFFER_DEVICE_TYPE = 1
    CHAIN_INSTRUCTIONS = 2
    INSTRUCTION_TYPE = 0
    INSTRUCTION = 1
    CALL_DELEGATE_INDEX = 0
    CALL_ARGS = 1
    DELEGATE_ID = 0
    DELEGATE_PROCESSED = 1
    DELEGATE_COMPILE_SPECS = 2
    REFERENCE_LOCATION = 0
    REFERENCE_INDEX = 1
    SPEC_KEY = 0
    SPEC_VALUE = 1
    SEGMENT_OFFSET = 0
    SEGMENT_SIZE = 1
    INLINE_DATA = 0
    VALUE_TYPE = 0
    VALUE = 1
    TENSOR_SCALAR_TYPE = 0
    TENSOR_SIZES = 2
    TENSOR_ALLOCATION = 6
    ALLOCATION_BUFFER = 0
    TENSOR_SHAPE_DYNAMISM = 8
    TENSOR_EXTRA_INFO = 9
    EXTRA_DEVICE_TYPE = 3
    EXTRA_DEVICE_INDEX = 4


# The union KernelTypes, in order; 0 is none.
VALUE_TYPES = (
    "none",
    "null",
    "int",
    "bool",
    "double",
    "tensor",
    "string",
    "int_list",
    "double_list",
    "bool_list",
    "tensor_list",
    "optional_tensor_list",
)


@dataclass(frozen=True)
class Region:
    """Bytes of the file: `size` of them from `offset`."""

    offset: int
    size: int


class PteFile:
    """An open .pte: its bytes, its root table, the bytes that the flatbuffer may take, where its segments start (0: it
    has none)."""

    def __init__(self, path: str, view: memoryview) -> None:
        self.path, self.view = path, view
        self.program_size, self.segment_base = _read_header(path, view)
        self.root = root_table(view[: self.program_size])
        self.inline: Vector = self.root.vector(Field.PROGRAM_BACKEND_DELEGATE_DATA)
        self.segments: Vector = self.root.vector(Field.PROGRAM_SEGMENTS)

    def processed(self, reference: Table) -> Region:
        """Where the payload lies that `reference`, a delegate's BackendDelegateDataReference, points to: a segment, or
        inline."""
        index = self.segment_index(reference)
        if index is None:
            index = reference.integer(Field.REFERENCE_INDEX, U32)
            data = self.inline.table(index).vector(Field.INLINE_DATA, item_size=1)
            return Region(data.position, data.count)
        return self.segment(index)

    def segment_index(self, reference: Table) -> int | None:
        """Which segment `reference` points to; None for a payload inside the flatbuffer."""
        if reference.integer(Field.REFERENCE_LOCATION, U8) != _LOCATION_SEGMENT:
            return None
        return reference.integer(Field.REFERENCE_INDEX, U32)

    def segment(self, index: int) -> Region:
        """Where segment `index` lies in the file."""
        segment = self.segments.table(index)
        offset, size = segment.integer(Field.SEGMENT_OFFSET, U64), segment.integer(Field.SEGMENT_SIZE, U64)
        if self.segment_base == 0:
            raise FlatbufferError(f"segment {index}, and a header without segments")
        if not fits(offset, size, self.view.nbytes - self.segment_base):
            raise FlatbufferError(f"segment {index} of {size} bytes at {self.segment_base + offset}")
        return Region(self.segment_base + offset, size)


def open_program(path: str | os.PathLike[str]) -> PteFile:
    """Maps a .pte read-only and finds its parts. Touches the pages it reads, and no others.

    Args:
        path: The file.

    Returns:
        The open program; the mapping goes when it does.

    Raises:
        ProgramError: No such file, not a regular file, empty, truncated, or not an ExecuTorch program.
        FlatbufferError: A flatbuffer that leads out of the file.
    """
    name = os.fspath(path)
    if "\0" in name:
        raise ProgramError(repr(name), "a NUL character", "a path without one", "Check the path.")
    try:
        if not stat.S_ISREG(os.stat(name).st_mode):  # before open(): a pipe would block
            raise ProgramError(name, "not a regular file", "a .pte", "Give the path of a saved program.")
        with Path(name).open("rb") as file:
            return map_program(file.fileno(), name)
    except OSError as error:
        found = error.strerror or str(error)
        raise ProgramError(name, found[0].lower() + found[1:], "a readable .pte", "Check the path.") from None


def map_program(descriptor: int, name: str) -> PteFile:
    """Maps an open .pte read-only and finds its parts.

    Args:
        descriptor: The open regular file. It may be closed afterwards.
        name: What errors call it.

    Returns:
        The open program.

    Raises:
        ProgramError: Empty, truncated, or not an ExecuTorch program.
        FlatbufferError: A flatbuffer that leads out of the file.
        OSError: It cannot be mapped.
    """
    size = os.fstat(descriptor).st_size
    if size == 0:
        raise damaged(name, "an empty file")
    return PteFile(name, memoryview(mmap.mmap(descriptor, size, access=mmap.ACCESS_READ)))


def set_header(head: bytearray, program_size: int, segment_base: int, segment_bytes: int | None = None) -> None:
    """Changes the extended header that `head`, the first bytes of a file, has.

    Args:
        head: At least its first 40 bytes.
        program_size: Bytes that the flatbuffer may take, from the start of the file.
        segment_base: Where the segments start.
        segment_bytes: Bytes of all segments, if they have changed. Early headers do not tell.
    """
    magic, length, _, _ = _HEADER.unpack_from(head, _HEADER_OFFSET)
    _HEADER.pack_into(head, _HEADER_OFFSET, magic, length, program_size, segment_base)
    if segment_bytes is not None and length >= _HEADER.size + U64.size:
        U64.pack_into(head, _SEGMENT_DATA_SIZE_OFFSET, segment_bytes)


def damaged(path: str, found: str) -> ProgramError:
    """The error for the file at `path`, which is no whole program: `found` is what it is."""
    expected = 'an ExecuTorch program (.pte, "ET12" at byte 4)'
    return ProgramError(path, found, expected, "The file is damaged or of another kind: save or copy it again.")


def _read_header(path: str, view: memoryview) -> tuple[int, int]:
    """Bytes of the flatbuffer, and where the segments start (0: there are none)."""
    head = bytes(view[:_IDENTIFIER_END])
    if not is_program(head):
        raise damaged(path, _OTHER_FILES.get(head[:4], f"{view.nbytes} bytes that start with {head!r}"))
    if view.nbytes < _HEADER_OFFSET + _HEADER.size or bytes(view[_HEADER_OFFSET:][:4]) != _HEADER_MAGIC:
        return view.nbytes, 0  # no extended header: the program is the whole file
    _, length, program_size, segment_base = _HEADER.unpack_from(view, _HEADER_OFFSET)
    if length < _HEADER.size:
        raise damaged(path, f"an extended header of {length} bytes (a whole one has {_HEADER.size})")
    if not _IDENTIFIER_END <= program_size <= view.nbytes or segment_base > view.nbytes:
        raise damaged(path, f"{view.nbytes} of {max(program_size, segment_base)} bytes, or a wrong header")
    if length >= _HEADER.size + U64.size and view.nbytes >= _SEGMENT_DATA_SIZE_OFFSET + U64.size:
        (segment_data,) = U64.unpack_from(view, _SEGMENT_DATA_SIZE_OFFSET)
        if segment_base and not fits(segment_base, segment_data, view.nbytes):
            raise damaged(path, f"{view.nbytes} of {segment_base + segment_data} bytes, or a wrong header")
    return program_size, segment_base
