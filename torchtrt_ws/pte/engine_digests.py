"""check_digests: whether the engines of a program are those that it records, by reading all of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torchtrt_ws.digests import Digests, add_to_crc32c
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.pte.companion import with_companions
from torchtrt_ws.pte.data_file import data_files_beside, regions_in_data_file
from torchtrt_ws.pte.engine_file import engine_files
from torchtrt_ws.pte.info import EngineInfo
from torchtrt_ws.pte.layout import Region
from torchtrt_ws.pte.read_program import read_open
from torchtrt_ws.pte.source import opened_source

__all__ = ["DigestReport", "EngineDigest", "Progress", "check_digests"]

_PIECE = 1 << 20  # bytes that are read at a time
Progress = Callable[[int, int], None]  # is told the bytes that are read, and how many there are


@dataclass(frozen=True)
class EngineDigest:
    """What the bytes of one engine are: SHA-256 as 64, CRC-32C as 8 lower-case hexadecimal digits.

    `recorded_sha256` and `recorded_crc32c` are what the file says, None where it says nothing; without a recorded one,
    `crc32c` is None too. Of an engine that is stored without its weights, `other_weights` are those that are not as
    recorded in the file that has them, and `weights_problem` is why none could be read; for all others None.
    """

    name: str
    method: str
    sha256: str
    crc32c: str | None
    recorded_sha256: str | None
    recorded_crc32c: str | None
    other_weights: tuple[str, ...] | None = None
    weights_problem: str | None = None

    @property
    def as_recorded(self) -> bool | None:
        """False if one of the two differs from the record; None without a record."""
        pairs = ((self.recorded_sha256, self.sha256), (self.recorded_crc32c, self.crc32c))
        equal = [recorded == found for recorded, found in pairs if recorded is not None]
        equal += [not self.other_weights and self.weights_problem is None] if self.other_weights is not None else []
        return all(equal) if equal else None

    @property
    def result(self) -> str:
        """ "as recorded", "differs" or "not recorded"."""
        return {True: "as recorded", False: "differs", None: "not recorded"}[self.as_recorded]

    def as_dict(self) -> dict[str, Any]:
        """The engine as `inspect --digest --json` prints it."""
        return {
            "name": self.name,
            "method": self.method,
            "sha256": self.sha256,
            "crc32c": self.crc32c,
            "recorded_sha256": self.recorded_sha256,
            "recorded_crc32c": self.recorded_crc32c,
            "result": self.result,
            **({} if self.other_weights is None else self._weights()),
        }

    def _weights(self) -> dict[str, Any]:
        return {"other_weights": list(self.other_weights or ()), "weights_problem": self.weights_problem}


@dataclass(frozen=True)
class DigestReport:
    """What `check_digests` found, engines in loading order."""

    file: str
    engines: tuple[EngineDigest, ...]

    @property
    def all_as_recorded(self) -> bool:
        """False if an engine is not the one that the file records. One that it records nothing of says nothing."""
        return all(each.as_recorded is not False for each in self.engines)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON."""
        return {"file": self.file, "engines": [each.as_dict() for each in self.engines]}


