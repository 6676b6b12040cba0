"""set_budget: another baked budget for a program that is saved, without exporting it again."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from torchtrt_ws import budget
from torchtrt_ws.atomic import check_target, write_atomically
from torchtrt_ws.errors import BudgetError, ProgramError
from torchtrt_ws.identifiers import SIGNATURE_SUFFIX
from torchtrt_ws.pte.compile_specs import DelegateSpecs, Specs, find_specs, overwritten, specs_behind, with_budget
from torchtrt_ws.pte.flatbuffer import FlatbufferError, root_table
from torchtrt_ws.pte.info import EngineInfo, ProgramInfo
from torchtrt_ws.pte.layout import PteFile, set_header
from torchtrt_ws.pte.read_program import read_open
from torchtrt_ws.pte.room import find_room, make_room, next_slot, segment_start
from torchtrt_ws.pte.source import Source, is_same_file, opened_source

__all__ = ["BudgetChange", "EngineChange", "set_budget"]

_SECTOR = 512  # bytes that a disk writes as a whole


@dataclass(frozen=True)
class EngineChange:
    """The baked budget of one engine in bytes, before and after; None: none is baked."""

    name: str
    before: int | None
    after: int | None


@dataclass(frozen=True)
class BudgetChange:
    """What `set_budget` did.

    `in_place`: the file was changed where it is; else a new file took its place, or was written to `output`.
    `without_effect` are engines that a budget was given for and that have nothing to stream: nothing is baked there.
    `stale_signature` is the signature beside the file, which no longer holds; None where there is none.
    """

    file: str
    in_place: bool
    engines: tuple[EngineChange, ...]
    without_effect: tuple[str, ...]
    stale_signature: str | None

    def as_dict(self) -> dict[str, Any]:
        """The report as `set-budget --json` prints it."""
        return {
            **asdict(self),
            "engines": [asdict(engine) for engine in self.engines],
            "without_effect": list(self.without_effect),
        }


def set_budget(
    path: str | os.PathLike[str],
    budget: int | str | Mapping[str, int | str | None] | None,
    *,
    engines: Sequence[str] | None = None,
    output: str | os.PathLike[str] | None = None,
) -> BudgetChange:
    """Changes what is baked into a program that is saved. Imports neither torch nor executorch.

    A file that torchtrt-ws saved is changed in place, in milliseconds whatever its size; so is any other where the new
    numbers fit in the places of the old ones. Else the file is copied beside itself and the copy takes its name; it has
    room for the next change. Either way a process that is killed leaves the old file or the new one, and the new one is
    on the disk when this returns. A program that is loaded keeps its budget.

    Args:
        path: The .pte; also one of Torch-TensorRT.
        budget: As `torchtrt_ws.save` takes it: "auto" or None (nothing is baked), bytes, "1GiB", "50%". The program's
            total, split over its engines by their streamable size; with `engines`, for each of those. Or a mapping
            from engine name to a budget.
        engines: Names of the engines to change; the others keep what they have, but for those that run on the same
            weights. None is the whole program.
        output: Another file to write, instead of changing this one.

    Returns:
        What was baked before and is now.

    Raises:
        BudgetError: A malformed budget, "free-N", a mapping together with `engines`, an engine that is not in the
            program, or a percent or total where streamable sizes are not known.
        ProgramError: No program, no engines in it, a file that cannot be read or written, or that changes meanwhile.
    """
    target = None if output is None or is_same_file(path, output) else check_target(output)
    with opened_source(path, to_change=target is None) as source:
        program = read_open(source.program)
        program.require_engines()
        baked, without_effect = _baked(program, budget, engines)
        old = find_specs(source.program.root)
        changes = {each.name: _change(each, baked) for each in program.engines}
        # The same number may be written with leading zeros: that is no change.
        new = tuple(
            each.specs if change.before == change.after else with_budget(each.specs, baked[change.name])
            for each, change in zip(old, changes.values(), strict=True)
        )
        in_place = target is None and _change_in_place(source, old, new)
        if not in_place:
            _write_anew(source, target, old, new)
    file = os.fspath(path if target is None else output or path)
    signature = file + SIGNATURE_SUFFIX
    changed = any(each.specs != specs for each, specs in zip(old, new, strict=True)) or target is not None
    return BudgetChange(
        file,
        in_place,
        tuple(changes.values()),
        without_effect,
        signature if changed and os.path.exists(signature) else None,
    )


def _change(engine: EngineInfo, baked: Mapping[str, bytes | None]) -> EngineChange:
    if engine.name not in baked:
        return EngineChange(engine.name, engine.baked_budget, engine.baked_budget)
    value = baked[engine.name]
    return EngineChange(engine.name, engine.baked_budget, None if value is None else int(value))


def _baked(
    program: ProgramInfo, given: int | str | Mapping[str, int | str | None] | None, names: Sequence[str] | None
) -> tuple[dict[str, bytes | None], tuple[str, ...]]:
    """The new compile spec of each engine that changes, and the engines that a budget has no effect on."""
    per_engine: Mapping[str, int | str | None] | None = given if isinstance(given, Mapping) else None
    if per_engine is not None and names is not None:
        raise BudgetError(
            "budget", "a mapping, and engines as well", "one of the two", "Name each engine in the mapping."
        )
    total = None if isinstance(given, Mapping) else given
    if names is not None:
        per_engine, total = dict.fromkeys(names, total), None
    sizes = program.engine_sizes()
    known = [engine.name for engine in program.engines]
    if len(set(known)) < len(known):
        twice = next(name for name in known if known.count(name) > 1)
        raise ProgramError(program.file, f"two engines named {twice!r}", "a name for each engine", "Save it again.")
    if per_engine is not None:
        per_engine = budget.for_shared_weights(per_engine, sizes)
    _require_sizes(program, total, per_engine)
    baked = budget.bake(total, per_engine, sizes)
    without_effect = tuple(budget.without_effect(total, per_engine, sizes))
    return baked if per_engine is None else {name: baked[name] for name in per_engine}, without_effect


def _require_sizes(
    program: ProgramInfo, total: int | str | None, per_engine: Mapping[str, int | str | None] | None
) -> None:
    """`bake` refuses these too, but does not know that there is a file, and a command that helps."""
    for engine in program.engines:
        if engine.streamable_bytes is not None:
            continue
        value = total if per_engine is None else per_engine.get(engine.name)
        parsed = budget.parse(value)
        is_share = isinstance(parsed, budget.Percent) and parsed.value not in (0, 100)
        is_split = isinstance(parsed, budget.Bytes) and per_engine is None and len(program.engines) > 1
        if is_share or is_split:
            raise BudgetError(
                budget.KEY,
                f"{value!r}, and an engine {engine.name!r} whose streamable size is not recorded",
                "recorded sizes, for a percent or a total over several engines",
                f"`torchtrt-ws annotate {program.file}` records them; or give bytes for each engine (--engine NAME).",
            )


def _head(program: PteFile) -> bytes:
    return bytes(program.view[: program.program_size])


def _change_in_place(source: Source, old: Sequence[DelegateSpecs], new: Sequence[Specs]) -> bool:
    """True if the file has the new specs now, or had them already; False if they do not fit."""
    if all(each.specs == specs for each, specs in zip(old, new, strict=True)):
        return True
    head = _head(source.program)
    room = find_room(head)
    if room is not None:
        slot = next_slot(head, room, old, new)
        if slot is None:
            return False
        end = slot.position + len(slot.data)
        _check(slot.root + head[4 : slot.position] + slot.data + head[end:], new)
        source.check_unchanged()
        return _commit(source, [(slot.position, slot.data), (0, slot.root)])
    changed = overwritten(head, old, new)
    if changed is None:
        return False
    sectors = [at for at in range(0, len(head), _SECTOR) if head[at : at + _SECTOR] != changed[at : at + _SECTOR]]
    if len(sectors) != 1:
        return False  # more writes than one, or one that a loss of power may cut
    (start,) = sectors
    source.check_unchanged()
    return _commit(source, [(start, changed[start : start + _SECTOR])])


def _commit(source: Source, writes: Sequence[tuple[int, bytes]]) -> bool:
    """Each write is on the disk before the next one begins. The last one is the change, within one sector."""
    try:
        for position, data in writes:
            written = os.pwrite(source.descriptor, data, position)
            if written != len(data):
                raise OSError(0, f"{written} of {len(data)} bytes written")
            os.fdatasync(source.descriptor)
        source.check_named()
    except OSError as error:
        raise ProgramError(
            source.path,
            error.strerror or str(error),
            "a file that can be written",
            "It holds the old budget or the new one: `torchtrt-ws inspect` tells. Free space, and run it again.",
        ) from error
    return True


def _write_anew(source: Source, target: Path | None, old: Sequence[DelegateSpecs], new: Sequence[Specs]) -> None:
    """A new file: the changed flatbuffer, with room for the next change, and the segments as they are."""
    head, base = _new_head(source.program, old, new)
    _check(head, new)
    segments = source.program.view.nbytes - base if base else 0

    def write(file: BinaryIO) -> None:
        file.write(head)
        source.copy(base, segments, file)
        source.check_unchanged()

    write_atomically(target or check_target(source.path), write)


def _new_head(program: PteFile, old: Sequence[DelegateSpecs], new: Sequence[Specs]) -> tuple[bytes, int]:
    """What stands before the segments, and where the segments are in the old file; 0 without any."""
    head, base = _head(program), program.segment_base
    room = find_room(head)
    if room is None and (base == 0 or program.inline.count):  # payloads in it: two of them would be too much
        return _grown(head, base, old, new), base
    if room is None or (slot := next_slot(head, room, old, new)) is None:
        head, _ = make_room(specs_behind(head, old, new), base)
        return head, base
    end = slot.position + len(slot.data)
    return slot.root + head[4 : slot.position] + slot.data + head[end:] + bytes(program.view[len(head) : base]), base


def _grown(head: bytes, base: int, old: Sequence[DelegateSpecs], new: Sequence[Specs]) -> bytes:
    changed = bytearray(specs_behind(head, old, new))
    if base == 0:
        return bytes(changed)
    size = len(changed)
    start = segment_start(size, base)
    set_header(changed, size, start)
    return bytes(changed.ljust(start, b"\0"))


def _check(head: bytes, wanted: Sequence[Specs]) -> None:
    """The new flatbuffer is read back before it is written anywhere."""
    found = [each.specs for each in find_specs(root_table(memoryview(head)))]
    if found != list(wanted):
        raise FlatbufferError("tables that overlap")  # so that a change of one changes another
