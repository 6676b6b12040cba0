"""What an export did for streaming, as a blob records it: for reports, and for splits of a budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torchtrt_ws.blob.fields import MAX_INT64, Fields
from torchtrt_ws.errors import BlobError

__all__ = ["PARTS", "StreamingFacts", "WeightSize", "read_streaming_facts", "streaming_items"]

PARTS = ("whole", "body", "head")


@dataclass(frozen=True)
class WeightSize:
    """A weight of the model, or several that TensorRT makes one of ("gate + up"). `bytes` is its size."""

    name: str
    bytes: int


@dataclass(frozen=True)
class StreamingFacts:
    """The key `streaming`. Sizes are bytes; the scratch sizes are estimates.

    `part` is what the engine is of its method: all, the body in front of a head, or the head. `largest` are its largest
    weights, `scratch_bytes` what it needs beside its budget below full residency. `tables` are weights of the method
    that the CPU looks rows up in, outside of any engine; `head` is the one weight of the engine behind the body.
    `plain_scratch_bytes` is the scratch of the method as one engine with all of these. `notes`: what stayed, and why.
    """

    part: str
    largest: tuple[WeightSize, ...] = ()
    scratch_bytes: int = 0
    plain_scratch_bytes: int = 0
    tables: tuple[WeightSize, ...] = ()
    head: WeightSize | None = None
    notes: tuple[str, ...] = ()


def streaming_items(facts: StreamingFacts) -> Iterator[tuple[str, object]]:
    """The members of the JSON object.

    Args:
        facts: What to record.
    """
    yield "part", facts.part
    yield "scratch_bytes", facts.scratch_bytes
    yield "plain_scratch_bytes", facts.plain_scratch_bytes
    yield "largest", _plain(facts.largest)
    yield "tables", _plain(facts.tables)
    yield "head", None if facts.head is None else _plain([facts.head])[0]
    yield "notes", [{"text": note} for note in facts.notes]


def read_streaming_facts(own: Fields, key: str) -> StreamingFacts | None:
    """Reads the key.

    Args:
        own: The object that may have it.
        key: Its name.

    Returns:
        The facts; None where there are none, or where they are not as above. No reader refuses a blob for this key: C++
        ignores it, and a later version may write it in another way.
    """
    try:
        node = own.child(key) if key in own.value else None
        return None if node is None else _read(node)
    except BlobError:
        return None


def _read(node: Fields) -> StreamingFacts | None:
    part = node.string("part")
    if part not in PARTS:
        return None
    return StreamingFacts(
        part=part,
        largest=_weights(node, "largest"),
        scratch_bytes=node.integer("scratch_bytes", 0, MAX_INT64),
        plain_scratch_bytes=node.integer("plain_scratch_bytes", 0, MAX_INT64),
        tables=_weights(node, "tables"),
        head=None if node.value.get("head") is None else _weight(node.child("head")),
        notes=tuple(each.string("text") for each in node.items("notes", default=())),
    )


def _plain(weights: Sequence[WeightSize]) -> list[dict[str, object]]:
    return [{"name": each.name, "bytes": each.bytes} for each in weights]


def _weights(node: Fields, key: str) -> tuple[WeightSize, ...]:
    return tuple(map(_weight, node.items(key, default=())))


def _weight(node: Fields) -> WeightSize:
    return WeightSize(node.string("name"), node.integer("bytes", 0, MAX_INT64))
