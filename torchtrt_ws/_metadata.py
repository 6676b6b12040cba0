"""The JSON inside an engine blob, as typed values. Every reader of a blob treats it as hostile; so does this one."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from torchtrt_ws.budget import is_engine_name
from torchtrt_ws.errors import BlobError

__all__ = [
    "MAX_BINDINGS",
    "MAX_DEPTH",
    "MAX_METADATA_SIZE",
    "MAX_RANK",
    "SCHEMA_VERSION",
    "Alias",
    "Binding",
    "Metadata",
    "OwnFacts",
    "TensorFacts",
    "parse_metadata",
]

SCHEMA_VERSION = 1  # of the `torchtrt_ws` key; a higher one is refused
OWN_KEY = "torchtrt_ws"
MAX_METADATA_SIZE = 1 << 20  # bytes of JSON
MAX_BINDINGS = 4096  # and aliases, and tensors of one direction
MAX_DEPTH = 32  # of nested arrays and objects; the format itself needs 5
MAX_RANK = 8  # Dims::MAX_DIMS (NvInferRuntimeBase.h)
ALIAS_KINDS = ("kv_cache_update", "user")  # Torch-TensorRT's AliasKind
_MAX_INT64 = 2**63 - 1
_MAX_INT32 = 2**31 - 1
_SHA256 = re.compile(r"[0-9a-f]{64}")
_UPGRADE = "It was written by a newer torchtrt-ws: upgrade."
_DAMAGED = "The file is damaged, or was written by something else: save it again."


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
class OwnFacts:
    """The `torchtrt_ws` key. Sizes are bytes; a streamable size is None if it was not known at export."""

    name: str
    kind: str
    sha256: str
    builder: str = ""
    streamable_bytes: int | None = None
    streamable_estimated: bool = False
    program_engines: int = 1
    program_streamable_bytes: int | None = None
    inputs: tuple[TensorFacts, ...] = ()
    outputs: tuple[TensorFacts, ...] = ()
    schema: int = SCHEMA_VERSION


@dataclass(frozen=True)
class Metadata:
    """The whole JSON. `serialized_metadata` is Torch-TensorRT's base64 pickle: kept, never unpickled."""

    io_bindings: tuple[Binding, ...]
    aliased_io: tuple[Alias, ...] = ()
    hardware_compatible: bool = False
    device_id: int = 0
    serialized_metadata: str = ""
    target_platform: str = ""
    own: OwnFacts | None = None


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
    if len(text) > MAX_METADATA_SIZE:
        raise BlobError(f"{subject}: metadata", f"{len(text)} bytes", f"at most {MAX_METADATA_SIZE}", _DAMAGED)
    try:
        document = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_object,
            parse_float=_parse_float,
            parse_int=_parse_int,
            parse_constant=_refuse_constant,
        )
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise BlobError(f"{subject}: metadata", f"text that is no JSON ({error})", "UTF-8 JSON", _DAMAGED) from None
    except RecursionError:
        raise _too_deep(subject) from None
    _check_text_and_depth(document, subject)
    node = _Node(document, subject, "metadata")
    own = node.child(OWN_KEY) if OWN_KEY in node.value else None
    if own is not None and (schema := own.integer("schema", 1, _MAX_INT64)) > SCHEMA_VERSION:
        own.fail(
            "schema", str(schema), f"at most {SCHEMA_VERSION}", _UPGRADE
        )  # first: the rest may mean something else
    bindings = _bindings(node)
    return Metadata(
        io_bindings=bindings,
        aliased_io=_aliases(node, bindings),
        hardware_compatible=node.boolean("hardware_compatible", default=False),
        device_id=node.integer("device_id", 0, _MAX_INT32, default=0),
        serialized_metadata=node.string("serialized_metadata", default=""),
        target_platform=node.string("target_platform", default=""),
        own=None if own is None else _own(own, bindings),
    )


