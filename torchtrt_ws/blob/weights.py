"""Where the weights of an engine are that was stored without them: names, keys of a companion file, digests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from torchtrt_ws.blob.fields import MAX_INT64, Fields

__all__ = ["KEY_PREFIX", "MAX_FILE_NAME", "SeparateWeight", "SeparateWeights", "read_weights", "weights_items"]

KEY_PREFIX = "torchtrt_ws.weights/"  # of a weight in a companion file: its SHA-256 follows
MAX_FILE_NAME = 255  # bytes of UTF-8: NAME_MAX of Linux's file systems
_MAX_CRC32C = 2**32 - 1
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class SeparateWeight:
    """One weight. `bytes` is its size, `count` its elements of `dtype` (torch's name).

    `name` is what the engine calls it: for TensorRT the name that `IRefitter` takes, for a host engine the key under
    which its program asks for the data. `key` is where a companion file has it: equal weights have one key. `shape` is
    there for the tensors of a host engine that no delegate of its program takes; ExecuTorch asks for it.
    """

    name: str
    key: str
    dtype: str
    count: int
    bytes: int
    crc32c: int
    sha256: str
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class SeparateWeights:
    """The key `weights`. `file` is the companion's name, without folders."""

    file: str
    tensors: tuple[SeparateWeight, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of all weights; equal ones are counted once."""
        return sum({each.key: each.bytes for each in self.tensors}.values())


def weights_items(weights: SeparateWeights) -> Iterator[tuple[str, object]]:
    """The members of the JSON object.

    Args:
        weights: What to record.
    """
    yield "file", weights.file
    yield "tensors", [dict(_weight_items(each)) for each in weights.tensors]


def read_weights(own: Fields, key: str) -> SeparateWeights | None:
    """Reads the key.

    Args:
        own: The object that may have it.
        key: Its name.

    Returns:
        The weights; None where the key is absent.

    Raises:
        BlobError: No file name, no weights, more than 4096, a name twice, or a value of another type or range.
    """
    if key not in own.value:
        return None
    node = own.child(key)
    file = node.string("file", empty=False)
    if any(part in file for part in "/\\") or file in (".", "..") or len(file.encode("utf-8")) > MAX_FILE_NAME:
        node.refuse("file", file, f"the name of a file without folders, at most {MAX_FILE_NAME} bytes")
    tensors: dict[str, SeparateWeight] = {}
    for item in node.items("tensors"):
        weight = _weight(item)
        if weight.name in tensors:
            item.refuse("name", weight.name, "a name of its own")
        tensors[weight.name] = weight
    if not tensors:
        node.fail("tensors", "no weights", "the weights that the engine was stored without")
    return SeparateWeights(file, tuple(tensors.values()))


def _weight_items(weight: SeparateWeight) -> Iterator[tuple[str, object]]:
    for key, value in vars(weight).items():
        if key != "shape":
            yield key, value
        elif value is not None:
            yield key, list(value)


def _weight(item: Fields) -> SeparateWeight:
    sha256 = item.string("sha256")
    if not _SHA256.fullmatch(sha256):
        item.refuse("sha256", sha256, "64 lower-case hexadecimal digits")
    return SeparateWeight(
        name=item.string("name", empty=False),
        key=item.string("key", empty=False),
        dtype=item.string("dtype", empty=False),
        count=item.integer("count", 1, MAX_INT64),
        bytes=item.integer("bytes", 1, MAX_INT64),
        crc32c=item.integer("crc32c", 0, _MAX_CRC32C),
        sha256=sha256,
        shape=item.dims("shape", 0) if "shape" in item.value else None,
    )
