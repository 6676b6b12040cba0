"""What is inside a .pte: methods, engines, budgets. Pure: maps the file, and imports neither torch nor executorch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from torchtrt_ws import blob, budget
from torchtrt_ws.dtypes import BY_SCALAR_TYPE
from torchtrt_ws.errors import BlobError, BudgetError, ProgramError
from torchtrt_ws.identifiers import BACKEND_ID, HOST, TENSORRT, is_program
from torchtrt_ws.pte.flatbuffer import FlatbufferError, Table
from torchtrt_ws.pte.layout import I32, U8, U32, VALUE_TYPES, Field, PteFile, Region, damaged, open_program

__all__ = [
    "CompileSpec",
    "EngineInfo",
    "MethodInfo",
    "ProgramInfo",
    "TensorInfo",
    "ValueInfo",
    "read",
    "read_open",
    "value_info",
]


@dataclass(frozen=True)
class ValueInfo:
    """An input or output of a method. Only a tensor has dtype and shape; a dynamic shape is its upper bound.

    `name` is None where the file does not record it. `device` is where the program wants it, or leaves it: "cuda:0", or
    None for host memory. `planned` says that it is in memory that the program plans.
    """

    type: str
    dtype: str | None = None
    shape: tuple[int, ...] | None = None
    dynamic: bool = False
    name: str | None = None
    device: str | None = None
    planned: bool = False


@dataclass(frozen=True)
class MethodInfo:
    """An entry point of the program."""

    name: str
    inputs: tuple[ValueInfo, ...]
    outputs: tuple[ValueInfo, ...]


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of an engine. Torch-TensorRT records names only: the rest is then None.

    -1 in `shape` is a dynamic dimension; `min` and `max` are its bounds.
    """

    name: str
    dtype: str | None = None
    shape: tuple[int, ...] | None = None
    min: tuple[int, ...] | None = None
    max: tuple[int, ...] | None = None


@dataclass(frozen=True)
class CompileSpec:
    """One compile spec of an engine."""

    key: str
    value: bytes


@dataclass(frozen=True)
class EngineInfo:
    """One engine of the program. Sizes and offsets are bytes; offsets count from the start of the file.

    `streamable_bytes` is None if it was not known at export, `sha256` and `crc32c` if the file does not
    record them, `baked_budget` if
    nothing is baked. `name` is engine0, engine1, ... (loading order) without our metadata. `same_plan_as` is the first
    engine whose bytes in the file are these; None: no engine before this one has them. `optimization_profiles` is empty
    if the file does not record them; each has all `inputs`, which are their hull.
    """

    name: str
    method: str
    kind: str
    engine_bytes: int
    streamable_bytes: int | None
    streamable_estimated: bool
    baked_budget: int | None
    sha256: str | None
    crc32c: str | None
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    optimization_profiles: tuple[blob.OptimizationProfile, ...]
    payload_offset: int
    payload_bytes: int
    engine_offset: int
    compile_specs: tuple[CompileSpec, ...]
    metadata: blob.Metadata
    same_plan_as: str | None = None

    @property
    def streaming(self) -> blob.StreamingFacts | None:
        """What the export did for streaming; None if the file does not record it."""
        return self.metadata.own.streaming if self.metadata.own else None

    def as_dict(self) -> dict[str, Any]:
        """The engine as `inspect --json` prints it."""
        return {
            "name": self.name,
            "method": self.method,
            "kind": self.kind,
            "engine_bytes": self.engine_bytes,
            "streamable_bytes": self.streamable_bytes,
            "streamable_estimated": self.streamable_estimated,
            "baked_budget": self.baked_budget,
            "sha256": self.sha256,
            "crc32c": self.crc32c,
            "same_plan_as": self.same_plan_as,
            "inputs": [_plain(tensor) for tensor in self.inputs],
            "outputs": [_plain(tensor) for tensor in self.outputs],
            "optimization_profiles": [
                {each.name: {"min": list(each.min), "opt": list(each.opt), "max": list(each.max)} for each in profile}
                for profile in self.optimization_profiles
            ],
            "streaming": None if self.streaming is None else _plain(self.streaming),
        }


@dataclass(frozen=True)
class ProgramInfo:
    """What `read` found. `other_backends` counts the delegates of each backend that is not ours."""

    file: str
    bytes: int
    methods: tuple[MethodInfo, ...]
    engines: tuple[EngineInfo, ...]
    other_backends: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """The report as `inspect --json` prints it: sizes are integer bytes, unknown is None."""
        return {
            "file": self.file,
            "bytes": self.bytes,
            "methods": [
                {"name": m.name, "inputs": [_plain(v) for v in m.inputs], "outputs": [_plain(v) for v in m.outputs]}
                for m in self.methods
            ],
            "engines": [engine.as_dict() for engine in self.engines],
            "other_backends": dict(self.other_backends),
        }

    def engine_sizes(self) -> list[budget.EngineSize]:
        """The engines as budgets are split over them: those that run on the same weights, once they are loaded, have
        one."""
        first: dict[tuple[int, int, str, int], str] = {}
        sizes = []
        for each in self.engines:
            weights = (each.engine_offset, each.engine_bytes, each.kind, each.metadata.device_id)
            other = first.setdefault(weights, each.name)
            weights_of = None if other == each.name else other
            whole = each.streaming is not None and each.streaming.part == "head"
            size = budget.EngineSize(each.name, each.streamable_bytes, each.streamable_estimated, weights_of, whole)
            sizes.append(size)
        return sizes

    def method(self, name: str | None = None) -> MethodInfo:
        """One of its methods.

        Args:
            name: Its name; None is the one that calling the program runs: "forward", or the only one.

        Returns:
            The method.

        Raises:
            ProgramError: No such method.
        """
        if name is None:
            name = self.methods[0].name if len(self.methods) == 1 else "forward"
        for method in self.methods:
            if method.name == name:
                return method
        names = ", ".join(method.name for method in self.methods) or "none: it has no methods"
        raise ProgramError(self.file, f"a call of method {name!r}", f"one of {names}", "Mend the name.")

    def require_engines(self) -> None:
        """Refuses a program without engines, and says whose program it is.

        Raises:
            ProgramError: No delegate of the backend `TensorRTBackend`.
        """
        if not self.engines:
            others = ", ".join(f"{name} ({count})" for name, count in self.other_backends.items())
            found = f"delegates of other backends only: {others}" if others else "no delegates"
            raise ProgramError(
                self.file, found, f"an engine of backend {BACKEND_ID}", "Save the model with torchtrt_ws.save."
            )


