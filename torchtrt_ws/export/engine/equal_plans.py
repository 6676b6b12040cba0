"""Which engines of a program are the same bytes: those are stored once, and loaded once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from torchtrt_ws.export.engine.built_engine import BuiltEngine, Payload

__all__ = ["EqualPlans"]


class EqualPlans:
    """The engines of a program by their bytes. Reads an engine only where another one looks the same.

    Args:
        engines: All engines of the program, in file order.
    """

    def __init__(self, engines: Sequence[BuiltEngine]) -> None:
        self._stored_as = _first_with_these_bytes(engines)
        self._payloads = {engine.name: engine.payload for engine in engines}
        loaded_as: dict[tuple[str, str, int], str] = {}
        self._loaded_as = {
            each.name: loaded_as.setdefault((self._stored_as[each.name], each.kind, each.device_id), each.name)
            for each in engines
        }

    def payload(self, name: str) -> Payload:
        """The bytes that the engine `name` is written from: one object for all that are equal."""
        return self._payloads[self._stored_as[name]]

    def payloads(self) -> list[Payload]:
        """All that are written, in file order."""
        return [self._payloads[name] for name, first in self._stored_as.items() if name == first]

    def loaded_as(self, name: str) -> str:
        """The first engine on whose weights the engine `name` runs once both are loaded: the same bytes, on the same
        device. Itself, if there is none before it."""
        return self._loaded_as[name]


def _first_with_these_bytes(engines: Sequence[BuiltEngine]) -> dict[str, str]:
    first: dict[object, str] = {}
    told_apart = _told_apart({id(each.payload): each.payload for each in engines})
    return {each.name: first.setdefault((told_apart[id(each.payload)], _weights(each)), each.name) for each in engines}


def _weights(engine: BuiltEngine) -> tuple[tuple[str, str], ...]:
    """Which weights an engine without its own runs on: two with the same bytes and other weights are two engines."""
    return tuple((weight.name, weight.key) for weight in engine.weights)


def _told_apart(payloads: Mapping[int, Payload]) -> dict[int, object]:
    """What is equal for those with equal bytes: the size where that is enough, else samples too, else the digest."""
    sizes = Counter(each.size for each in payloads.values())
    samples = {key: each.sample for key, each in payloads.items() if sizes[each.size] > 1}
    alike = Counter((payloads[key].size, sample) for key, sample in samples.items())
    return {
        key: each.size
        if key not in samples
        else (each.size, samples[key])
        if alike[each.size, samples[key]] == 1
        else each.digests.sha256
        for key, each in payloads.items()
    }
