"""diff: what two programs differ in, engine by engine."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from torchtrt_ws.pte.compared_bytes import ComparedBytes
from torchtrt_ws.pte.flatbuffer import FlatbufferError
from torchtrt_ws.pte.info import EngineInfo, MethodInfo, ProgramInfo
from torchtrt_ws.pte.layout import Region, damaged
from torchtrt_ws.pte.other_parts import data_regions, method_parts
from torchtrt_ws.pte.program_diff import ADDED, CHANGED, REMOVED, SAME, Change, EngineDiff, MethodDiff, ProgramDiff
from torchtrt_ws.pte.read_program import read_open
from torchtrt_ws.pte.source import Source, opened_source

__all__ = ["diff"]

# Facts of an engine that are compared, as `inspect --json` has them. Where it lies is no fact of it, nor whether it is
# stored once; whether it is the same bytes is found apart.
_FACTS = (
    "kind",
    "builder",
    "streamable_bytes",
    "streamable_estimated",
    "baked_budget",
    "target_device",
    "device_id",
    "target_platform",
    "hardware_compatible",
    "inputs",
    "outputs",
    "aliased_io",
    "optimization_profiles",
    "nested_method",
    "keeps_state",
    "state",
    "streaming",
    "weights",
    "compute_capabilities",
    "variants",
)


def diff(a: str | os.PathLike[str], b: str | os.PathLike[str]) -> ProgramDiff:
    """Compares two programs: methods, engines, and what else they consist of. Imports neither torch nor executorch.

    Engines are the same engine by method and name; one that is missing, and one that is new and has its bytes, are one
    that was renamed. Two engines whose SHA-256 both files record are compared by that (`check_digests` says whether the
    record is true), all others byte by byte. Of the rest, methods are compared by what they compute and how their
    memory is planned; constants and what other backends run, byte by byte.

    Where things lie in the file, room for other budgets, stack traces and what lies beside the file are not compared.

    Args:
        a: A .pte.
        b: Another one, or the same.

    Returns:
        What differs, and what is the same.

    Raises:
        ProgramError: One of them is no program, or changes meanwhile.
    """
    with ExitStack() as stack:
        sources = [stack.enter_context(opened_source(path, to_change=False)) for path in (a, b)]
        sides = _side(sources[0]), _side(sources[1])
        compared = ComparedBytes(*sources)
        engines = _engines(sides[0].info.engines, sides[1].info.engines, compared)
        rest = tuple(_rest(*sides, compared))
        for source in sources:
            source.check_unchanged()
    return ProgramDiff(sides[0].info.file, sides[1].info.file, _methods(*sides), engines, rest)


class _Side(NamedTuple):
    """What one of the programs says."""

    info: ProgramInfo
    parts: dict[str, dict[str, Any]]  # of each method
    data: dict[str, tuple[Any, Region | None]]


def _side(source: Source) -> _Side:
    try:
        return _Side(read_open(source.program), method_parts(source.program), data_regions(source.program))
    except FlatbufferError as error:  # of two open files the error names this one
        raise damaged(source.path, f"a broken program: {error}") from None


def _methods(a: _Side, b: _Side) -> tuple[MethodDiff, ...]:
    before, after = ({method.name: method for method in side.info.methods} for side in (a, b))
    found = []
    for name in dict.fromkeys([*before, *after]):
        if name not in after:
            found.append(MethodDiff(name, REMOVED))
        elif name not in before:
            found.append(MethodDiff(name, ADDED))
        else:
            changes, same = _changes(
                _facts_of_method(before[name], a.parts[name]), _facts_of_method(after[name], b.parts[name])
            )
            # What a method computes is not shown, only that it differs.
            changes = tuple(each if each.what in ("inputs", "outputs") else Change(each.what) for each in changes)
            found.append(MethodDiff(name, CHANGED if changes else SAME, changes, same))
    return tuple(found)


def _facts_of_method(method: MethodInfo, parts: Mapping[str, Any]) -> dict[str, Any]:
    plain = method.as_dict()
    return {"inputs": plain["inputs"], "outputs": plain["outputs"], **parts}


def _engines(a: Sequence[EngineInfo], b: Sequence[EngineInfo], compared: ComparedBytes) -> tuple[EngineDiff, ...]:
    before, after = _by_key(a), _by_key(b)
    missing = [engine for key, engine in before.items() if key not in after]
    new = [engine for key, engine in after.items() if key not in before]
    renamed = _renamed(missing, new, compared)
    found = []
    for key, engine in before.items():
        other = after.get(key) or renamed.get(id(engine))
        if other is None:
            found.append(EngineDiff(engine.method, engine.name, REMOVED, engine_bytes=engine.engine_bytes))
        else:
            found.append(_engine(engine, other, compared))
    taken = {id(engine) for engine in renamed.values()}
    found += [
        EngineDiff(engine.method, engine.name, ADDED, engine_bytes=engine.engine_bytes)
        for engine in new
        if id(engine) not in taken
    ]
    return tuple(found)


def _by_key(engines: Sequence[EngineInfo]) -> dict[tuple[str, str, int], EngineInfo]:
    """By method and name, and a number: files of others may have a name twice."""
    keyed: dict[tuple[str, str, int], EngineInfo] = {}
    counts: dict[tuple[str, str], int] = {}
    for engine in engines:
        key = engine.method, engine.name
        number = counts[key] = counts.get(key, 0) + 1
        keyed[engine.method, engine.name, number] = engine
    return keyed


def _renamed(
    missing: Sequence[EngineInfo], new: Sequence[EngineInfo], compared: ComparedBytes
) -> dict[int, EngineInfo]:
    """The id of a missing engine to the new one with its bytes: of its own method, if there is one."""
    sizes = {engine.engine_bytes for engine in missing} & {engine.engine_bytes for engine in new}
    candidates: dict[str, list[EngineInfo]] = {}
    for engine in new:
        if engine.engine_bytes in sizes:
            candidates.setdefault(compared.sha256_of(compared.b, engine), []).append(engine)
    found: dict[int, EngineInfo] = {}
    for same_method in (True, False):
        for engine in missing:
            if engine.engine_bytes not in sizes or id(engine) in found:
                continue
            equal = candidates.get(compared.sha256_of(compared.a, engine), [])
            match = next((each for each in equal if not same_method or each.method == engine.method), None)
            if match is not None:
                equal.remove(match)
                found[id(engine)] = match
    return found


def _engine(engine: EngineInfo, other: EngineInfo, compared: ComparedBytes) -> EngineDiff:
    contents, how = compared.engines(engine, other)
    changes, same = _changes(_facts_of_engine(engine), _facts_of_engine(other))
    if contents:
        same = ("contents", *same)
    else:
        sizes = (engine.engine_bytes, other.engine_bytes)
        digests = (engine.sha256, other.sha256)
        of_contents = [Change("contents", *digests)]
        if sizes[0] != sizes[1]:
            of_contents.append(Change("engine_bytes", *sizes))
        changes = (*of_contents, *changes)
    renamed_from = None if (engine.method, engine.name) == (other.method, other.name) else engine.name
    return EngineDiff(
        other.method,
        other.name,
        CHANGED if changes or renamed_from is not None else SAME,
        changes,
        same,
        renamed_from=renamed_from,
        moved_from=None if engine.method == other.method else engine.method,
        compared_by=how,
        engine_bytes=other.engine_bytes,
    )


def _facts_of_engine(engine: EngineInfo) -> dict[str, Any]:
    plain = engine.as_dict()
    facts = {name: plain[name] for name in _FACTS}
    facts["keeps_state"] = bool(facts["keeps_state"])  # files of others have no word for it
    facts["compile_specs"] = [spec.as_dict() for spec in engine.other_specs]
    facts["recorded_digests"] = [name for name in ("sha256", "crc32c") if plain[name] is not None]
    theirs = engine.metadata.serialized_metadata.encode("utf-8", "surrogatepass")
    facts["serialized_metadata_sha256"] = hashlib.sha256(theirs).hexdigest() if theirs else None
    return facts


def _changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[tuple[Change, ...], tuple[str, ...]]:
    changes = tuple(Change(name, a[name], b[name]) for name in a if a[name] != b[name])
    return changes, tuple(name for name in a if a[name] == b[name])


def _rest(a: _Side, b: _Side, compared: ComparedBytes) -> Iterator[Change]:
    """What differs in the rest of the program."""
    for name in ("other_backends", "external_tensors"):
        before, after = (side.info.as_dict()[name] for side in (a, b))
        if before != after:
            yield Change(name, before, after)
    for name in dict.fromkeys([*a.data, *b.data]):
        one, other = a.data.get(name), b.data.get(name)
        if one is None or other is None:
            yield Change(name, *(_size(side) for side in (one, other)))
        elif one[0] != other[0] or not compared.regions(one[1], other[1]):
            yield Change(name)


def _size(data: tuple[Any, Region | None] | None) -> int | None:
    """Bytes of data that only one program has."""
    return None if data is None else data[1].size if data[1] is not None else 0