def check_digests(path: str | os.PathLike[str], *, progress: Progress | None = None) -> DigestReport:
    """Computes the SHA-256 of each engine, its CRC-32C where one is recorded, and compares both with the file's record.

    All engines are read, those that are the same bytes of a file once, 1 MiB at a time; and the weights of those that
    are stored without, in the data files beside the program, where whole engines may be too. It is a check against
    damage: who changes an engine can change its record. `torchtrt_ws.trust.verify` says who signed the file.

    Args:
        path: The .pte.
        progress: Called after each piece with the bytes that are read, and how many will be.

    Returns:
        What was found. An engine that differs is no error.

    Raises:
        ProgramError: No program, engines that overlap, no data file with an engine that is not in the program, or a
            file that changes meanwhile.
        EngineError: A CRC-32C is recorded, and the package `crc32c` is not installed.
    """
    with opened_source(path, to_change=False) as source:
        engines = read_open(source.program).engines
        elsewhere = engine_files(source.path, engines)
        regions = distinct_regions(source.path, [each for each in engines if each.engine_key is None])
        with_checksum = {_where(each) for each in engines if each.crc32c is not None}
        places: list[tuple[Region | str, int]] = [(region, region.size) for region in regions]
        places += [(key, file.region.size) for key, file in elsewhere.items()]
        done, total = 0, sum(size for _, size in places)
        found: dict[Region | str, Digests] = {}
        for place, size in places:
            told = None if progress is None else _from(progress, done, total)
            pieces = elsewhere[place].pieces() if isinstance(place, str) else source.pieces(place.offset, place.size)
            found[place] = _digests(pieces, place in with_checksum, told)
            done += size
        source.check_unchanged()
    weights = _compared_weights(source.path, engines)
    return DigestReport(source.path, tuple(_compared(each, found[_where(each)], weights) for each in engines))


def distinct_regions(path: str, engines: Sequence[EngineInfo]) -> list[Region]:
    """Where the engines of a program lie, each region once.

    Args:
        path: The file, for errors.
        engines: Its engines.

    Returns:
        The regions, in the order of the file.

    Raises:
        ProgramError: Regions that overlap, so that a small file would be read many times.
    """
    regions = sorted({_region(each) for each in engines}, key=lambda region: (region.offset, region.size))
    for one, following in pairwise(regions):
        if following.offset < one.offset + one.size:
            raise ProgramError(path, "engines that overlap", "each where no other is, or equal ones", "Save it again.")
    return regions


def _region(engine: EngineInfo) -> Region:
    return Region(engine.engine_offset, engine.engine_bytes)


def _where(engine: EngineInfo) -> Region | str:
    """Its bytes of the program, or its key in a data file."""
    return engine.engine_key or _region(engine)


def _from(progress: Progress, start: int, total: int) -> Callable[[int], None]:
    return lambda count: progress(start + count, total)


def _digests(pieces: Iterable[bytes], with_checksum: bool, done: Callable[[int], None] | None) -> Digests:
    """Without a checksum its field is empty."""
    sha256, crc32c, count = hashlib.sha256(), 0, 0
    for piece in pieces:
        sha256.update(piece)
        if with_checksum:
            crc32c = add_to_crc32c(piece, crc32c)
        count += len(piece)
        if done is not None:
            done(count)
    return Digests(f"{crc32c:08x}" if with_checksum else "", sha256.hexdigest())


def _compared(engine: EngineInfo, found: Digests, weights: Mapping[str, bool] | str) -> EngineDigest:
    crc32c = None if engine.crc32c is None else found.crc32c
    other, problem = None, None
    if engine.weights is not None:
        problem = weights if isinstance(weights, str) else None
        known = {} if isinstance(weights, str) else weights
        other = tuple(each.name for each in engine.weights.tensors if known.get(each.key) is False)
    return EngineDigest(engine.name, engine.method, found.sha256, crc32c, engine.sha256, engine.crc32c, other, problem)


def _compared_weights(path: str, engines: Sequence[EngineInfo]) -> dict[str, bool] | str:
    """Key to whether its bytes are as recorded; or why they cannot be read."""
    recorded = {each.key: each for engine in engines if engine.weights for each in engine.weights.tensors}
    if not recorded:
        return {}
    try:
        files = with_companions(path, engines, data_files_beside(path))
        regions = {key: (file, region) for file in files for key, region in regions_in_data_file(file).items()}
    except ProgramError as error:
        return str(error)
    return {
        key: regions[key][1].size == each.bytes and _sha256_of(*regions[key]) == each.sha256
        for key, each in recorded.items()
    }


def _sha256_of(file: str, region: Region) -> str:
    sha256, left = hashlib.sha256(), region.size
    with open(file, "rb") as opened:
        opened.seek(region.offset)
        while left and (piece := opened.read(min(left, _PIECE))):
            sha256.update(piece)
            left -= len(piece)
    return sha256.hexdigest()
