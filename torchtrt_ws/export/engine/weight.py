"""A weight that an engine is stored without, on its way into a companion file. Pure: no torch, no executorch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torchtrt_ws.blob import KEY_PREFIX, MAX_BINDINGS, SeparateWeight, SeparateWeights
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.export.engine.built_engine import Payload

__all__ = ["Weight", "by_key", "separate_weights"]


@dataclass(frozen=True)
class Weight:
    """One weight.

    Args:
        name: What the engine calls it (`torchtrt_ws.blob.SeparateWeight`).
        dtype: Of its elements, torch's name.
        count: Its elements.
        payload: Its bytes: little-endian, C-contiguous, in the engine's dtype.
        shape: For tensors that ExecuTorch itself reads; None for all others.
    """

    name: str
    dtype: str
    count: int
    payload: Payload
    shape: tuple[int, ...] | None = None

    @property
    def key(self) -> str:
        """Where a companion file has it. Reads the weight, if nothing has yet."""
        return KEY_PREFIX + self.payload.digests.sha256

    def entry(self) -> SeparateWeight:
        """What a blob records of it. Reads the weight, if nothing has yet."""
        digests = self.payload.digests
        return SeparateWeight(
            self.name,
            self.key,
            self.dtype,
            self.count,
            self.payload.size,
            int(digests.crc32c, 16),
            digests.sha256,
            self.shape,
        )


def separate_weights(engine: str, weights: Iterable[Weight], file: str) -> SeparateWeights:
    """What the blob of an engine records of its weights.

    Args:
        engine: Its name, for the error.
        weights: What it was stored without: at least one, each name once.
        file: The companion file's name, without folders.

    Raises:
        ProgramError: More weights than a blob can list.
    """
    entries = tuple(weight.entry() for weight in weights)
    if len(entries) > MAX_BINDINGS:
        found, expected = f"{len(entries)} weights", f"at most {MAX_BINDINGS}"
        raise ProgramError(f"engine {engine!r}", found, expected, "Save it with its weights, or in parts.")
    return SeparateWeights(file, entries)


def by_key(weights: Iterable[Weight]) -> dict[str, Weight]:
    """One weight for each key, in the order of the first ones: what a companion file stores.

    Args:
        weights: Of all engines.
    """
    found: dict[str, Weight] = {}
    for each in weights:
        found.setdefault(each.key, each)
    return found
