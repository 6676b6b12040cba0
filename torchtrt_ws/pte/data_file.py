"""Tensors of a program that lie in files of their own (.ptd): which it needs, and which such a file has. Pure.

Source:
    ExecuTorch 1.5.1, extension/flat_tensor/serialize/flat_tensor.fbs and flat_tensor_header.h.
"""

from __future__ import annotations

import mmap
import os
import stat
import struct
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TypeVar

from torchtrt_ws.blob import fits
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.identifiers import DATA_FILE_SUFFIX
from torchtrt_ws.pte.flatbuffer import FlatbufferError, Table, root_table
from torchtrt_ws.pte.layout import U8, U32, U64, VALUE_TYPES, Field, Region, damaged, open_program

__all__ = [
    "data_files_beside",
    "external_names",
    "external_tensors",
    "names_in_data_file",
    "no_data_file",
    "regions_in_data_file",
]

_MAGIC, _MAGIC_OFFSET = b"FT01", 4
_HEADER = struct.Struct("<4sIQQQQ")  # magic, header length; offset and size of the flatbuffer, and of the data
_HEADER_MAGIC, _HEADER_OFFSET = b"FH01", 8
_SEGMENTS, _NAMED_DATA, _KEY, _SEGMENT_INDEX = 1, 2, 0, 1  # fields of FlatTensor and NamedData
_OFFSET, _SIZE = 0, 1  # fields of DataSegment
_EXTRA_NAME, _EXTRA_LOCATION, _EXTERNAL = 1, 2, 1  # fields of ExtraTensorInfo, and a TensorDataLocation
_MOST_FILES = 64  # that are looked into, of a folder


def external_names(path: str | os.PathLike[str]) -> frozenset[str]:
    """The tensors that a program itself takes from other files. What its delegates take is theirs to know.

    Args:
        path: The .pte.

    Raises:
        ProgramError: No program.
    """
    try:
        return external_tensors(open_program(path).root)
    except FlatbufferError as error:
        raise damaged(os.fspath(path), f"a broken program: {error}") from None


def external_tensors(root: Table) -> frozenset[str]:
    """As `external_names`, of a program that is open.

    Args:
        root: The program's root table.

    Raises:
        FlatbufferError: A broken program.
    """
    plans = root.vector(Field.PROGRAM_EXECUTION_PLAN)
    return frozenset(name for plan in map(plans.table, range(plans.count)) for name in _external(plan))


def _external(plan: Table) -> Iterator[str]:
    values = plan.vector(Field.PLAN_VALUES)
    for value in map(values.table, range(values.count)):
        kind = value.integer(Field.VALUE_TYPE, U8)
        tensor = value.table(Field.VALUE) if kind < len(VALUE_TYPES) and VALUE_TYPES[kind] == "tensor" else None
        extra = tensor.table(Field.TENSOR_EXTRA_INFO) if tensor else None
        if extra is not None and extra.integer(_EXTRA_LOCATION, U8) == _EXTERNAL:
            yield extra.text(_EXTRA_NAME) or ""


def names_in_data_file(path: str | os.PathLike[str]) -> frozenset[str]:
    """The tensors that a .ptd has. Only its index is read.

    Args:
        path: The file.

    Raises:
        ProgramError: Missing, not a regular file, or no .ptd.
    """
    return frozenset(_read_index(path, _names))


def regions_in_data_file(path: str | os.PathLike[str]) -> dict[str, Region]:
    """Where the data of a .ptd lie. Only its index is read.

    Args:
        path: The file.

    Returns:
        Key to bytes of the file.

    Raises:
        ProgramError: Missing, not a regular file, no .ptd, or one that is truncated.
    """
    return _read_index(path, _regions)


_Found = TypeVar("_Found")


