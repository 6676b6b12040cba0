"""The file with the weights of engines that are stored without them: where it is, and if it is the right one. Pure.

A weight's key is made of its content. So a file has the weights that an engine was saved with, or lacks their keys.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from torchtrt_ws.blob import SeparateWeight
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.pte.data_file import names_in_data_file
from torchtrt_ws.pte.info import EngineInfo

__all__ = ["check_weights", "with_companions"]


def with_companions(path: str | os.PathLike[str], engines: Iterable[EngineInfo], files: Sequence[str]) -> list[str]:
    """The data files of a program, with those that have the weights of its engines.

    Args:
        path: The .pte.
        engines: Its engines.
        files: The data files that are known: of these the weights are taken if they are there, else of the file beside
            the program that an engine names.

    Returns:
        `files`, and what was added.

    Raises:
        ProgramError: A weight that is in none of them.
    """
    found = list(files)
    names = set().union(*map(names_in_data_file, found))
    stripped = [engine for engine in engines if engine.weights is not None]
    for engine, weight in _missing(stripped, names):
        assert engine.weights is not None, "it misses one"
        named = str(Path(path).parent / engine.weights.file)
        if weight.key not in names and named not in found and os.path.exists(named):
            found.append(named)
            names |= names_in_data_file(named)
    check_weights(path, stripped, found)
    return found


def check_weights(path: str | os.PathLike[str], engines: Iterable[EngineInfo], files: Sequence[str]) -> None:
    """Refuses data files that lack a weight of an engine.

    Args:
        path: The .pte.
        engines: Its engines.
        files: The data files.

    Raises:
        ProgramError: It names the weight, and the file that should have it.
    """
    names: set[str] = set().union(*map(names_in_data_file, files))
    for engine, weight in _missing(engines, names):
        assert engine.weights is not None, "it misses one"
        file = engine.weights.file
        there = [each for each in files if os.path.basename(each) == file]
        if there:
            raise ProgramError(
                there[0],
                f"a file without the weight {weight.name!r} of engine {engine.name!r} of {os.fspath(path)}",
                f"the {file} that was saved with the program: SHA-256 {weight.sha256}",
                "Another save has replaced it, or it was copied from elsewhere: save the program again.",
            )
        raise ProgramError(
            os.fspath(path),
            f"no file with the weight {weight.name!r} of engine {engine.name!r}, which is stored without its weights",
            f"{file} beside the program, or among data=",
            f"Copy {file} there, or give load(path, data=[...]).",
        )


def _missing(engines: Iterable[EngineInfo], names: set[str]) -> Iterator[tuple[EngineInfo, SeparateWeight]]:
    for engine in engines:
        for weight in engine.weights.tensors if engine.weights is not None else ():
            if weight.key not in names:
                yield engine, weight
