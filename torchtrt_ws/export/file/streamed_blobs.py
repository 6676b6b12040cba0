"""The bytes of delegates whose engine stays where it is until the file is written."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from executorch.exir._serialize._cord import FileBackedData

from torchtrt_ws.digests import UNKNOWN, Digests
from torchtrt_ws.pte.layout import Region

if TYPE_CHECKING:
    from torchtrt_ws.export.engine.built_engine import Payload, SeekableFile
    from torchtrt_ws.export.engine.engine_blob import EngineBlob

__all__ = ["Member", "StreamedBlobs"]


class Member(NamedTuple):
    """One delegate: its engine, and for each of its arguments which of the engine's inputs it is."""

    blob: EngineBlob
    input_order: tuple[int, ...]


class StreamedBlobs(FileBackedData):  # type: ignore[misc]  # executorch has no types
    """Header and metadata of each delegate, then their engine, once. `Cord` takes it as any `FileBackedData`.

    Args:
        members: The delegates, of one payload.
        alignment: Of the place where each begins, a multiple of 16: it is the start of a segment.
    """

    def __init__(self, members: Sequence[Member], alignment: int = 16) -> None:
        self.members = tuple(members)  # deliberately no super().__init__(): there is no file
        starts: list[int] = []
        ends: list[int] = []
        for member in self.members:
            starts.append(-(-(ends[-1] if ends else 0) // alignment) * alignment)
            ends.append(starts[-1] + len(member.blob.prefix(member.input_order, UNKNOWN)))
        self._starts, self._gaps = starts, [ends[-1] - end for end in ends]
        self._engine_start = ends[-1]

    @property
    def payload(self) -> Payload:
        """The engine."""
        return self.members[0].blob.engine.payload

    @property
    def regions(self) -> list[Region]:
        """Where the data of each delegate lie: all of them end with the engine."""
        return [Region(start, len(self) - start) for start in self._starts]

    def __deepcopy__(self, memo: object) -> StreamedBlobs:
        return self  # the serializer deep-copies the program it is given

    def __len__(self) -> int:
        return self._engine_start + self.payload.size

    def write_to_file(self, outfile: SeekableFile) -> None:
        """Writes the engine once to `outfile`, and then its digests, which are known by then, before it."""
        start = outfile.tell()
        outfile.write(self._prefixes(UNKNOWN))
        self.payload.write_to(outfile)
        end = outfile.tell()
        outfile.seek(start)
        outfile.write(self._prefixes(self.payload.digests))
        outfile.seek(end)

    def to_bytes(self) -> bytes:
        """What `write_to_file` writes."""
        file = io.BytesIO()
        self.write_to_file(file)
        return file.getvalue()

    def _prefixes(self, digests: Digests) -> bytes:
        text = b""
        for member, start, gap in zip(self.members, self._starts, self._gaps, strict=True):
            text = text.ljust(start, b"\0") + member.blob.prefix(member.input_order, digests, gap)
        return text
