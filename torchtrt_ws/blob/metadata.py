"""The JSON inside an engine blob, as typed values. Every reader of a blob treats it as hostile; so does this one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from torchtrt_ws.blob.fields import MAX_INT32, MAX_INT64, Fields, parse_object
from torchtrt_ws.blob.streaming_facts import StreamingFacts, read_streaming_facts, streaming_items
from torchtrt_ws.blob.variants import Variant, capability_items, read_capabilities, read_variants, variants_items
from torchtrt_ws.blob.weights import SeparateWeights, read_weights, weights_items
from torchtrt_ws.errors import BlobError
from torchtrt_ws.names import FORM, is_engine_name

__all__ = [
    "SCHEMA_VERSION",
    "STRIPPED_SCHEMA_VERSION",
    "VARIANTS_SCHEMA_VERSION",
    "Alias",
    "Binding",
    "Metadata",
    "OptimizationProfile",
    "OwnFacts",
    "ProfileBounds",
    "StateTensor",
    "TensorFacts",
    "parse_metadata",
    "to_json",
    "with_own",
]

SCHEMA_VERSION = 1  # of the `torchtrt_ws` key
STRIPPED_SCHEMA_VERSION = 2  # of an engine without its weights
VARIANTS_SCHEMA_VERSION = 3  # of one with several plans, whose bytes together are no plan; a higher one is refused
OWN_KEY = "torchtrt_ws"
ALIAS_KINDS = ("kv_cache_update", "user")  # Torch-TensorRT's AliasKind
_DISTINCT_KEY = "distinct_streamable_bytes"
_STREAMING_KEY = "streaming"
_WEIGHTS_KEY = "weights"
_VARIANTS_KEY = "variants"
_CAPABILITIES_KEY = "compute_capabilities"
_ENGINE_KEY = "engine_key"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CRC32C = re.compile(r"[0-9a-f]{8}")
_UPGRADE = "It was written by a newer torchtrt-ws: upgrade."


@dataclass(frozen=True)
class Binding:
    """One input or output of the engine, in delegate-argument order, inputs first.

    Torch-TensorRT writes names only: `dtype` is then "" and `shape` (). -1 in `shape` is a dynamic dimension.
    """

    name: str
    dtype: str = ""
    shape: tuple[int, ...] = ()
    is_input: bool = True


@dataclass(frozen=True)
class Alias:
    """An output that is its input, updated in place."""

    output: str
    input: str
    kind: str = "kv_cache_update"


@dataclass(frozen=True)
class TensorFacts:
    """What an engine takes or gives: -1 in `shape` is dynamic, `min` and `max` are its bounds."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    min: tuple[int, ...]
    max: tuple[int, ...]


@dataclass(frozen=True)
class ProfileBounds:
    """What an input may be in one optimization profile: its smallest, its optimal and its largest shape."""

    name: str
    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]


@dataclass(frozen=True)
class StateTensor:
    """A buffer that the engine keeps from call to call: an input and an output of the engine, and none of a call.

    It begins with zeros. What the engine gives as `output` is `input` of the next call.
    """

    input: str
    output: str
    dtype: str
    shape: tuple[int, ...]


OptimizationProfile: TypeAlias = tuple[ProfileBounds, ...]  # one for each input, in their order


@dataclass(frozen=True)
class OwnFacts:
    """The `torchtrt_ws` key. Sizes are bytes; a streamable size is None if it was not known at export.

    `crc32c` (8 lower-case hexadecimal digits) and `sha256` (64) are the engine's. Files of early versions have no
    `crc32c`. `program_streamable_bytes` counts each engine; `program_distinct_bytes` engines on the same weights once,
    and is None where there are none. `optimization_profiles` are those of a plan, where they were known at export;
    `inputs` are their hull. `nested_method` is which method of the program inside a host engine runs; None: "forward".
    `keeps_state`: a call changes buffers that the next one sees. `state` are those of a plan.
    `method_inputs` and `method_outputs` are the names of the program's method that the engine belongs to, in calling
    order; empty where they were not recorded.
    `streaming` is what the export did for streaming, where it did anything. `weights` are those that the engine was
    stored without, and where they are; None: it has its own. `schema` is then `STRIPPED_SCHEMA_VERSION`.
    `compute_capabilities` are the GPUs that a plan was built for ("8.9"), where it is bound to some and that is known.
    `variants` are its plans where there are several, one behind the other: `sha256` and `crc32c` are those of all bytes
    then, `builder` and the like those of the first, and `schema` is `VARIANTS_SCHEMA_VERSION`.
    """

    name: str
    kind: str
    sha256: str
    crc32c: str | None = None
    builder: str = ""
    streamable_bytes: int | None = None
    streamable_estimated: bool = False
    program_engines: int = 1
    program_streamable_bytes: int | None = None
    program_distinct_bytes: int | None = None
    inputs: tuple[TensorFacts, ...] = ()
    outputs: tuple[TensorFacts, ...] = ()
    optimization_profiles: tuple[OptimizationProfile, ...] = ()
    nested_method: str | None = None
    keeps_state: bool = False
    state: tuple[StateTensor, ...] = ()
    method_inputs: tuple[str, ...] = ()
    method_outputs: tuple[str, ...] = ()
    streaming: StreamingFacts | None = None
    weights: SeparateWeights | None = None
    compute_capabilities: tuple[str, ...] = ()
    variants: tuple[Variant, ...] = ()
    schema: int = SCHEMA_VERSION


