"""Parts of two open programs, compared byte by byte or by what the files record of them. Each is read once."""

from __future__ import annotations

import hashlib

from torchtrt_ws.errors import ProgramError
from torchtrt_ws.pte.engine_file import engine_files
from torchtrt_ws.pte.info import EngineInfo
from torchtrt_ws.pte.layout import Region
from torchtrt_ws.pte.source import Source

__all__ = ["ComparedBytes"]

BY_DIGEST, BY_BYTES, BY_SIZE = "recorded digests", "bytes", "sizes"


class ComparedBytes:
    """Two open programs.

    Args:
        a: One.
        b: The other one.
    """

    def __init__(self, a: Source, b: Source) -> None:
        self.a, self.b = a, b
        self._left = 2 * (a.program.view.nbytes + b.program.view.nbytes)  # more than that are parts that overlap
        self._equal: dict[tuple[Region, Region], bool] = {}
        self._digests: dict[tuple[Source, Region | str], str] = {}

    def engines(self, engine: EngineInfo, other: EngineInfo) -> tuple[bool, str]:
        """Whether two engines are the same bytes, and what that was told from.

        Args:
            engine: Of the program `a`.
            other: Of the program `b`.

        Raises:
            ProgramError: A file changed meanwhile, has parts that overlap, or lacks the data file with an engine.
        """
        in_data_file = engine.engine_key is not None or other.engine_key is not None
        if engine.engine_bytes != other.engine_bytes and not in_data_file:
            return False, BY_SIZE
        if engine.sha256 is not None and other.sha256 is not None:
            return engine.sha256 == other.sha256, BY_DIGEST
        if in_data_file:
            return self.sha256_of(self.a, engine) == self.sha256_of(self.b, other), BY_BYTES
        return self.regions(_region(engine), _region(other)), BY_BYTES

    def regions(self, region: Region | None, other: Region | None) -> bool:
        """Whether two parts are the same bytes.

        Args:
            region: Of the program `a`; None for nothing.
            other: Of the program `b`; None for nothing.

        Raises:
            ProgramError: A file changed meanwhile, or has parts that overlap.
        """
        if region is None or other is None or region.size != other.size:
            return region is other
        if (region, other) not in self._equal:
            self._spend(self.a, region.size)
            pieces = zip(
                self.a.pieces(region.offset, region.size), self.b.pieces(other.offset, other.size), strict=True
            )
            self._equal[region, other] = all(piece == its for piece, its in pieces)
        return self._equal[region, other]

    def sha256_of(self, source: Source, engine: EngineInfo) -> str:
        """The SHA-256 of an engine: as recorded, else of its bytes.

        Args:
            source: `a` or `b`.
            engine: One of its engines.

        Raises:
            ProgramError: The file changed meanwhile, has parts that overlap, or lacks the data file with an engine.
        """
        if engine.sha256 is not None:
            return engine.sha256
        key = source, engine.engine_key or _region(engine)
        if key not in self._digests:
            self._spend(source, engine.engine_bytes)
            digest = hashlib.sha256()
            if engine.engine_key is None:
                pieces = source.pieces(engine.engine_offset, engine.engine_bytes)
            else:
                pieces = engine_files(source.path, [engine])[engine.engine_key].pieces()
            for piece in pieces:
                digest.update(piece)
            self._digests[key] = digest.hexdigest()
        return self._digests[key]

    def _spend(self, source: Source, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise ProgramError(source.path, "parts that overlap", "one after the other", "Save it again.")


def _region(engine: EngineInfo) -> Region:
    return Region(engine.engine_offset, engine.engine_bytes)
