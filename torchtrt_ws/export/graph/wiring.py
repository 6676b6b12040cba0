"""Several engines in one method: tensors of the same name are one tensor. Pure: no torch, no executorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torchtrt_ws.blob import TensorFacts
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.export.tensor_text import tensor_text

__all__ = ["Ports", "Step", "Wiring", "wire"]


@dataclass(frozen=True)
class Ports:
    """The inputs and outputs of an engine."""

    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]


@dataclass(frozen=True)
class Step:
    """One engine call. `sources` says where each input comes from: ("", i) is the method's i-th input, (engine, i) is
    an engine's i-th output."""

    engine: str
    sources: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Wiring:
    """A method: its inputs, the engine calls in an order that works, and the (engine, i) that it returns."""

    inputs: tuple[TensorFacts, ...]
    steps: tuple[Step, ...]
    outputs: tuple[tuple[str, int], ...]


def wire(method: str, engines: Mapping[str, Ports]) -> Wiring:
    """Connects engines by the names of their tensors.

    Args:
        method: Its name, for errors.
        engines: Engine name to its inputs and outputs; at least one.

    Returns:
        The method. Its inputs are those that no engine gives, in the order they are met; an input of two engines is one
        input, with the bounds that suit both. Its outputs are those that no engine takes, in the order of the engines.

    Raises:
        ProgramError: Tensors of one name that do not fit, two outputs for one input, or engines in a circle.
    """
    givers: dict[str, list[tuple[str, int]]] = {}
    for name, ports in engines.items():
        for index, tensor in enumerate(ports.outputs):
            givers.setdefault(tensor.name, []).append((name, index))
    inputs: dict[str, TensorFacts] = {}
    positions: dict[str, int] = {}
    taken: set[tuple[str, int]] = set()
    sources: dict[str, tuple[tuple[str, int], ...]] = {}
    for name, ports in engines.items():
        found = []
        for tensor in ports.inputs:
            subject = f"method {method!r}, engine {name!r}, input {tensor.name!r}"
            giver = _giver(subject, givers.get(tensor.name, []))
            if giver is None:
                inputs[tensor.name] = _common(subject, inputs.get(tensor.name, tensor), tensor)
                found.append(("", positions.setdefault(tensor.name, len(positions))))
                continue
            _check_fits(subject, engines[giver[0]].outputs[giver[1]], tensor)
            taken.add(giver)
            found.append(giver)
        sources[name] = tuple(found)
    outputs = [(name, index) for name, ports in engines.items() for index in range(len(ports.outputs))]
    steps = tuple(Step(name, sources[name]) for name in _in_order(method, sources))
    return Wiring(tuple(inputs.values()), steps, tuple(each for each in outputs if each not in taken))


def _giver(subject: str, givers: Sequence[tuple[str, int]]) -> tuple[str, int] | None:
    if len(givers) > 1:
        names = " and ".join(repr(engine) for engine, _ in givers)
        raise ProgramError(
            subject,
            f"outputs of that name of the engines {names}",
            "one engine that gives it: tensors of the same name are one tensor",
            "Put the engines into methods of their own (methods=), or rename a tensor and build its engine again.",
        )
    return givers[0] if givers else None


def _common(subject: str, known: TensorFacts, tensor: TensorFacts) -> TensorFacts:
    """The bounds that suit both."""
    low = tuple(max(pair) for pair in zip(known.min, tensor.min, strict=False))
    high = tuple(min(pair) for pair in zip(known.max, tensor.max, strict=False))
    if (
        known.dtype != tensor.dtype
        or len(known.shape) != len(tensor.shape)
        or any(a > b for a, b in zip(low, high, strict=True))
    ):
        raise ProgramError(
            subject,
            tensor_text(tensor),
            f"what another engine takes under that name, {tensor_text(known)}",
            "Put the engines into methods of their own (methods=), or rename a tensor and build its engine again.",
        )
    shape = tuple(a if a == b else -1 for a, b in zip(low, high, strict=True))
    return TensorFacts(tensor.name, tensor.dtype, shape, low, high)


def _check_fits(subject: str, given: TensorFacts, wanted: TensorFacts) -> None:
    if (
        given.dtype != wanted.dtype
        or len(given.shape) != len(wanted.shape)
        or any(a < b for a, b in zip(given.min, wanted.min, strict=True))
        or any(a > b for a, b in zip(given.max, wanted.max, strict=True))
    ):
        raise ProgramError(
            subject,
            f"an output of that name, {tensor_text(given)}",
            f"one within {tensor_text(wanted)}",
            "Narrow the ranges, or rename a tensor and build its engine again.",
        )


def _in_order(method: str, sources: Mapping[str, Sequence[tuple[str, int]]]) -> list[str]:
    """The engines, each after those it takes from, else in the order given."""
    waiting, ordered = list(sources), list[str]()
    while waiting:
        ready = [name for name in waiting if all(engine in ("", *ordered) for engine, _ in sources[name])]
        if not ready:
            raise ProgramError(
                f"method {method!r}",
                f"engines that wait for each other: {', '.join(waiting)}",
                "engines without a circle between them",
                "Put them into methods of their own (methods=).",
            )
        ordered.append(ready[0])
        waiting.remove(ready[0])
    return ordered
