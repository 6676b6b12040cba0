"""A method around engines that are known by inputs and outputs only: an exported program with nothing but calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch.export import Dim, ExportedProgram

from torchtrt_ws.blob import TensorFacts
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.export.engine.built_engine import BuiltEngine, LoweredMethod
from torchtrt_ws.export.graph import engine_call
from torchtrt_ws.export.graph.interface import unique_names
from torchtrt_ws.export.graph.wiring import Ports, Wiring, wire

__all__ = ["calls"]


@contextmanager
def calls(method: str, engines: Mapping[str, BuiltEngine]) -> Iterator[LoweredMethod]:
    """Makes the method that calls the engines.

    Args:
        method: Its name.
        engines: Engine name to engine; wired by the names of their tensors (`wiring.wire`).

    Returns:
        The method, while this is open.

    Raises:
        ProgramError: Engines that cannot be wired, or an output range that no input range decides.
    """
    wiring = wire(method, {name: Ports(each.inputs, each.outputs) for name, each in engines.items()})
    with ExitStack() as stack:
        tokens = {
            name: stack.enter_context(engine_call.declared_call(name, _PlanCall(each.inputs, _matched(each))))
            for name, each in engines.items()
        }
        program = _export(wiring, tokens)
        yield LoweredMethod(
            program,
            {tokens[name]: each for name, each in engines.items()},
            tuple(each.name for each in wiring.inputs),
            tuple(unique_names([engines[name].outputs[index].name for name, index in wiring.outputs])),
        )


@dataclass(frozen=True)
class _Output:
    """An output; a dimension is a size, or the (input, dimension) whose size it has."""

    dtype: torch.dtype
    shape: tuple[int | tuple[int, int], ...]


@dataclass(frozen=True)
class _PlanCall:
    """Shapes of one engine call, from ranges."""

    inputs: tuple[TensorFacts, ...]
    outputs: tuple[_Output, ...]

    def run(self, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        return [
            tensors[0].new_empty(
                [size if isinstance(size, int) else tensors[size[0]].shape[size[1]] for size in output.shape],
                dtype=output.dtype,
            )
            for output in self.outputs
        ]


def _matched(engine: BuiltEngine) -> tuple[_Output, ...]:
    """A dynamic dimension of an output has the size of the first input dimension with the same range; one from 0 that
    no input has depends on the data, and is planned at its largest. Only planning goes by that: the engine says at run
    time how large an output is."""
    sizes: dict[tuple[int, int], tuple[int, int]] = {}
    for position, tensor in enumerate(engine.inputs):
        for dimension, bounds in enumerate(zip(tensor.min, tensor.max, strict=True)):
            sizes.setdefault(bounds, (position, dimension))
    outputs = []
    for tensor in engine.outputs:
        shape: list[int | tuple[int, int]] = []
        for dimension, (low, high) in enumerate(zip(tensor.min, tensor.max, strict=True)):
            if low == 0 < high and (low, high) not in sizes:
                shape.append(high)
                continue
            if low != high and (low, high) not in sizes:
                known = ", ".join(f"{a}..{b}" for a, b in sizes if a != b) or "none: all inputs are static"
                raise ProgramError(
                    f"engine {engine.name!r}, output {tensor.name!r}",
                    f"{low}..{high} for dimension {dimension}",
                    f"the range of a dynamic input dimension ({known}), or 0..{high} for what depends on the data",
                    "Give the output the range of the input dimension it follows, if it has the same size.",
                )
            shape.append(low if low == high else sizes[low, high])
        outputs.append(_Output(getattr(torch, tensor.dtype), tuple(shape)))
    return tuple(outputs)


class _Calls(torch.nn.Module):
    """What is exported."""

    def __init__(self, wiring: Wiring, tokens: Mapping[str, str]) -> None:
        super().__init__()
        self._wiring, self._tokens = wiring, dict(tokens)

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        known: dict[tuple[str, int], torch.Tensor] = {("", index): tensor for index, tensor in enumerate(tensors)}
        for step in self._wiring.steps:
            arguments = [known[source] for source in step.sources]
            results = torch.ops.torchtrt_ws.engine.default(arguments, self._tokens[step.engine])
            known.update(((step.engine, index), result) for index, result in enumerate(results))
        return tuple(known[output] for output in self._wiring.outputs)


def _export(wiring: Wiring, tokens: Mapping[str, str]) -> ExportedProgram:
    # Nothing writes to them, so they take no memory, however large they are.
    examples = tuple(torch.empty(t.max, dtype=getattr(torch, t.dtype)) for t in wiring.inputs)
    shapes = tuple(
        {
            dimension: Dim(f"d{position}_{dimension}", min=t.min[dimension], max=t.max[dimension])
            for dimension, size in enumerate(t.shape)
            if size == -1
        }
        for position, t in enumerate(wiring.inputs)
    )
    with torch.no_grad():
        return torch.export.export(_Calls(wiring, tokens), examples, dynamic_shapes={"tensors": shapes}, strict=False)
