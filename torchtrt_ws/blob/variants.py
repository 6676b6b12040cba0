"""Several plans for one engine in one blob, for other GPUs or other versions of TensorRT: what is recorded of each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torchtrt_ws.blob.fields import MAX_INT64, Fields
from torchtrt_ws.blob.header import ENGINE_ALIGNMENT
from torchtrt_ws.blob.weights import SeparateWeights

__all__ = [
    "MAX_VARIANTS",
    "Variant",
    "capability_items",
    "is_compute_capability",
    "read_capabilities",
    "read_variants",
    "variants_items",
]

MAX_VARIANTS = 64  # of one engine: as many GPUs times versions as anybody ships
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CRC32C = re.compile(r"[0-9a-f]{8}")
_CAPABILITY = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}")
_CAPABILITIES_KEY, _WEIGHTS_KEY = "compute_capabilities", "weights"


@dataclass(frozen=True)
class Variant:
    """One of the plans of an engine. Sizes are bytes; `offset` counts from the start of the engine in the blob.

    `sha256` (64 lower-case hexadecimal digits) and `crc32c` (8) are the plan's. `runtime` is the library that reads it,
    "tensorrt_rtx 1.6.1", or "" where that is not known. `compute_capabilities` are the GPUs that it was built for, such
    as "8.9"; none: it is not known to be bound to some. `hardware_compatible`: it runs on others, too. `weights` are
    the names of those in the blob's list that it takes; None: all of them.
    """

    offset: int
    size: int
    sha256: str
    crc32c: str
    builder: str = ""
    runtime: str = ""
    compute_capabilities: tuple[str, ...] = ()
    hardware_compatible: bool = False
    streamable_bytes: int | None = None
    streamable_estimated: bool = False
    weights: tuple[str, ...] | None = None

    @property
    def made_for(self) -> str:
        """For people: "compute capability 8.9, tensorrt_rtx 1.6.1", or what of it is known."""
        capabilities = " or ".join(self.compute_capabilities)
        parts = [f"compute capability {capabilities}" if capabilities else "any GPU", self.runtime]
        return ", ".join(part for part in parts if part)


def is_compute_capability(text: str) -> bool:
    """True for "9.0" and the like.

    Args:
        text: What may be one.
    """
    return _CAPABILITY.fullmatch(text) is not None


def capability_items(capabilities: Sequence[str]) -> list[dict[str, object]]:
    """`compute_capabilities` as JSON.

    Args:
        capabilities: "8.9" and the like.
    """
    return [{"name": each} for each in capabilities]


def variants_items(variants: Sequence[Variant]) -> list[dict[str, object]]:
    """The list as JSON.

    Args:
        variants: What to record.
    """
    return [dict(_variant_items(each)) for each in variants]


def read_capabilities(node: Fields) -> tuple[str, ...]:
    """Reads the key `compute_capabilities` of an object.

    Args:
        node: The object that may have it.

    Returns:
        "8.9" and the like; none where the key is absent.

    Raises:
        BlobError: Something else, or one twice.
    """
    found: list[str] = []
    for item in node.items(_CAPABILITIES_KEY, default=()):
        name = item.string("name")
        if not is_compute_capability(name) or name in found:
            item.refuse("name", name, 'a compute capability such as "8.9", once')
        found.append(name)
    return tuple(found)


def read_variants(own: Fields, key: str, weights: SeparateWeights | None) -> tuple[Variant, ...]:
    """Reads the key.

    Args:
        own: The object that may have it.
        key: Its name.
        weights: Those of the same engine.

    Returns:
        The plans, in the order of the blob; none where the key is absent.

    Raises:
        BlobError: Fewer than 2, more than 64, plans that overlap or are out of order, a weight that the blob does not
            list, or a value of another type or range. Whether they lie within the engine is the blob's to say.
    """
    if key not in own.value:
        return ()
    names = {each.name for each in weights.tensors} if weights is not None else set()
    found: list[Variant] = []
    for item in own.items(key):
        variant = _variant(item, names)
        expected = "0" if not found else f"a multiple of {ENGINE_ALIGNMENT} behind the plan before it"
        last = found[-1] if found else Variant(0, 0, "", "")
        behind = variant.offset >= last.offset and variant.offset - last.offset >= last.size
        if variant.offset % ENGINE_ALIGNMENT or not behind or (not found and variant.offset):
            item.refuse("offset", variant.offset, expected)
        found.append(variant)
        if len(found) > MAX_VARIANTS:
            break
    if not 2 <= len(found) <= MAX_VARIANTS:
        own.fail(key, f"{len(own.value[key])} plans", f"2 to {MAX_VARIANTS}")
    return tuple(found)


def _variant_items(variant: Variant) -> Iterator[tuple[str, object]]:
    for key, value in vars(variant).items():
        if key == _CAPABILITIES_KEY:
            if variant.compute_capabilities:
                yield key, capability_items(variant.compute_capabilities)
        elif key == _WEIGHTS_KEY:
            if variant.weights is not None:
                yield key, [{"name": each} for each in variant.weights]
        else:
            yield key, value


def _variant(item: Fields, known: set[str]) -> Variant:
    sha256, crc32c = item.string("sha256"), item.string("crc32c")
    if not _SHA256.fullmatch(sha256):
        item.refuse("sha256", sha256, "64 lower-case hexadecimal digits")
    if not _CRC32C.fullmatch(crc32c):
        item.refuse("crc32c", crc32c, "8 lower-case hexadecimal digits")
    return Variant(
        offset=item.integer("offset", 0, MAX_INT64),
        size=item.integer("size", 1, MAX_INT64),
        sha256=sha256,
        crc32c=crc32c,
        builder=item.string("builder", default=""),
        runtime=item.string("runtime", default=""),
        compute_capabilities=read_capabilities(item),
        hardware_compatible=item.boolean("hardware_compatible", default=False),
        streamable_bytes=item.size_or_null("streamable_bytes"),
        streamable_estimated=item.boolean("streamable_estimated", default=False),
        weights=_taken(item, known) if _WEIGHTS_KEY in item.value else None,
    )


def _taken(item: Fields, known: set[str]) -> tuple[str, ...]:
    names: list[str] = []
    left = set(known)
    for each in item.items(_WEIGHTS_KEY):
        name = each.string("name")
        if name not in left:
            each.refuse("name", name, "the name of a weight in the list of the engine, once")
        left.discard(name)
        names.append(name)
    if not names:
        item.fail(_WEIGHTS_KEY, "no weights", "one or more")
    return tuple(names)
