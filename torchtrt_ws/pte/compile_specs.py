"""The compile specs of our delegates in a program's flatbuffer: found, changed where they are, or written behind it.

Offsets in a flatbuffer lead forward only and count from where they stand. So a vector of specs that is written behind
all else needs one field changed, that of its delegate; and the whole flatbuffer can be moved.

Source:
    https://flatbuffers.dev/internals; ExecuTorch 1.5.1, schema/program.fbs, BackendDelegate and CompileSpec.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torchtrt_ws import budget
from torchtrt_ws.identifiers import BACKEND_ID, TARGET_DEVICE_KEY
from torchtrt_ws.pte.flatbuffer import FlatbufferError, Table
from torchtrt_ws.pte.layout import U32, Field

__all__ = ["DelegateSpecs", "Spec", "Specs", "find_specs", "overwritten", "specs_behind", "with_budget"]

_BUDGET, _DEVICE = budget.KEY.encode("ascii"), TARGET_DEVICE_KEY.encode("ascii")
_VTABLE = struct.pack("<4H", 8, 12, 4, 8)  # of a CompileSpec: its size, the table's, where key and value are in it
_TABLE = struct.Struct("<iII")  # back to the vtable, on to the key, on to the value


@dataclass(frozen=True)
class Spec:
    """One compile spec, as bytes."""

    key: bytes
    value: bytes


Specs = tuple[Spec, ...]


@dataclass(frozen=True)
class DelegateSpecs:
    """The compile specs of one delegate: where the offset to their vector stands, where the vector's items begin, where
    the values' bytes begin; all counted from the start of the file."""

    field: int
    items: int
    values: tuple[int, ...]
    specs: Specs


def find_specs(root: Table) -> tuple[DelegateSpecs, ...]:
    """The compile specs of the delegates of our backend, in loading order.

    Args:
        root: The program's root table.

    Returns:
        One entry a delegate.

    Raises:
        FlatbufferError: A broken program; one whose delegates have no place for compile specs, or share it.
    """
    found = tuple(_specs_of(delegate) for delegate in _delegates(root))
    if len({each.field for each in found}) < len(found):
        raise FlatbufferError("two delegates in one table")  # a change of one would change the other
    return found


def _delegates(root: Table) -> Iterator[Table]:
    plans = root.vector(Field.PROGRAM_EXECUTION_PLAN)
    for plan in map(plans.table, range(plans.count)):
        delegates = plan.vector(Field.PLAN_DELEGATES)
        for delegate in map(delegates.table, range(delegates.count)):
            if delegate.text(Field.DELEGATE_ID) == BACKEND_ID:
                yield delegate


def _specs_of(delegate: Table) -> DelegateSpecs:
    field = delegate.find(Field.DELEGATE_COMPILE_SPECS)
    if field is None:  # exir writes a vector, if an empty one
        raise FlatbufferError("a delegate without a vector of compile specs")
    vector = delegate.vector(Field.DELEGATE_COMPILE_SPECS)
    specs, values = [], []
    for table in map(vector.table, range(vector.count)):
        value = table.vector(Field.SPEC_VALUE, item_size=1)
        specs.append(Spec(table.vector(Field.SPEC_KEY, item_size=1).copy(), value.copy()))
        values.append(value.position)
    return DelegateSpecs(field, vector.position, tuple(values), tuple(specs))


def with_budget(specs: Specs, value: bytes | None) -> Specs:
    """The same compile specs with another baked budget.

    Args:
        specs: A delegate's, with one budget or none.
        value: The budget as it travels; None for none.

    Returns:
        A new budget stands where the old one did, or where save puts it: before the device.
    """
    keys = [spec.key for spec in specs]
    others = tuple(spec for spec in specs if spec.key != _BUDGET)
    if value is None:
        return others
    place = next((keys.index(key) for key in (_BUDGET, _DEVICE) if key in keys), len(keys))
    return (*others[:place], Spec(_BUDGET, value), *others[place:])


def overwritten(flatbuffer: bytes, delegates: Sequence[DelegateSpecs], wanted: Sequence[Specs]) -> bytes | None:
    """The flatbuffer with other compile specs in the places of the old ones.

    Args:
        flatbuffer: From the start of the file.
        delegates: From `find_specs`.
        wanted: For each delegate its compile specs.

    Returns:
        As many bytes as before; None where there is no room: a value that is longer, or one more spec. A number that is
        shorter gets leading zeros, so that a longer one fits again.
    """
    changed = bytearray(flatbuffer)
    for delegate, specs in zip(delegates, wanted, strict=True):
        if specs == delegate.specs:
            continue
        if [spec.key for spec in specs] == [spec.key for spec in delegate.specs]:
            for old, new, position in zip(delegate.specs, specs, delegate.values, strict=True):
                if old == new:
                    continue
                if new.key != _BUDGET or len(new.value) > len(old.value):
                    return None
                changed[position : position + len(old.value)] = new.value.rjust(len(old.value), b"0")
        elif len(specs) + 1 == len(delegate.specs) and specs == with_budget(delegate.specs, None):
            _remove_item(changed, delegate, [spec.key for spec in delegate.specs].index(_BUDGET))
        else:
            return None
    return bytes(changed)


def _remove_item(flatbuffer: bytearray, delegate: DelegateSpecs, removed: int) -> None:
    """Takes one offset out of the vector; those behind it move up, and lead where they led."""
    count = len(delegate.specs)
    for index in range(removed + 1, count):
        position = delegate.items + U32.size * index
        (offset,) = U32.unpack_from(flatbuffer, position)
        U32.pack_into(flatbuffer, position - U32.size, offset + U32.size)
    U32.pack_into(flatbuffer, delegate.items - U32.size, count - 1)


def specs_behind(content: bytes, delegates: Sequence[DelegateSpecs], wanted: Sequence[Specs], start: int = 0) -> bytes:
    """A flatbuffer with all compile specs written anew behind it.

    Args:
        content: The flatbuffer, without the compile specs that an earlier call wrote behind it.
        delegates: From `find_specs`.
        wanted: For each delegate its compile specs.
        start: Where `content` begins in the file.

    Returns:
        `content`, 4-byte aligned, and the compile specs.

    Raises:
        FlatbufferError: A delegate outside of `content`.
    """
    result = bytearray(content)
    vtable = _append(result, _VTABLE)
    for delegate, specs in zip(delegates, wanted, strict=True):
        field = delegate.field - start
        if not 0 <= field <= len(content) - U32.size:
            raise FlatbufferError(f"a delegate at {delegate.field} in a flatbuffer of {len(content)} bytes at {start}")
        vector = _append(result, U32.pack(len(specs)) + bytes(U32.size * len(specs)))
        U32.pack_into(result, field, vector - field)
        tables = [_append(result, bytes(_TABLE.size)) for _ in specs]
        for index, (table, spec) in enumerate(zip(tables, specs, strict=True)):
            item = vector + U32.size * (1 + index)
            U32.pack_into(result, item, table - item)
            key = _append(result, U32.pack(len(spec.key)) + spec.key + b"\0")  # the NUL is outside of a string's length
            value = _append(result, U32.pack(len(spec.value)) + spec.value)
            _TABLE.pack_into(result, table, table - vtable, key - table - 4, value - table - 8)
    return bytes(result)


def _append(result: bytearray, data: bytes) -> int:
    result += bytes(-len(result) % U32.size)
    position = len(result)
    result += data
    return position
