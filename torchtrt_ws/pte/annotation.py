"""annotate: what torchtrt-ws records of engines, added to the files of others."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, BinaryIO

from torchtrt_ws import blob
from torchtrt_ws.atomic import check_target, write_atomically
from torchtrt_ws.budget import EngineSize
from torchtrt_ws.digests import UNKNOWN, Digests, Hashing
from torchtrt_ws.errors import BlobError, ProgramError
from torchtrt_ws.identifiers import SIGNATURE_SUFFIX, TENSORRT
from torchtrt_ws.pte.engine_file import EngineFile, engine_files
from torchtrt_ws.pte.info import EngineInfo, ProgramInfo
from torchtrt_ws.pte.io_facts import io_facts, passed_values
from torchtrt_ws.pte.layout import U64, Field, PteFile, Region, set_header
from torchtrt_ws.pte.read_program import read_open
from torchtrt_ws.pte.room import find_room, make_room, segment_start
from torchtrt_ws.pte.source import Source, is_same_file, opened_source

__all__ = ["Annotation", "annotate"]

_PIECE = 1 << 20  # bytes that are hashed at a time


@dataclass(frozen=True)
class Annotation:
    """What `annotate` did.

    `engines` are those whose metadata were added or completed: none if the file has all of it. `stale_signature` is the
    signature beside the file, which no longer holds; None where there is none.
    """

    file: str
    engines: tuple[str, ...]
    stale_signature: str | None

    def as_dict(self) -> dict[str, Any]:
        """The report as `annotate --json` prints it."""
        return {**asdict(self), "engines": list(self.engines)}


def annotate(path: str | os.PathLike[str], *, output: str | os.PathLike[str] | None = None) -> Annotation:
    """Adds what torchtrt-ws records of engines to a program of Torch-TensorRT. Imports neither torch nor executorch.

    That is a name (engine0, engine1, ... in loading order), a CRC-32C and a SHA-256 of the engine, dtypes and shapes of
    its inputs and outputs, its streamable bytes, and the program's engine count and total: a load then notices damage,
    and percents and totals can be baked. A plan tells its streamable bytes to a GPU only, so its size is recorded, as
    an estimate. Files of early versions of torchtrt-ws get the checksum that they lack.

    An engine in a data file beside the program, as Torch-TensorRT 2.15 may write it, is read there, and stays there.

    Everything else in the file stays, byte for byte; the engines move. The new file is written beside the old one,
    which it replaces when it is whole. A file that has all this is left as it is.

    Args:
        path: The .pte.
        output: Another file to write, instead of replacing this one.

    Returns:
        The engines that were annotated.

    Raises:
        ProgramError: No program, no engines in it, engines inside the flatbuffer or shared by delegates, an engine that
            is not the one that its metadata record, no data file with an engine that is not in the program, a file that
            cannot be read or written or that changes meanwhile.
        EngineError: The package `crc32c` is not installed.
    """
    target = check_target(path if output is None else output)
    replaces = output is None or is_same_file(path, output)
    with opened_source(path, to_change=replaces) as source:
        program = read_open(source.program)
        program.require_engines()
        blobs = _changed_blobs(source.program, program)
        if blobs:
            layout = _Layout(source.program, blobs)
            write_atomically(target, lambda file: layout.write(source, file))
        elif not replaces:
            write_atomically(target, lambda file: source.copy(0, source.program.view.nbytes, file))
    file = os.fspath(path if output is None else output)
    names = tuple(each.own.name for each in blobs.values())
    signature = file + SIGNATURE_SUFFIX
    stale = (bool(blobs) or not replaces) and os.path.exists(signature)
    return Annotation(file, names, signature if stale else None)


@dataclass(frozen=True)
class _Blob:
    """A blob that gets other metadata. `region` is the old one in the file, `engine_offset` the old one in the blob."""

    region: Region
    engine: EngineInfo
    text: bytes  # the JSON as it is
    header: bytes
    engine_offset: int
    own: blob.OwnFacts
    digests: Digests | None  # None: to be found

    @property
    def engine_start(self) -> int:
        """Where the engine lies in the new blob."""
        return segment_start(blob.engine_start(len(self._json(UNKNOWN))), self.engine_offset)

    def prefix(self, digests: Digests) -> bytes:
        """All that comes before the engine. Its size does not depend on the digests."""
        text = self._json(digests)
        header = blob.moved_header(self.header, len(text), self.engine_start)
        return (header + text).ljust(self.engine_start, b"\0")

    def _json(self, digests: Digests) -> bytes:
        own = replace(self.own, crc32c=digests.crc32c, sha256=digests.sha256)
        return blob.with_own(self.text, own, f"engine {own.name!r}")


def _changed_blobs(file: PteFile, program: ProgramInfo) -> dict[int, _Blob]:
    """Segment number to the blob in it, for those that lack something."""
    engines = program.engines
    elsewhere = engine_files(file.path, engines)
    sizes = [_streamable(engine, elsewhere)[0] for engine in engines]
    total, distinct = _totals(sizes, program.engine_sizes())
    segments = _segments_of(file, program)
    changed: dict[int, _Blob] = {}
    for engine, segment, values in zip(engines, segments, passed_values(file.root), strict=True):
        own = engine.metadata.own
        if own is None:
            inputs, outputs = io_facts(f"{file.path}: engine {engine.name!r}", engine.metadata, values)
            size, estimated = _streamable(engine, elsewhere)
            own = blob.OwnFacts(
                name=engine.name,
                kind=engine.kind,
                sha256=UNKNOWN.sha256,
                streamable_bytes=size,
                streamable_estimated=estimated,
                inputs=inputs,
                outputs=outputs,
            )
        wanted = replace(
            own, program_engines=len(engines), program_streamable_bytes=total, program_distinct_bytes=distinct
        )
        if wanted == engine.metadata.own and wanted.crc32c is not None:
            continue
        digests = None if wanted.crc32c is None else Digests(wanted.crc32c, wanted.sha256)
        if digests is None and engine.engine_key is not None:
            digests = elsewhere[engine.engine_key].digests()
        changed[_taken(file, engine, segment, segments)] = _read_blob(file, engine, wanted, digests)
    if changed and len({engine.name for engine in engines}) < len(engines):
        raise ProgramError(file.path, "two engines of one name", "a name for each engine", "Save it again.")
    return changed


def _totals(sizes: Sequence[int | None], engines: Sequence[EngineSize]) -> tuple[int | None, int | None]:
    """Of all engines; and with those on the same weights counted once, where there are any."""
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes):
        return None, None
    distinct = [size for size, each in zip(known, engines, strict=True) if each.weights_of is None]
    return sum(known), sum(distinct) if len(distinct) < len(known) else None


def _streamable(engine: EngineInfo, elsewhere: Mapping[str, EngineFile]) -> tuple[int | None, bool]:
    """What is known of the streamable bytes, and whether it is an estimate."""
    if engine.metadata.own is not None:
        return engine.streamable_bytes, engine.streamable_estimated
    if engine.kind != TENSORRT:
        return None, False
    # As save_plan has it: nearly all of a plan is weights, and how many of them stream only a GPU is told.
    key = engine.engine_key
    return engine.engine_bytes if key is None else elsewhere[key].region.size, True


def _segments_of(file: PteFile, program: ProgramInfo) -> list[int | None]:
    """The segment of each engine; None for one inside the flatbuffer."""
    count = file.segments.count if file.segment_base else 0
    numbers = {file.segment(index): index for index in range(count)}
    return [numbers.get(Region(each.payload_offset, each.payload_bytes)) for each in program.engines]


def _taken(file: PteFile, engine: EngineInfo, segment: int | None, segments: Sequence[int | None]) -> int:
    subject = f"{file.path}: engine {engine.name!r}"
    next_step = "Save the program with torchtrt_ws.save."
    if segment is None:
        raise ProgramError(subject, "an engine inside the flatbuffer", "one in a segment behind it", next_step)
    if segments.count(segment) > 1:
        raise ProgramError(subject, "an engine that two delegates share", "an engine for each delegate", next_step)
    return segment


def _read_blob(file: PteFile, engine: EngineInfo, own: blob.OwnFacts, digests: Digests | None) -> _Blob:
    region = Region(engine.payload_offset, engine.payload_bytes)
    view = file.view[region.offset : region.offset + region.size]
    header = blob.read_header(view)
    text = bytes(view[header.metadata_offset : header.metadata_offset + header.metadata_size])
    try:
        blob.with_own(text, own, f"{file.path}: engine {engine.name!r}")
    except BlobError as error:
        raise ProgramError(error.subject, error.found, error.expected, error.next_step) from None
    return _Blob(region, engine, text, bytes(view[: blob.HEADER_SIZE]), header.engine_offset, own, digests)


class _Layout:
    """Where each segment goes: each as far from a multiple of its alignment as before."""

    def __init__(self, file: PteFile, blobs: Mapping[int, _Blob]) -> None:
        self._file, self._blobs = file, blobs
        regions = {index: file.segment(index) for index in range(file.segments.count)}
        self._order = sorted(regions, key=lambda index: (regions[index].offset, regions[index].size))
        self._old = regions
        self._new: dict[int, Region] = {}
        end = 0
        old_end = file.segment_base
        for index in self._order:
            region = regions[index]
            if region.offset < old_end:
                raise ProgramError(file.path, "segments that overlap", "one after the other", "Save it again.")
            old_end = region.offset + region.size
            size = region.size
            if index in blobs:
                size += blobs[index].engine_start - blobs[index].engine_offset
            start = segment_start(end, region.offset - file.segment_base, file.segment_base)
            self._new[index] = Region(start, size)
            end = start + size
        self._rest = Region(old_end, file.view.nbytes - old_end)  # what follows the last segment
        self._end = end + self._rest.size

    def write(self, source: Source, file: BinaryIO) -> None:
        """Writes the new program."""
        head, base = self._head()
        file.write(head)
        for index in self._order:
            file.write(bytes(base + self._new[index].offset - file.tell()))
            if index in self._blobs:
                _write_blob(source, self._blobs[index], file)
            else:
                source.copy(self._old[index].offset, self._old[index].size, file)
        source.copy(self._rest.offset, self._rest.size, file)
        source.check_unchanged()

    def _head(self) -> tuple[bytes, int]:
        """All before the segments, and its size: where they begin."""
        program, base = self._file, self._file.segment_base
        head = bytearray(program.view[: program.program_size])
        for index, region in self._new.items():
            table = program.segments.table(index)
            for field, value in ((Field.SEGMENT_OFFSET, region.offset), (Field.SEGMENT_SIZE, region.size)):
                if table.integer(field, U64) == value:
                    continue
                position = table.find(field, U64.size)
                if position is None:  # flatbuffers leave out zeros: an empty segment before another one
                    raise ProgramError(program.path, "an empty segment", "segments with data", "Save it again.")
                U64.pack_into(head, position, value)
        set_header(head, program.program_size, base, self._end)
        if find_room(head) is None and program.inline.count == 0:
            return make_room(bytes(head), base)
        return bytes(head) + bytes(program.view[program.program_size : base]), base


def _write_blob(source: Source, each: _Blob, file: BinaryIO) -> None:
    """The engine is hashed while it is copied; what comes before it is written when the digests are known."""
    start = file.tell()
    file.write(each.prefix(UNKNOWN))
    offset, end = each.region.offset + each.engine_offset, each.region.offset + each.region.size
    engine_end = offset + each.engine.engine_bytes
    if each.digests is not None:
        source.copy(offset, end - offset, file)
        digests = each.digests
    else:
        view = source.program.view[offset:engine_end]
        with Hashing(view[piece : piece + _PIECE] for piece in range(0, view.nbytes, _PIECE)) as hashing:
            source.copy(offset, end - offset, file)
            digests = hashing.digests()
    if each.own.sha256 not in (UNKNOWN.sha256, digests.sha256):
        raise ProgramError(
            f"engine {each.own.name!r}",
            f"bytes of SHA-256 {digests.sha256}",
            f"those that the file records, {each.own.sha256}",
            "The file is damaged: save or copy it again.",
        )
    behind = file.tell()
    file.seek(start)
    file.write(each.prefix(digests))
    file.seek(behind)
