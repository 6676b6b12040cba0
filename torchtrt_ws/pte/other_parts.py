"""What a program has besides its engines, in a form that can be compared: what its methods do, and the data for that.

Two programs may say the same with other offsets, so tables are read by the schema and not compared as bytes.

Source:
    ExecuTorch 1.5.1, schema/program.fbs. Not compared: stack traces, and the version of the schema.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torchtrt_ws.identifiers import BACKEND_ID
from torchtrt_ws.pte.flatbuffer import Table, root_table
from torchtrt_ws.pte.layout import U8, U32, U64, Field, PteFile, Region

__all__ = ["data_regions", "method_parts"]

Read = Callable[[Table, int], Any]  # a field of a table, as a value that can be compared
Fields = dict[int, Read]  # by their numbers in the schema


def _values_of(table: Table | None, fields: Fields) -> tuple[Any, ...] | None:
    return None if table is None else tuple(read(table, field) for field, read in fields.items())


def _u8(table: Table, field: int) -> int:
    return table.integer(field, U8)


def _32(table: Table, field: int) -> int:
    return table.integer(field, U32)  # signed ones too: the same bits


def _64(table: Table, field: int) -> int:
    return table.integer(field, U64)  # a double too: NaN is itself


def _text(table: Table, field: int) -> str | None:
    return table.text(field)


def _items(size: int) -> Read:
    return lambda table, field: table.vector(field, item_size=size).copy()


def _table(fields: Fields) -> Read:
    return lambda table, field: _values_of(table.table(field), fields)


def _tables(fields: Fields) -> Read:
    def read(table: Table, field: int) -> tuple[Any, ...]:
        vector = table.vector(field)
        return tuple(_values_of(vector.table(index), fields) for index in range(vector.count))

    return read


def _union(*choices: Fields) -> Read:
    """Its value stands behind its type, which is 0 for none. Types that are newer than this are compared by number."""

    def read(table: Table, field: int) -> tuple[int, Any]:
        number = table.integer(field - 1, U8)
        known = 0 < number <= len(choices)
        return number, _values_of(table.table(field), choices[number - 1]) if known else None

    return read


_ALLOCATION: Fields = {0: _32, 1: _32, 2: _32}
_EXTRA: Fields = {0: _64, 1: _text, 2: _u8, 3: _u8, 4: _u8}
_TENSOR: Fields = {
    **{0: _u8, 1: _32, 2: _items(4), 3: _items(1), 4: _u8, 5: _32, 6: _table(_ALLOCATION), 7: _u8, 8: _u8},
    9: _table(_EXTRA),
}
_LISTS: tuple[Fields, ...] = ({0: _items(8)}, {0: _items(8)}, {0: _items(1)}, {0: _items(4)}, {0: _items(4)})
_VALUE: Fields = {1: _union({}, {0: _64}, {0: _u8}, {0: _64}, _TENSOR, {0: _text}, *_LISTS)}
_CALL: Fields = {0: _32, 1: _items(4)}  # of a kernel, or of a delegate
_INSTRUCTION: Fields = {1: _union(_CALL, _CALL, {0: _32, 1: _32}, {0: _32, 1: _32}, {0: _32})}
_CHAIN: Fields = {0: _items(4), 1: _items(4), 2: _tables(_INSTRUCTION)}
_BUFFER_DEVICE: Fields = {0: _32, 1: _u8, 2: _u8}

# Of an ExecutionPlan. Its name, inputs, outputs and delegates are compared elsewhere.
_PARTS: dict[str, Fields] = {
    "operators": {5: _tables(_CHAIN), 6: _tables({0: _text, 1: _text})},
    "values": {2: _tables(_VALUE), 3: _items(4), 4: _items(4), 1: _table({0: _text, 1: _text})},
    "planned_memory": {8: _items(8), 9: _tables(_BUFFER_DEVICE)},
}


def method_parts(file: PteFile) -> dict[str, dict[str, Any]]:
    """What each method does besides calling engines: values that are equal where the programs do the same.

    Args:
        file: The open program.

    Returns:
        Method name to the name of a part ("operators", "values", "planned_memory") to its value.

    Raises:
        FlatbufferError: A broken program.
    """
    parts = {}
    for index in range(file.root.vector(Field.PROGRAM_EXECUTION_PLAN).count):
        root = root_table(file.view[: file.program_size])  # for each method the work that a whole file may cause
        plan = root.vector(Field.PROGRAM_EXECUTION_PLAN).table(index)
        name = plan.text(Field.PLAN_NAME) or ""
        parts[name] = {part: _values_of(plan, fields) for part, fields in _PARTS.items()}
    return parts


def data_regions(file: PteFile) -> dict[str, tuple[Any, Region | None]]:
    """The data of a program besides its engines: constants, initial values, what other backends' delegates take.

    Args:
        file: The open program.

    Returns:
        What it is called to what the program says of it, and where it lies; None for data that is in what it says.

    Raises:
        FlatbufferError: A broken program.
    """
    return dict(_data_regions(file, root_table(file.view[: file.program_size])))


def _data_regions(file: PteFile, root: Table) -> Iterator[tuple[str, tuple[Any, Region | None]]]:
    constants = root.vector(Field.PROGRAM_CONSTANT_BUFFER)
    if constants.count:
        inline = (constants.table(index).vector(0, item_size=1) for index in range(constants.count))
        yield "constants in the program", (tuple(each.copy() for each in inline), None)
    segment = root.table(Field.PROGRAM_CONSTANT_SEGMENT)
    if segment is not None:
        yield "constants", _subsegments(file, segment)
    mutable = root.vector(Field.PROGRAM_MUTABLE_DATA_SEGMENTS)
    for index in range(mutable.count):
        yield f"initial values {index}", _subsegments(file, mutable.table(index))
    named = root.vector(Field.PROGRAM_NAMED_DATA)
    for each in map(named.table, range(named.count)):
        yield f"data {each.text(0)!r}", (None, file.segment(each.integer(1, U32)))
    plans = root.vector(Field.PROGRAM_EXECUTION_PLAN)
    for plan in map(plans.table, range(plans.count)):
        delegates = plan.vector(Field.PLAN_DELEGATES)
        for index, delegate in enumerate(map(delegates.table, range(delegates.count))):
            if (backend := delegate.text(Field.DELEGATE_ID)) == BACKEND_ID:
                continue
            specs = _tables({0: _text, 1: _items(1)})(delegate, Field.DELEGATE_COMPILE_SPECS)
            reference = delegate.table(Field.DELEGATE_PROCESSED)
            region = None if reference is None else file.processed(reference)
            yield f"delegate {index} of {plan.text(Field.PLAN_NAME)!r}, {backend}", (specs, region)


def _subsegments(file: PteFile, table: Table) -> tuple[Any, Region | None]:
    offsets = _items(8)(table, 1)
    if len(offsets) <= U64.size:  # of nothing but the placeholder 0: runtime/executor/program.cpp loads no segment then
        return offsets, None
    return offsets, file.segment(table.integer(0, U32))