@dataclass(frozen=True)
class Metadata:
    """The whole JSON. `serialized_metadata` is Torch-TensorRT's base64 pickle: kept, never unpickled.

    `engine_key` is where a data file has an engine that is not in the blob, as Torch-TensorRT 2.15 may have it; or "".
    """

    io_bindings: tuple[Binding, ...]
    aliased_io: tuple[Alias, ...] = ()
    hardware_compatible: bool = False
    device_id: int = 0
    serialized_metadata: str = ""
    target_platform: str = ""
    own: OwnFacts | None = None
    engine_key: str = ""

    @property
    def stripped(self) -> bool:
        """True if the engine was stored without its weights."""
        return self.own is not None and self.own.weights is not None


def parse_metadata(text: bytes, subject: str = "blob") -> Metadata:
    """Reads the JSON of a blob. Unknown keys are ignored.

    Args:
        text: UTF-8 JSON.
        subject: What an error names.

    Returns:
        The metadata; `own` is None without the `torchtrt_ws` key.

    Raises:
        BlobError: Not JSON, a key twice, nested deeper than 32, a missing key, a value of the wrong type or range, or a
            newer schema.
    """
    node = parse_object(text, subject)
    own = node.child(OWN_KEY) if OWN_KEY in node.value else None
    if own is not None and (schema := own.integer("schema", 1, MAX_INT64)) > VARIANTS_SCHEMA_VERSION:
        own.fail(
            "schema", str(schema), f"at most {VARIANTS_SCHEMA_VERSION}", _UPGRADE
        )  # first: the rest may mean something else
    bindings = _bindings(node)
    return Metadata(
        io_bindings=bindings,
        aliased_io=_aliases(node, bindings),
        hardware_compatible=node.boolean("hardware_compatible", default=False),
        device_id=node.integer("device_id", 0, MAX_INT32, default=0),
        serialized_metadata=node.string("serialized_metadata", default=""),
        target_platform=node.string("target_platform", default=""),
        own=None if own is None else _own(own, bindings),
        engine_key=_engine_key(node),
    )


def _engine_key(node: Fields) -> str:
    """Anything else than a text is what a reader that does not know the key may ignore, so it is nothing."""
    value = node.value.get(_ENGINE_KEY)
    return value if isinstance(value, str) and "\0" not in value else ""


def to_json(metadata: Metadata) -> bytes:
    """`metadata` as compact ASCII JSON.

    Torch-TensorRT's C++ reader searches forward: the order of the keys is part of the format.
    """
    document: dict[str, object] = {
        "io_bindings": [
            {"name": b.name, "dtype": b.dtype, "shape": list(b.shape), "is_input": b.is_input}
            for b in metadata.io_bindings
        ],
        "aliased_io": [{"output": a.output, "input": a.input, "kind": a.kind} for a in metadata.aliased_io],
        "hardware_compatible": metadata.hardware_compatible,
        "device_id": metadata.device_id,
        "serialized_metadata": metadata.serialized_metadata,
        "target_platform": metadata.target_platform,
    }
    if metadata.engine_key:
        document[_ENGINE_KEY] = metadata.engine_key
    if metadata.own is not None:
        document[OWN_KEY] = dict(_own_items(metadata.own))
    return _compact(document)


def with_own(text: bytes, own: OwnFacts, subject: str = "blob") -> bytes:
    """The JSON of a blob with our own facts, and all else in it byte for byte.

    Args:
        text: UTF-8 JSON that `parse_metadata` takes.
        own: The facts: new, or instead of those in `text`.
        subject: What an error names.

    Returns:
        UTF-8 JSON; our key is the last one.

    Raises:
        BlobError: Text that is refused, or facts that do not fit it; own facts that something else than torchtrt-ws
            wrote, which cannot be replaced byte for byte.
    """
    before = parse_object(text, subject).value
    if OWN_KEY in before:
        del before[OWN_KEY]
        ours, text = text, _compact(before)
        if not ours.startswith(text[:-1] + b","):
            raise BlobError(
                f"{subject}: metadata.{OWN_KEY}", "a key that is not last", "JSON of torchtrt-ws", "Save it again."
            )
    end = text.rindex(b"}")  # only white space follows it
    changed = text[:end] + b',"' + OWN_KEY.encode("ascii") + b'":' + _compact(dict(_own_items(own))) + text[end:]
    found = parse_metadata(changed, subject)
    assert found.own == own, "facts that survive JSON"
    return changed