def read(path: str | os.PathLike[str]) -> ProgramInfo:
    """Reads what is inside a .pte, without loading it. Engines stay on disk: their headers are read, not their weights.

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
        return read_open(open_program(name))
    except FlatbufferError as error:
        raise damaged(name, f"a broken program: {error}") from None


def read_open(file: PteFile) -> ProgramInfo:
    """As `read`, of a file that is open.

    Args:
        file: From `layout.open_program` or `layout.map_program`.

    Returns:
        What `read` returns.

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
        method = _method(plan)
        methods.append(method)
        delegates = plan.vector(Field.PLAN_DELEGATES)
        for delegate in map(delegates.table, range(delegates.count)):
            backend = delegate.text(Field.DELEGATE_ID) or ""
            if backend == BACKEND_ID:
                engines.append(_engine(blobs, delegate, method.name, len(engines)))
            else:
                others[backend] = others.get(backend, 0) + 1
    methods = [_with_names(method, engines) for method in methods]
    return ProgramInfo(file.path, file.view.nbytes, tuple(methods), tuple(_with_equal_plans(engines)), others)


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
    first: dict[Region, str] = {}
    for each in engines:
        region = Region(each.engine_offset, each.engine_bytes)
        yield replace(each, same_plan_as=first.get(region))
        first.setdefault(region, each.name)


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


def _method(plan: Table) -> MethodInfo:
    name = plan.text(Field.PLAN_NAME)
    if name is None:
        raise FlatbufferError("a method without a name")
    return MethodInfo(name, _values(plan, Field.PLAN_INPUTS), _values(plan, Field.PLAN_OUTPUTS))


def _values(plan: Table, field: int) -> tuple[ValueInfo, ...]:
    values, indices = plan.vector(Field.PLAN_VALUES), plan.vector(field)
    on_device = _buffers_on_a_device(plan)
    return tuple(value_info(values.table(indices.integer(item, I32)), on_device) for item in range(indices.count))


def _buffers_on_a_device(plan: Table) -> frozenset[int]:
    devices = plan.vector(Field.PLAN_BUFFER_DEVICES)
    entries = map(devices.table, range(devices.count))
    return frozenset(
        each.integer(Field.BUFFER_INDEX, I32) for each in entries if each.integer(Field.BUFFER_DEVICE_TYPE, U8) != 0
    )


def value_info(value: Table, on_device: frozenset[int] = frozenset()) -> ValueInfo:
    """What an EValue of the schema is.

    Args:
        value: Its table.
        on_device: Which of the method's planned buffers are in device memory. A tensor that is planned elsewhere is
            there, whatever device it names.
    """
    number = value.integer(Field.VALUE_TYPE, U8)
    kind = VALUE_TYPES[number] if number < len(VALUE_TYPES) else f"type {number}"
    tensor = value.table(Field.VALUE) if kind == "tensor" else None
    if tensor is None:
        return ValueInfo(kind)
    scalar_type = tensor.integer(Field.TENSOR_SCALAR_TYPE, U8)
    dtype = BY_SCALAR_TYPE.get(scalar_type)
    sizes = tensor.vector(Field.TENSOR_SIZES)
    tensor.spend(sizes.count)
    return ValueInfo(
        kind,
        dtype.name if dtype else f"scalar type {scalar_type}",
        tuple(sizes.integer(dim, I32) for dim in range(sizes.count)),
        dynamic=tensor.integer(Field.TENSOR_SHAPE_DYNAMISM, U8) != 0,
        device=_device(tensor, on_device),
        planned=tensor.find(Field.TENSOR_ALLOCATION) is not None,
    )


def _device(tensor: Table, on_device: frozenset[int]) -> str | None:
    allocation = tensor.table(Field.TENSOR_ALLOCATION)
    if allocation is not None and allocation.integer(Field.ALLOCATION_BUFFER, U32) not in on_device:
        return None
    extra = tensor.table(Field.TENSOR_EXTRA_INFO)
    if extra is None or (kind := extra.integer(Field.EXTRA_DEVICE_TYPE, U8)) == 0:
        return None
    name = "cuda" if kind == 1 else f"device type {kind}"
    return f"{name}:{extra.integer(Field.EXTRA_DEVICE_INDEX, U8)}"


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


def _plain(value: TensorInfo | ValueInfo | blob.StreamingFacts) -> dict[str, Any]:
    return {key: list(item) if isinstance(item, tuple) else item for key, item in asdict(value).items()}