def _read_index(path: str | os.PathLike[str], read: Callable[[Table, int, int], _Found]) -> _Found:
    """What `read` makes of the root table, the start of the data and the size of the file."""
    name = os.fspath(path)
    try:
        if not stat.S_ISREG(os.stat(name).st_mode):  # before open(): a pipe would block
            raise _refused(name, "not a regular file")
        with open(name, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < _HEADER_OFFSET + _HEADER.size:
                raise _refused(name, f"a file of {size} bytes")
            view = memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        if isinstance(error, ProgramError):
            raise
        raise _refused(name, getattr(error, "strerror", None) or str(error)) from None
    magic, _, offset, length, base, _ = _HEADER.unpack_from(view, _HEADER_OFFSET)
    if bytes(view[_MAGIC_OFFSET:_HEADER_OFFSET]) != _MAGIC or magic != _HEADER_MAGIC:
        raise _refused(name, f"a file that starts with {bytes(view[:_HEADER_OFFSET])!r}")
    if offset > size or length > size - offset:
        raise _refused(name, f"{size} bytes, and an index of {length} bytes at {offset}")
    try:
        # Offsets count from the start of the file: the header was put into the flatbuffer.
        return read(root_table(view[: offset + length]), base, size)
    except FlatbufferError as error:
        raise _refused(name, f"a broken index: {error}") from None


def _names(root: Table, base: int, size: int) -> Iterator[str]:
    del base, size
    entries = root.vector(_NAMED_DATA)
    return iter([each.text(_KEY) or "" for each in map(entries.table, range(entries.count))])


def _regions(root: Table, base: int, size: int) -> dict[str, Region]:
    entries, segments = root.vector(_NAMED_DATA), root.vector(_SEGMENTS)
    found = {}
    for each in map(entries.table, range(entries.count)):
        segment = segments.table(each.integer(_SEGMENT_INDEX, U32))
        region = Region(base + segment.integer(_OFFSET, U64), segment.integer(_SIZE, U64))
        if not fits(region.offset, region.size, size):
            raise FlatbufferError(f"{region.size} bytes at {region.offset} of {size}")
        found[each.text(_KEY) or ""] = region
    return found


def data_files_beside(path: str | os.PathLike[str], needed: Collection[str] | None = None) -> list[str]:
    """The data files of a program that lie in its folder: `model.ptd` for `model.pte`, and those that have tensors that
    it needs.

    Args:
        path: The .pte.
        needed: From `external_names`, if they are known; None to read them.

    Returns:
        Their paths; none where there is nothing to look at.

    Raises:
        ProgramError: A tensor that is needed and in no file there, or in several.
    """
    program = Path(path)
    own = program.with_suffix(DATA_FILE_SUFFIX)
    found = {str(own): names_in_data_file(own)} if own.exists() else {}
    missing = frozenset(external_names(path) if needed is None else needed).difference(*found.values())
    candidates = sorted(program.parent.glob(f"*{DATA_FILE_SUFFIX}"))[:_MOST_FILES] if missing else []
    homes: dict[str, str] = {}
    for candidate in candidates:
        try:
            names = names_in_data_file(candidate)
        except ProgramError:
            continue  # somebody else's
        for tensor in sorted(names & missing):
            if tensor in homes:
                both = f"{tensor!r} in {homes[tensor]} and in {candidate}"
                raise ProgramError(str(path), both, "one file with it", "Say which: load(path, data=[...]).")
            homes[tensor] = str(candidate)
    if missing - homes.keys():
        raise no_data_file(path, missing - homes.keys())
    return [*found, *dict.fromkeys(homes.values())]


def no_data_file(path: str | os.PathLike[str], missing: Collection[str]) -> ProgramError:
    """The error for the program at `path`, of whose tensors the names `missing` are in no data file."""
    names = ", ".join(repr(name) for name in sorted(missing)[:8])
    expected = f"a {DATA_FILE_SUFFIX} with it beside the program, or among data="
    return ProgramError(os.fspath(path), f"no file with the tensor {names}", expected, "Give load(path, data=[...]).")


def _refused(name: str, found: str) -> ProgramError:
    found = found[0].lower() + found[1:]
    return ProgramError(name, found, 'an ExecuTorch data file (.ptd, "FT01" at byte 4)', "Check the path.")