def _compact(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode("ascii")


def _own_items(own: OwnFacts) -> Iterator[tuple[str, object]]:
    yield "schema", own.schema
    yield "name", own.name
    yield "kind", own.kind
    yield "sha256", own.sha256
    if own.crc32c is not None:
        yield "crc32c", own.crc32c
    if own.weights is not None:
        yield _WEIGHTS_KEY, dict(weights_items(own.weights))
    if own.compute_capabilities:
        yield _CAPABILITIES_KEY, capability_items(own.compute_capabilities)
    if own.variants:
        yield _VARIANTS_KEY, variants_items(own.variants)
    if own.nested_method is not None:
        yield "nested_method", own.nested_method
    if own.keeps_state:
        yield "keeps_state", True
    if own.state:
        yield (
            "state",
            [{"input": s.input, "output": s.output, "dtype": s.dtype, "shape": list(s.shape)} for s in own.state],
        )
    yield "builder", own.builder
    yield "streamable_bytes", own.streamable_bytes
    yield "streamable_estimated", own.streamable_estimated
    yield "program", dict(_program_items(own))
    for key, tensors in (("inputs", own.inputs), ("outputs", own.outputs)):
        yield (
            key,
            [
                {"name": t.name, "dtype": t.dtype, "shape": list(t.shape), "min": list(t.min), "max": list(t.max)}
                for t in tensors
            ],
        )
    if own.optimization_profiles:
        yield (
            "optimization_profiles",
            [
                {each.name: {"min": list(each.min), "opt": list(each.opt), "max": list(each.max)} for each in profile}
                for profile in own.optimization_profiles
            ],
        )
    if own.method_inputs or own.method_outputs:
        sides = {"inputs": own.method_inputs, "outputs": own.method_outputs}
        yield "method", {side: [{"name": name} for name in names] for side, names in sides.items()}
    if own.streaming is not None:
        yield _STREAMING_KEY, dict(streaming_items(own.streaming))


def _program_items(own: OwnFacts) -> Iterator[tuple[str, object]]:
    yield "engines", own.program_engines
    yield "streamable_bytes", own.program_streamable_bytes
    if own.program_distinct_bytes is not None:
        yield _DISTINCT_KEY, own.program_distinct_bytes


def _bindings(node: Fields) -> tuple[Binding, ...]:
    bindings: dict[tuple[str, bool], Binding] = {}
    for item in node.items("io_bindings"):
        binding = Binding(
            name=item.string("name", empty=False),
            dtype=item.string("dtype", default=""),
            shape=item.dims("shape", -1, default=()),
            is_input=item.boolean("is_input", default=True),
        )
        if (binding.name, binding.is_input) in bindings:
            item.refuse("name", binding.name, "a name of its own among the inputs, or among the outputs")
        bindings[binding.name, binding.is_input] = binding
    return tuple(bindings.values())


def _aliases(node: Fields, bindings: tuple[Binding, ...]) -> tuple[Alias, ...]:
    roles = {(binding.name, binding.is_input) for binding in bindings}
    aliases: dict[str, Alias] = {}
    for item in node.items("aliased_io", default=()):
        alias = Alias(item.string("output"), item.string("input"), item.string("kind", default=Alias.kind))
        if alias.kind not in ALIAS_KINDS:
            item.refuse("kind", alias.kind, " or ".join(repr(kind) for kind in ALIAS_KINDS))
        if (alias.output, False) not in roles or alias.output in aliases:
            item.refuse("output", alias.output, "the name of an output in io_bindings, once")
        if (alias.input, True) not in roles:
            item.refuse("input", alias.input, "the name of an input in io_bindings")
        aliases[alias.output] = alias
    return tuple(aliases.values())


def _own(node: Fields, bindings: tuple[Binding, ...]) -> OwnFacts:
    name, sha256 = node.string("name"), node.string("sha256")
    if not is_engine_name(name):
        node.refuse("name", name, FORM)
    if not _SHA256.fullmatch(sha256):
        node.refuse("sha256", sha256, "64 lower-case hexadecimal digits")
    crc32c = node.string("crc32c") if "crc32c" in node.value else None
    if crc32c is not None and not _CRC32C.fullmatch(crc32c):
        node.refuse("crc32c", crc32c, "8 lower-case hexadecimal digits")
    nested_method = node.string("nested_method") if "nested_method" in node.value else None
    if nested_method is not None and not is_engine_name(nested_method):
        node.refuse("nested_method", nested_method, FORM)
    weights = read_weights(node, _WEIGHTS_KEY)
    variants = read_variants(node, _VARIANTS_KEY, weights)
    schema = VARIANTS_SCHEMA_VERSION if variants else SCHEMA_VERSION if weights is None else STRIPPED_SCHEMA_VERSION
    if node.value["schema"] != schema or (variants and weights is None):
        parts = f"{'without' if weights is None else 'with'} weights{', with variants' if variants else ''}"
        node.fail("schema", f"{node.value['schema']} {parts}", f"{schema}, and variants only of weights elsewhere")
    program = node.child("program")
    method = node.child("method") if "method" in node.value else None
    inputs, outputs = (tuple(_tensor(item) for item in node.items(key)) for key in ("inputs", "outputs"))
    for key, tensors, is_input in (("inputs", inputs, True), ("outputs", outputs, False)):
        bound = [binding.name for binding in bindings if binding.is_input == is_input]
        if [tensor.name for tensor in tensors] != bound:
            node.refuse(key, [tensor.name for tensor in tensors], f"the names in io_bindings, {bound!r:.80}")
    return OwnFacts(
        name=name,
        kind=node.string("kind", empty=False),
        sha256=sha256,
        crc32c=crc32c,
        builder=node.string("builder", default=""),
        streamable_bytes=node.size_or_null("streamable_bytes"),
        streamable_estimated=node.boolean("streamable_estimated", default=False),
        program_engines=program.integer("engines", 1, MAX_INT32),
        program_streamable_bytes=program.size_or_null("streamable_bytes"),
        program_distinct_bytes=program.size_or_null(_DISTINCT_KEY),
        inputs=inputs,
        outputs=outputs,
        optimization_profiles=tuple(
            tuple(_bounds(profile, tensor) for tensor in inputs)
            for profile in node.items("optimization_profiles", default=())
        ),
        nested_method=nested_method,
        keeps_state=node.boolean("keeps_state", default=False),
        state=_state(node, bindings),
        method_inputs=_names(method, "inputs") if method else (),
        method_outputs=_names(method, "outputs") if method else (),
        streaming=read_streaming_facts(node, _STREAMING_KEY),
        weights=weights,
        compute_capabilities=read_capabilities(node),
        variants=variants,
        schema=schema,
    )


def _state(node: Fields, bindings: tuple[Binding, ...]) -> tuple[StateTensor, ...]:
    names = {binding.name for binding in bindings}
    found = []
    for item in node.items("state", default=()):
        each = StateTensor(
            item.string("input", empty=False),
            item.string("output", empty=False),
            item.string("dtype", empty=False),
            item.dims("shape", 0),
        )
        for key, name in (("input", each.input), ("output", each.output)):
            if name in names:
                item.refuse(key, name, "a name of its own")
            names.add(name)
        found.append(each)
    return tuple(found)


def _bounds(profile: Fields, tensor: TensorFacts) -> ProfileBounds:
    node = profile.child(tensor.name)
    found = ProfileBounds(tensor.name, node.dims("min", 0), node.dims("opt", 0), node.dims("max", 0))
    ends = (tensor.min, found.min, found.opt, found.max, tensor.max)
    same_rank = all(len(each) == len(tensor.shape) for each in ends)
    if not same_rank or any(list(sizes) != sorted(sizes) for sizes in zip(*ends, strict=True)):
        profile.fail(
            tensor.name,
            f"{list(found.min)}, {list(found.opt)}, {list(found.max)}",
            f"min <= opt <= max, within {list(tensor.min)} to {list(tensor.max)}",
        )
    return found


def _names(node: Fields, key: str) -> tuple[str, ...]:
    return tuple(item.string("name", empty=False) for item in node.items(key))


def _tensor(node: Fields) -> TensorFacts:
    shape, low, high = node.dims("shape", -1), node.dims("min", 0), node.dims("max", 0)
    bounds_hold = len(shape) == len(low) == len(high) and all(
        a <= b if d == -1 else a == b == d for d, a, b in zip(shape, low, high, strict=True)
    )
    if not bounds_hold:
        node.fail("min/max", f"{list(low)} to {list(high)}", f"bounds of the shape {list(shape)}")
    return TensorFacts(node.string("name", empty=False), node.string("dtype", empty=False), shape, low, high)
