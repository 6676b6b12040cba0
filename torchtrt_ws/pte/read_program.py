"""read: what is inside a .pte. Pure: maps the file, and imports neither torch nor executorch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

from torchtrt_ws import blob, budget
from torchtrt_ws.errors import BlobError, BudgetError, ProgramError
from torchtrt_ws.identifiers import BACKEND_ID, HOST, TENSORRT, is_program
from torchtrt_ws.plan_header import HEADER_SIZE, builder_of
from torchtrt_ws.pte.beside import with_files_beside
from torchtrt_ws.pte.data_file import external_tensors
from torchtrt_ws.pte.flatbuffer import FlatbufferError, Table, root_table
from torchtrt_ws.pte.info import CompileSpec, EngineInfo, MethodInfo, ProgramInfo, TensorInfo
from torchtrt_ws.pte.layout import Field, PteFile, Region, damaged, open_program
from torchtrt_ws.pte.room import find_room
from torchtrt_ws.pte.values import method_info

__all__ = ["read", "read_open"]


def read(path: str | os.PathLike[str]) -> ProgramInfo:
    """Reads what is inside a .pte, without loading it. Engines stay on disk: their headers are read, not their weights.

    A signature and data files (.ptd) beside the file are named; of data files the index is read.

    Args:
        path: The file.

    Returns:
        Methods and engines in loading order: methods as in the file, an engine for each delegate of a method.

    Raises:
        ProgramError: A file that is missing, empty, truncated or no ExecuTorch program; an engine whose blob or baked
            budget cannot be read. It names the file, and the engine where it knows one.

    Source:
        ExecuTorch 1.5.1, schema/program.fbs.
    """
    name = os.fspath(path)
    try:
        return with_files_beside(read_open(open_program(name)))
    except FlatbufferError as error:
        raise damaged(name, f"a broken program: {error}") from None


def read_open(file: PteFile) -> ProgramInfo:
    """As `read`, of a file that is open.

    Args:
        file: From `layout.open_program` or `layout.map_program`.

    Returns:
        What `read` returns, without what lies beside the file.

    Raises:
        ProgramError: As `read`.
        FlatbufferError: A broken program.
    """
    methods: list[MethodInfo] = []
    engines: list[EngineInfo] = []
    others: dict[str, int] = {}
    blobs = _Blobs(file)
    plans = file.root.vector(Field.PROGRAM_EXECUTION_PLAN)
    for plan in map(plans.table, range(plans.count)):
        method = method_info(plan)
        methods.append(method)
        delegates = plan.vector(Field.PLAN_DELEGATES)
        for delegate in map(delegates.table, range(delegates.count)):
            backend = delegate.text(Field.DELEGATE_ID) or ""
            if backend == BACKEND_ID:
                engines.append(_engine(blobs, delegate, method.name, len(engines)))
            else:
                _check_other(file, delegate)
                others[backend] = others.get(backend, 0) + 1
    methods = [_with_names(method, engines) for method in methods]
    return ProgramInfo(
        file.path,
        file.view.nbytes,
        tuple(methods),
        tuple(_with_equal_plans(engines)),
        others,
        has_room=find_room(file.view[: file.program_size]) is not None,
        external_tensors=tuple(sorted(external_tensors(root_table(file.view[: file.program_size])))),  # work of its own
    )


def _with_names(method: MethodInfo, engines: list[EngineInfo]) -> MethodInfo:
    """What the blobs of its engines record: each has all names. Those that do not fit the method are not its."""
    own = next((each.metadata.own for each in engines if each.method == method.name), None)
    if own is None:
        return method
    sides = ((method.inputs, own.method_inputs), (method.outputs, own.method_outputs))
    inputs, outputs = (
        tuple(replace(value, name=name) for value, name in zip(values, names, strict=True))
        if len(values) == len(names) == len(set(names))
        else values
        for values, names in sides
    )
    return MethodInfo(method.name, inputs, outputs)


def _with_equal_plans(engines: list[EngineInfo]) -> Iterator[EngineInfo]:
    """Engines whose bytes are stored once say so."""
    first: dict[object, str] = {}
    for each in engines:
        contents = (each.place, each.engine_bytes, each.weights)
        yield replace(each, same_plan_as=first.get(contents))
        first.setdefault(contents, each.name)


class _Blobs:
    """The blobs of a file, each read once: delegates may share one."""

    def __init__(self, file: PteFile) -> None:
        self.file = file
        self._read: dict[Region, blob.Blob] = {}
        self._metadata_left = file.view.nbytes  # more than that is metadata that overlaps, to keep its reader busy

    def read(self, region: Region, subject: str) -> blob.Blob:
        if region not in self._read:
            payload = self.file.view[region.offset : region.offset + region.size]
            self._metadata_left -= blob.read_header(payload, subject).metadata_size
            if self._metadata_left < 0:
                raise FlatbufferError("engines whose metadata overlap")
            self._read[region] = blob.read(payload, subject)
        return self._read[region]


def _engine(blobs: _Blobs, delegate: Table, method: str, index: int) -> EngineInfo:
    subject = f"{blobs.file.path}: engine {index}, method {method!r}"
    reference = delegate.table(Field.DELEGATE_PROCESSED)
    if reference is None:
        raise FlatbufferError(f"engine {index} without a payload")
    region = blobs.file.processed(reference)
    try:
        contents = blobs.read(region, subject)
    except BlobError as error:
        raise ProgramError(error.subject, error.found, error.expected, error.next_step) from None
    own = contents.metadata.own
    specs = _compile_specs(delegate)
    inputs, outputs = _tensors(contents.metadata)
    return EngineInfo(
        name=own.name if own else f"engine{index}",
        method=method,
        kind=own.kind if own else _kind_of(contents.engine),
        builder=(own.builder if own else "") or builder_of(bytes(contents.engine[:HEADER_SIZE])),
        engine_bytes=contents.header.engine_size,
        streamable_bytes=own.streamable_bytes if own else None,
        streamable_estimated=own.streamable_estimated if own else False,
        baked_budget=_baked_budget(specs, subject),
        sha256=own.sha256 if own else None,
        crc32c=own.crc32c if own else None,
        inputs=inputs,
        outputs=outputs,
        optimization_profiles=own.optimization_profiles if own else (),
        payload_offset=region.offset,
        payload_bytes=region.size,
        engine_offset=region.offset + contents.header.engine_offset,
        compile_specs=specs,
        metadata=contents.metadata,
    )


def _check_other(file: PteFile, delegate: Table) -> None:
    """A delegate of another backend is not read, but where it lies must be in the file: else no runtime loads that. It
    may lack its payload: its backend knows what that means."""
    reference = delegate.table(Field.DELEGATE_PROCESSED)
    if reference is not None:
        file.processed(reference)
    _compile_specs(delegate)


def _compile_specs(delegate: Table) -> tuple[CompileSpec, ...]:
    vector = delegate.vector(Field.DELEGATE_COMPILE_SPECS)
    specs = []
    for spec in map(vector.table, range(vector.count)):
        value = spec.vector(Field.SPEC_VALUE, item_size=1)
        specs.append(CompileSpec(spec.text(Field.SPEC_KEY) or "", value.copy()))
    return tuple(specs)


def _baked_budget(specs: tuple[CompileSpec, ...], subject: str) -> int | None:
    baked = [spec.value for spec in specs if spec.key == budget.KEY]
    if len(baked) > 1:
        raise ProgramError(
            f"{subject}: {budget.KEY}", f"{len(baked)} compile specs", "at most one", "Save the program again."
        )
    try:
        return budget.parse_decimal(baked[0]) if baked else None
    except BudgetError as error:
        raise ProgramError(
            f"{subject}: {error.subject}", error.found, error.expected, "Save the program again."
        ) from None


def _tensors(metadata: blob.Metadata) -> tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...]]:
    if metadata.own:
        facts = (metadata.own.inputs, metadata.own.outputs)
        inputs, outputs = (tuple(TensorInfo(t.name, t.dtype, t.shape, t.min, t.max) for t in side) for side in facts)
        return inputs, outputs
    # A binding without dtype has no shape either: () would claim a scalar.
    named = [(b, TensorInfo(b.name, b.dtype, b.shape) if b.dtype else TensorInfo(b.name)) for b in metadata.io_bindings]
    return tuple(t for b, t in named if b.is_input), tuple(t for b, t in named if not b.is_input)


def _kind_of(engine: memoryview) -> str:
    return HOST if is_program(engine) else TENSORRT
