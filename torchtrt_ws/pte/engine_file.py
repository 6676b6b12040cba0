"""Engines that lie whole in a data file (.ptd), as Torch-TensorRT 2.15 may write them: where, and their digests."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torchtrt_ws.digests import Digests, Hasher
from torchtrt_ws.pte.data_file import data_files_beside, regions_in_data_file
from torchtrt_ws.pte.info import EngineInfo
from torchtrt_ws.pte.layout import Region, damaged

__all__ = ["EngineFile", "engine_files"]

_PIECE = 1 << 20  # bytes that are read at a time


@dataclass(frozen=True)
class EngineFile:
    """Where an engine lies: a file, and the bytes of it."""

    path: str
    region: Region

    def pieces(self) -> Iterator[bytes]:
        """The engine's bytes, 1 MiB at a time.

        Raises:
            ProgramError: The file has become shorter.
        """
        left = self.region.size
        with open(self.path, "rb", buffering=0) as file:
            file.seek(self.region.offset)
            while left:
                piece = file.read(min(_PIECE, left))
                if not piece:
                    raise damaged(self.path, f"an engine that ends {left} bytes early")
                left -= len(piece)
                yield piece

    def digests(self) -> Digests:
        """Of the engine's bytes.

        Raises:
            ProgramError: The file has become shorter.
            EngineError: The package `crc32c` is not installed.
        """
        hasher = Hasher()
        for piece in self.pieces():
            hasher.update(piece)
        return hasher.digests()


def engine_files(path: str | os.PathLike[str], engines: Iterable[EngineInfo]) -> dict[str, EngineFile]:
    """The engines of a program that are not in it.

    Args:
        path: The .pte.
        engines: Its engines.

    Returns:
        Key (`EngineInfo.engine_key`) to where the engine is; empty where all are in the program.

    Raises:
        ProgramError: A data file that is missing or broken.
    """
    keys = {each.engine_key for each in engines if each.engine_key}
    if not keys:
        return {}
    found: dict[str, EngineFile] = {}
    for file in data_files_beside(path, keys):
        for key, region in regions_in_data_file(file).items():
            if key in keys:
                found.setdefault(key, EngineFile(file, region))
    return found
