"""Equal engines of a program, stored once: the segments of their delegates overlap, and end with the same engine.

    [header, metadata of A] [header, metadata of B] [the engine of both]
    ^ segment of A          ^ segment of B                              ^ end of both

exir lays every delegate's data out for itself; this moves what is equal together and closes the gaps.

Source:
    ExecuTorch 1.5.1, exir/_serialize/_program.py, serialize_pte_binary: segments in order, each aligned.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from executorch.exir._serialize._cord import Cord
from executorch.exir._serialize._program import _get_extended_header

from torchtrt_ws.export.file.streamed_blobs import StreamedBlobs
from torchtrt_ws.pte.flatbuffer import Vector, root_table
from torchtrt_ws.pte.layout import U64, Field, Region, set_header

__all__ = ["share_segments"]


def share_segments(cord: Cord, alignment: int) -> Cord:
    """Joins the delegates of one payload.

    Args:
        cord: What exir has serialized; each engine is a `StreamedBlobs` in a segment of its own.
        alignment: What the start of every segment is a multiple of, counted from the first one.

    Returns:
        The same program: the same cord, where no two engines are equal.
    """
    of_payload: defaultdict[int, list[StreamedBlobs]] = defaultdict(list)
    for each in cord._buffers:
        if isinstance(each, StreamedBlobs):
            of_payload[id(each.payload)].append(each)
    if all(len(group) == 1 for group in of_payload.values()):
        return cord
    flatbuffer, *rest = cord._buffers
    header = _get_extended_header(flatbuffer)
    assert header is not None, "engines are in segments"
    head = bytearray(flatbuffer)
    table = root_table(memoryview(flatbuffer)).vector(Field.PROGRAM_SEGMENTS)
    segments = _contents(table, rest, len(flatbuffer) - header.segment_base_offset)
    data = Cord()
    of_blob = {id(content[0]): index for index, content in segments.items()}
    for index, content in segments.items():
        first = content[0]
        if isinstance(first, StreamedBlobs):
            group = of_payload.pop(id(first.payload), None)
            if group is None:
                continue  # joined before
            joined = StreamedBlobs([member for each in group for member in each.members], alignment)
            start = _append(data, Cord(joined), alignment)
            for each, region in zip(group, joined.regions, strict=True):
                _place(head, table, of_blob[id(each)], Region(start + region.offset, region.size))
        else:
            whole = Cord()
            for part in content:
                whole.append(part)
            _place(head, table, index, Region(_append(data, whole, alignment), len(whole)))
    base = header.segment_base_offset
    set_header(head, header.program_size, base, len(data))
    changed = Cord(bytes(head))
    changed.append(bytes(base - len(head)))
    changed.append(data)
    return changed


def _regions(segments: Vector) -> Iterator[tuple[int, Region]]:
    for index in range(segments.count):
        table = segments.table(index)
        yield index, Region(table.integer(Field.SEGMENT_OFFSET, U64), table.integer(Field.SEGMENT_SIZE, U64))


def _contents(segments: Vector, buffers: list[object], position: int) -> dict[int, list[object]]:
    """Segment to what is in it, in file order; without empty ones, and without the padding between them. `position`:
    of the first buffer, counted from the first segment."""
    regions = sorted(
        ((index, each) for index, each in _regions(segments) if each.size), key=lambda pair: pair[1].offset
    )
    found: dict[int, list[object]] = {index: [] for index, _ in regions}
    left = iter(regions)
    index, region = next(left)
    for each in buffers:
        if not len(each):  # type: ignore[arg-type]
            continue
        while position >= region.offset + region.size:
            index, region = next(left)
        if position >= region.offset:
            found[index].append(each)
        position += len(each)  # type: ignore[arg-type]
    return found


def _append(data: Cord, content: Cord, alignment: int) -> int:
    """Appends `content` at the next place of that alignment, and returns where."""
    start = -(-len(data) // alignment) * alignment
    data.append(bytes(start - len(data)))
    data.append(content)
    return start


def _place(head: bytearray, segments: Vector, index: int, region: Region) -> None:
    table = segments.table(index)
    for field, value in ((Field.SEGMENT_OFFSET, region.offset), (Field.SEGMENT_SIZE, region.size)):
        position = table.find(field, U64.size)
        if position is not None:
            U64.pack_into(head, position, value)
        else:
            assert value == 0, "the first segment with data stays the first: only there a flatbuffer leaves out a zero"