class _Node:
    """One JSON object, and the path to it for errors."""

    def __init__(self, value: Any, subject: str, path: str) -> None:
        self.value, self.subject, self.path = value, subject, path
        if not isinstance(value, dict):
            self.refuse("", value, "an object")

    def refuse(self, key: str, value: object, expected: str) -> NoReturn:
        """A value of this object that is wrong."""
        shown = "nothing" if value is _ABSENT else json.dumps(value)
        self.fail(key, shown if len(shown) <= 80 else f"{shown[:80]}...", expected)

    def fail(self, key: str, found: str, expected: str, next_step: str = _DAMAGED) -> NoReturn:
        where = f"{self.path}.{key}" if key else self.path
        raise BlobError(f"{self.subject}: {where}", found, expected, next_step)

    def get(self, key: str, default: Any) -> Any:
        return self.value.get(key, default)

    def string(self, key: str, default: Any = None, empty: bool = True) -> str:
        value = self.get(key, _ABSENT if default is None else default)
        if not isinstance(value, str) or "\0" in value or not (value or empty):  # NUL: names go into C strings
            self.refuse(key, value, f"a string without NUL{'' if empty else ', not empty'}")
        return value

    def boolean(self, key: str, default: Any = None) -> bool:
        value = self.get(key, _ABSENT if default is None else default)
        if not isinstance(value, bool):
            self.refuse(key, value, "true or false")
        return value

    def integer(self, key: str, low: int, high: int, default: Any = None) -> int:
        value = self.get(key, _ABSENT if default is None else default)
        if not _is_int(value) or not low <= value <= high:
            self.refuse(key, value, f"an integer from {low} to {high}")
        return int(value)

    def size_or_null(self, key: str) -> int | None:
        return None if self.get(key, None) is None else self.integer(key, 0, _MAX_INT64)

    def dims(self, key: str, low: int, default: Any = None) -> tuple[int, ...]:
        value = self.get(key, _ABSENT if default is None else default)
        if (
            not isinstance(value, list | tuple)
            or len(value) > MAX_RANK
            or not all(_is_int(d) and low <= d <= _MAX_INT64 for d in value)
        ):
            self.refuse(key, value, f"a list of at most {MAX_RANK} integers from {low} to {_MAX_INT64}")
        return tuple(value)

    def child(self, key: str) -> _Node:
        return _Node(self.get(key, _ABSENT), self.subject, f"{self.path}.{key}")

    def items(self, key: str, default: Any = None) -> list[_Node]:
        value = self.get(key, _ABSENT if default is None else default)
        if not isinstance(value, list | tuple):
            self.refuse(key, value, "a list of objects")
        if len(value) > MAX_BINDINGS:
            self.fail(key, f"{len(value)} entries", f"at most {MAX_BINDINGS}")
        return [_Node(item, self.subject, f"{self.path}.{key}[{index}]") for index, item in enumerate(value)]


_ABSENT = object()


def _bindings(node: _Node) -> tuple[Binding, ...]:
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


def _aliases(node: _Node, bindings: tuple[Binding, ...]) -> tuple[Alias, ...]:
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


def _own(node: _Node, bindings: tuple[Binding, ...]) -> OwnFacts:
    name, sha256 = node.string("name"), node.string("sha256")
    if not is_engine_name(name):
        node.refuse("name", name, "1 to 39 of A-Z a-z 0-9 _ . -")
    if not _SHA256.fullmatch(sha256):
        node.refuse("sha256", sha256, "64 lower-case hexadecimal digits")
    program = node.child("program")
    inputs, outputs = (tuple(_tensor(item) for item in node.items(key)) for key in ("inputs", "outputs"))
    for key, tensors, is_input in (("inputs", inputs, True), ("outputs", outputs, False)):
        bound = [binding.name for binding in bindings if binding.is_input == is_input]
        if [tensor.name for tensor in tensors] != bound:
            node.refuse(key, [tensor.name for tensor in tensors], f"the names in io_bindings, {bound!r:.80}")
    return OwnFacts(
        name=name,
        kind=node.string("kind", empty=False),
        sha256=sha256,
        builder=node.string("builder", default=""),
        streamable_bytes=node.size_or_null("streamable_bytes"),
        streamable_estimated=node.boolean("streamable_estimated", default=False),
        program_engines=program.integer("engines", 1, _MAX_INT32),
        program_streamable_bytes=program.size_or_null("streamable_bytes"),
        inputs=inputs,
        outputs=outputs,
    )


def _tensor(node: _Node) -> TensorFacts:
    shape, low, high = node.dims("shape", -1), node.dims("min", 0), node.dims("max", 0)
    bounds_hold = len(shape) == len(low) == len(high) and all(
        a <= b if d == -1 else a == b == d for d, a, b in zip(shape, low, high, strict=True)
    )
    if not bounds_hold:
        node.fail("min/max", f"{list(low)} to {list(high)}", f"bounds of the shape {list(shape)}")
    return TensorFacts(node.string("name", empty=False), node.string("dtype", empty=False), shape, low, high)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):  # which of the two counts would depend on the reader
        raise ValueError("the same key twice in one object")
    return value


def _parse_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("a number past the range of a double")
    return value


def _parse_int(text: str) -> int | float:
    """Past 64 bits a float: a known key then refuses it, and an unknown one may hold it."""
    return int(text) if len(text) <= 20 else _parse_float(text)


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text}, which is not JSON")


def _check_text_and_depth(document: object, subject: str) -> None:
    """Lone surrogates and deep nesting pass Python's JSON reader, but not the C++ one: both refuse the same blobs."""
    level, depth = [document], 0
    while level:
        below: list[object] = []
        for value in level:
            if isinstance(value, dict | list) and depth == MAX_DEPTH:
                raise _too_deep(subject)
            if isinstance(value, dict):
                below.extend(value)
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
            elif isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
                raise BlobError(f"{subject}: metadata", "a lone surrogate", "UTF-8 text", _DAMAGED)
        level, depth = below, depth + 1


def _too_deep(subject: str) -> BlobError:
    return BlobError(f"{subject}: metadata", f"more than {MAX_DEPTH} levels", f"at most {MAX_DEPTH}", _DAMAGED)
