"""Several plans for one engine, one behind the other, with what a blob records of each. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torchtrt_ws.blob import ENGINE_ALIGNMENT, Variant
from torchtrt_ws.export.engine.built_engine import Payload, Writable
from torchtrt_ws.export.engine.payload import StreamedPayload

__all__ = ["Plan", "distinct_plans", "laid_behind", "payload_of"]


@dataclass(frozen=True)
class Plan:
    """One plan: its bytes, and what is recorded of it but where it lies. `weights` are the names of those it takes."""

    payload: Payload
    facts: Variant
    weights: tuple[str, ...]


def distinct_plans(plans: Sequence[Plan]) -> tuple[Plan, ...]:
    """Each plan once, in order: equal bytes are one plan, for the GPUs of all that gave it.

    Args:
        plans: Of one engine.
    """
    found: dict[str, Plan] = {}
    for each in plans:
        digest = each.facts.sha256
        if digest in found:
            first = found[digest]
            both = (first.facts.compute_capabilities, each.facts.compute_capabilities)
            together = tuple(dict.fromkeys([*both[0], *both[1]])) if all(both) else ()
            found[digest] = replace(first, facts=replace(first.facts, compute_capabilities=together))
        else:
            found[digest] = each
    return tuple(found.values())


def laid_behind(plans: Sequence[Plan], weights: Sequence[str]) -> tuple[Variant, ...]:
    """What a blob records of the plans, one behind the other.

    Args:
        plans: Of one engine.
        weights: The names that the engine lists.

    Returns:
        For each where it lies, and which of `weights` it takes: None for all of them.
    """
    found: list[Variant] = []
    end = 0
    for each in plans:
        taken = None if set(each.weights) == set(weights) else each.weights
        found.append(replace(each.facts, offset=end, size=each.payload.size, weights=taken))
        end = -(-(end + each.payload.size) // ENGINE_ALIGNMENT) * ENGINE_ALIGNMENT
    return tuple(found)


def payload_of(plans: Sequence[Plan]) -> Payload:
    """The bytes of all plans, as `laid_behind` has them.

    Args:
        plans: Of one engine.
    """

    def write_to(file: Writable) -> None:
        behind = 0  # bytes of padding
        for each in plans:
            file.write(bytes(behind))
            each.payload.write_to(file)
            behind = -each.payload.size % ENGINE_ALIGNMENT

    return StreamedPayload(write_to)
