"""A reader for flatbuffers that checks every offset before it follows it.

The `flatbuffers` package does not verify what it reads (an offset below zero wraps around), and it imports numpy, which
costs more than all of `torchtrt_ws`. What a .pte needs of the format fits here: tables, vectors, strings, scalars.

Source:
    https://flatbuffers.dev/internals: "Tables" and "Vectors".
"""

from __future__ import annotations

import struct

__all__ = ["FlatbufferError", "Table", "Vector", "root_table"]

_U16, _I32, _U32 = struct.Struct("<H"), struct.Struct("<i"), struct.Struct("<I")
_OFFSET_SIZE = _U32.size
_VTABLE_HEADER_SIZE = 4  # u16 size of the vtable, u16 size of the table
_MAX_WORK = 1 << 18  # tables followed, plus bytes copied / 64: a program of 10,000 delegates needs a quarter of it


class FlatbufferError(ValueError):
    """An offset that leads out of the buffer, or a buffer that is built to keep its reader busy."""


class _Bytes:
    """The buffer, and how much reading it may still cause.

    Offsets may overlap, so that a small file can hold far more tables than bytes: the work is limited, not the counts.
    """

    __slots__ = ("size", "view", "work_left")

    def __init__(self, view: memoryview) -> None:
        self.view, self.size, self.work_left = view, view.nbytes, _MAX_WORK

    def check(self, position: int, size: int) -> None:
        if position < 0 or position > self.size or size > self.size - position:
            raise FlatbufferError(f"{size} bytes at {position} in a flatbuffer of {self.size}")

    def spend(self, work: int) -> None:
        self.work_left -= work
        if self.work_left < 0:
            raise FlatbufferError(f"more than {_MAX_WORK} tables")

    def scalar(self, layout: struct.Struct, position: int) -> int:
        self.check(position, layout.size)
        value: int = layout.unpack_from(self.view, position)[0]
        return value

    def follow(self, position: int) -> int:
        """Where the unsigned 32-bit offset at `position` leads."""
        return position + self.scalar(_U32, position)


class Table:
    """One table. A field is its place in the schema, from 0; a union takes two (its type, its value)."""

    __slots__ = ("_bytes", "_position", "_size", "_vtable", "_vtable_size")

    def __init__(self, data: _Bytes, position: int) -> None:
        data.spend(1)
        vtable = position - data.scalar(_I32, position)
        vtable_size = data.scalar(_U16, vtable)
        data.check(vtable, max(vtable_size, _VTABLE_HEADER_SIZE))
        size = data.scalar(_U16, vtable + _U16.size)
        data.check(position, size)
        self._bytes, self._position, self._size = data, position, size
        self._vtable, self._vtable_size = vtable, vtable_size

    def find(self, field: int, size: int = _OFFSET_SIZE) -> int | None:
        """Position of a field of `size` bytes in the buffer; None if the table leaves it at its default."""
        entry = _VTABLE_HEADER_SIZE + _U16.size * field
        if entry + _U16.size > self._vtable_size:
            return None
        offset = self._bytes.scalar(_U16, self._vtable + entry)
        if offset == 0:
            return None
        if offset + size > self._size:
            raise FlatbufferError(f"field {field} at {offset} in a table of {self._size} bytes")
        return self._position + offset

    def integer(self, field: int, layout: struct.Struct, default: int = 0) -> int:
        """A scalar field, read with `layout` ("<I", "<b", ...); `default` if it is absent."""
        position = self.find(field, layout.size)
        return default if position is None else self._bytes.scalar(layout, position)

    def table(self, field: int) -> Table | None:
        """A field that holds a table, or the value of a union; None if absent."""
        position = self.find(field)
        return None if position is None else Table(self._bytes, self._bytes.follow(position))

    def vector(self, field: int, item_size: int = _OFFSET_SIZE) -> Vector:
        """A field that holds a vector of items of `item_size` bytes; an absent one is empty."""
        position = self.find(field)
        if position is None:
            return Vector(self._bytes, 0, 0, item_size)
        start = self._bytes.follow(position)
        return Vector(self._bytes, start + _U32.size, self._bytes.scalar(_U32, start), item_size)

    def text(self, field: int) -> str | None:
        """A string field; None if absent. Bytes that are not UTF-8 are shown as such."""
        if self.find(field) is None:
            return None
        return self.vector(field, item_size=1).copy().decode("utf-8", "backslashreplace")

    def spend(self, work: int) -> None:
        """Counts work that the caller does because of this table (in units of 64 bytes) against the same limit."""
        self._bytes.spend(work)


class Vector:
    """A vector whose whole extent lies in the buffer."""

    __slots__ = ("_bytes", "_item_size", "count", "position")  # `position`: of the first item, in the buffer

    def __init__(self, data: _Bytes, position: int, count: int, item_size: int) -> None:
        data.check(position, count * item_size)
        self._bytes, self._item_size = data, item_size
        self.position, self.count = position, count

    def _item(self, index: int) -> int:
        if not 0 <= index < self.count:
            raise FlatbufferError(f"index {index} in a vector of {self.count}")
        return self.position + index * self._item_size

    def table(self, index: int) -> Table:
        """The table that item `index` (an offset) leads to."""
        return Table(self._bytes, self._bytes.follow(self._item(index)))

    def integer(self, index: int, layout: struct.Struct) -> int:
        """Item `index`, read with `layout`."""
        return self._bytes.scalar(layout, self._item(index))

    def copy(self) -> bytes:
        """The vector's bytes."""
        size = self.count * self._item_size
        self._bytes.spend(1 + size // 64)
        return bytes(self._bytes.view[self.position : self.position + size])


def root_table(view: memoryview) -> Table:
    """The root table of the flatbuffer in `view` (its first four bytes lead there).

    Raises:
        FlatbufferError: Here and from everything below: an offset that leads out of `view`, or too many tables.
    """
    data = _Bytes(view)
    return Table(data, data.follow(0))
