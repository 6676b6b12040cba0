"""Room in a .pte for another budget: two places for the flatbuffer, of which one is in use.

    0        the flatbuffer's root offset, "ET12", the extended header (its program size is 2 * S)
    40       slot 0: the flatbuffer
    S        in the first bytes of slot 1, which no table uses: MAGIC, u64 S, u64 content size
    S + 40   slot 1: the flatbuffer, each byte S behind its place in slot 0
    2 * S    padding, then the segments

The root offset says which slot is in use. A change writes the other slot, syncs, and then replaces the root offset:
four aligned bytes, so that a file is the old program or the new one wherever the writer is killed, and after a loss of
power.
For a reader all this is one flatbuffer that has unused bytes. S is a multiple of 4096, which keeps every alignment.

`content size` is the flatbuffer's without the compile specs that changes write behind it: these never pile up.

Source:
    ExecuTorch 1.5.1, schema/extended_header.h; exir/_serialize/_program.py writes header, flatbuffer and segments.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from torchtrt_ws import budget
from torchtrt_ws.pte.compile_specs import DelegateSpecs, Specs, find_specs, specs_behind, with_budget
from torchtrt_ws.pte.flatbuffer import root_table
from torchtrt_ws.pte.layout import HEADER_END, U32, set_header

__all__ = ["Room", "Slot", "find_room", "make_room", "next_slot", "segment_start"]

MAGIC = b"twsroom1"
_MARK = struct.Struct("<8sQQ")  # magic, S, content size
_PAGE = 4096  # of S, so that a slot keeps the alignment of all in it
_MAX_STEP = 2 << 20  # huge pages: no segment is aligned to more


@dataclass(frozen=True)
class Room:
    """S and the content size, in bytes."""

    slot_size: int
    content_size: int


@dataclass(frozen=True)
class Slot:
    """What a change writes: `data` at `position`, and then `root` at 0."""

    position: int
    data: bytes
    root: bytes


def find_room(head: bytes | bytearray | memoryview) -> Room | None:
    """The room of a file, if it has one.

    Args:
        head: What lies before the header's program size.

    Returns:
        The room; None for files of others and of early versions.
    """
    size, odd = divmod(len(head), 2)
    if odd or size == 0 or size % _PAGE:
        return None
    magic, slot_size, content_size = _MARK.unpack_from(head, size)
    if magic != MAGIC or slot_size != size or not HEADER_END <= content_size <= size:
        return None
    return Room(slot_size, content_size)


def make_room(flatbuffer: bytes, segment_base: int) -> tuple[bytes, int]:
    """Adds room to a file.

    Args:
        flatbuffer: The file up to its program size, with an extended header and without room.
        segment_base: Where the segments start.

    Returns:
        What to write before the segments, and where they start now: aligned as before.

    Raises:
        FlatbufferError: A broken program.
    """
    delegates = find_specs(root_table(memoryview(flatbuffer)))
    longest = [with_budget(each.specs, budget.encode(budget.MAX_BYTES)) for each in delegates]
    needed = len(specs_behind(flatbuffer, delegates, longest))
    size = -(-needed // _PAGE) * _PAGE
    base = segment_start(2 * size, segment_base)
    head = bytearray(flatbuffer.ljust(base, b"\0"))
    _MARK.pack_into(head, size, MAGIC, size, len(flatbuffer))
    set_header(head, 2 * size, base)
    return bytes(head), base


def segment_start(at_least: int, old: int, counted_from: int = 0) -> int:
    """Where something goes that was at `old`: a place from `at_least` on, with the same alignment.

    It is whole blocks away, so that file systems that share blocks can share these.

    Args:
        at_least: The first byte it may have.
        old: Where it was. 0 is aligned to anything.
        counted_from: Where in the file `old` is counted from.

    Returns:
        The position.
    """
    places = old | counted_from
    step = min(max(places & -places, _PAGE), _MAX_STEP)  # the lowest bit: what both are a multiple of
    return max(0, -(-(at_least - old) // step)) * step + old


def next_slot(head: bytes, room: Room, delegates: Sequence[DelegateSpecs], wanted: Sequence[Specs]) -> Slot | None:
    """A change of compile specs.

    Args:
        head: The file up to its program size.
        room: Its room.
        delegates: From `find_specs`.
        wanted: For each delegate its compile specs.

    Returns:
        What to write; None if the specs are more than there is room for.

    Raises:
        FlatbufferError: A broken program.
    """
    size = room.slot_size
    (root,) = U32.unpack_from(head)
    old, new = (0, size) if root < size else (size, 0)
    content = head[old : old + room.content_size]
    image = specs_behind(content, delegates, wanted, start=old)
    if len(image) > size:
        return None
    data = image.ljust(size, b"\0")[HEADER_END:]  # before that are the header, or the room's own mark
    return Slot(new + HEADER_END, data, U32.pack(root - old + new))
