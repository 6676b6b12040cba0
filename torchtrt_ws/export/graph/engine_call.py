"""The operator `torchtrt_ws::engine`: one call of one engine in an exported graph, before it becomes a delegate.

The call carries a token, not the engine: graphs are copied and retraced a dozen times on their way to a .pte. For the
same reason the operator computes output shapes itself, from the shapes of its inputs.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import torch
from torch.export import ExportedProgram
from torch.export.exported_program import ModuleCallEntry, ModuleCallSignature
from torch.export.graph_signature import (
    ExportGraphSignature,
    InputKind,
    InputSpec,
    OutputKind,
    OutputSpec,
    TensorArgument,
)
from torch.utils._sympy.interp import sympy_interp
from torch.utils._sympy.reference import PythonReferenceAnalysis

from torchtrt_ws.errors import ProgramError

if TYPE_CHECKING:
    from torchtrt_ws.export.graph.interface import Interface

__all__ = [
    "Call",
    "add_call",
    "declared",
    "declared_call",
    "dimensions",
    "engine_program",
    "symbols_from",
    "token_of",
]

_OPERATOR = "torchtrt_ws::engine"
_library = torch.library.Library("torchtrt_ws", "FRAGMENT")  # type: ignore[no-untyped-call]
_library.define("engine(Tensor[] inputs, str token) -> Tensor[]")  # type: ignore[no-untyped-call]

_tokens = itertools.count()
_calls: dict[str, Call] = {}  # by token, while `declared_call` is open

Dimension: TypeAlias = Any  # an int, or a sympy.Expr; sympy has no types


class Call(Protocol):
    """What an engine call gives, for shapes only."""

    def run(self, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Outputs of the right shape and dtype, for fake tensors."""


@dataclass(frozen=True)
class _Call:
    """Shapes of one engine call as expressions in the symbols of its input shapes."""

    inputs: tuple[tuple[Dimension, ...], ...]
    outputs: tuple[tuple[Dimension, ...], ...]
    dtypes: tuple[torch.dtype, ...]

    def run(self, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Outputs of the right shape and dtype, for fake tensors."""
        known: dict[Any, Any] = {}
        for shape, tensor in zip(self.inputs, tensors, strict=True):
            for expected, actual in zip(shape, tensor.shape, strict=True):
                known[expected] = actual
                for symbol, (scale, offset) in symbols_from(expected).items():
                    known.setdefault(symbol, (actual - offset) // scale)
        return [
            tensors[0].new_empty([_evaluate(dimension, known) for dimension in shape], dtype=dtype)
            for shape, dtype in zip(self.outputs, self.dtypes, strict=True)
        ]


@torch.library.register_fake(_OPERATOR)  # type: ignore[untyped-decorator]
def _fake(inputs: Sequence[torch.Tensor], token: str) -> list[torch.Tensor]:
    return _calls[token].run(inputs)


@contextmanager
def declared(name: str, interface: Interface) -> Iterator[str]:
    """Declares a call of an engine; it can be traced while this is open.

    Args:
        name: The engine's name; errors name it.
        interface: The engine's inputs and outputs.

    Returns:
        The call's token.

    Raises:
        ProgramError: An output dimension that cannot be computed from the input shapes.
    """
    call = _Call(
        tuple(dimensions(value) for value in interface.input_values),
        tuple(dimensions(value) for value in interface.output_values),
        tuple(value.dtype for value in interface.output_values),
    )
    _check_computable(name, call, interface)
    with declared_call(name, call) as token:
        yield token


@contextmanager
def declared_call(name: str, call: Call) -> Iterator[str]:
    """Declares a call of an engine, for a source that computes output shapes in its own way.

    Args:
        name: The engine's name.
        call: Computes the outputs.

    Returns:
        The call's token; it can be traced while this is open.
    """
    token = f"{name}#{next(_tokens)}"
    _calls[token] = call
    try:
        yield token
    finally:
        del _calls[token]


def token_of(node: torch.fx.Node) -> str | None:
    """The token of an engine call, in ATen or edge dialect; None for any other node."""
    if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
        schema = getattr(node.target, "_schema", None)  # an EdgeOpOverload wraps the operator
    else:
        schema = node.target._schema
    if schema is None or schema.name != _OPERATOR:
        return None
    token = node.args[1]
    assert isinstance(token, str)
    return token


def engine_program(token: str, program: ExportedProgram, interface: Interface) -> ExportedProgram:
    """The method as one engine call. It holds no weights: they are in the engine.

    Args:
        token: Of a call declared with the same interface.
        program: The method.
        interface: Its inputs and outputs.

    Returns:
        A program with the same inputs, outputs and range constraints.
    """
    graph = torch.fx.Graph()
    inputs = []
    for facts, value in zip(interface.inputs, interface.input_values, strict=True):
        inputs.append(graph.placeholder(facts.name))
        inputs[-1].meta["val"] = value
    outputs = add_call(graph, token, inputs, interface)
    graph.output(tuple(outputs))
    trees = program.module_call_graph[0].signature
    assert trees is not None, "the first entry is the method itself"
    return ExportedProgram(
        root=torch.nn.Module(),
        graph=graph,
        graph_signature=ExportGraphSignature(
            [InputSpec(InputKind.USER_INPUT, TensorArgument(node.name), None) for node in inputs],
            [OutputSpec(OutputKind.USER_OUTPUT, TensorArgument(node.name), None) for node in outputs],
        ),
        state_dict={},
        range_constraints=dict(program.range_constraints),
        # No names here: exir renames nodes but not these, and its verifier would then miss them.
        module_call_graph=[ModuleCallEntry("", ModuleCallSignature([], [], trees.in_spec, trees.out_spec))],
        constants={},
        verifiers=program.verifiers,
    )


def add_call(
    graph: torch.fx.Graph, token: str, inputs: Sequence[torch.fx.Node], interface: Interface
) -> list[torch.fx.Node]:
    """Adds an engine call to a graph.

    Args:
        graph: The graph.
        token: Of a call declared with the same interface.
        inputs: Nodes of the graph, in the order of the engine's inputs.
        interface: The engine's inputs and outputs.

    Returns:
        A node for each output of the engine.
    """
    call = graph.call_function(torch.ops.torchtrt_ws.engine.default, (list(inputs), token))
    with interface.fake_mode:
        call.meta["val"] = torch.ops.torchtrt_ws.engine.default(list(interface.input_values), token)
    outputs = []
    for index, value in enumerate(call.meta["val"]):
        outputs.append(graph.call_function(operator.getitem, (call, index)))
        outputs[-1].meta["val"] = value
    return outputs


def dimensions(value: torch.Tensor) -> tuple[Dimension, ...]:
    """The shape of a tensor of an exported program: numbers, and expressions in symbols.

    Args:
        value: A fake tensor.
    """
    return tuple(size.node.expr if isinstance(size, torch.SymInt) else int(size) for size in value.shape)


def _evaluate(dimension: Dimension, known: dict[Any, Any]) -> Any:
    """The dimension for the input shapes at hand: a number, or a SymInt while tracing."""
    if isinstance(dimension, int):
        return dimension
    if dimension in known:
        return known[dimension]
    return sympy_interp(PythonReferenceAnalysis, known, dimension)


def symbols_from(dimension: Dimension) -> dict[Any, tuple[int, int]]:
    """The symbol that an input dimension decides, with its scale and offset: torch.export derives dimensions as
    `scale * Dim + offset`, and the Dim itself may be no dimension of an input.

    Args:
        dimension: From `dimensions`.
    """
    if isinstance(dimension, int) or len(dimension.free_symbols) != 1:
        return {}
    (symbol,) = dimension.free_symbols
    scale, offset = dimension.diff(symbol), dimension.subs(symbol, 0)
    if not (scale.is_Integer and offset.is_Integer):
        return {}
    return {symbol: (int(scale), int(offset))}


def _check_computable(name: str, call: _Call, interface: Interface) -> None:
    known: set[Any] = {dimension for shape in call.inputs for dimension in shape}
    known.update(symbol for dimension in list(known) for symbol in symbols_from(dimension))
    for facts, shape in zip(interface.outputs, call.outputs, strict=True):
        for index, dimension in enumerate(shape):
            if isinstance(dimension, int) or dimension in known or dimension.free_symbols <= known:
                continue
            raise ProgramError(
                f"method {name!r}, output {facts.name!r}",
                f"dimension {index} of size {dimension}, which does not follow from the input shapes",
                "output shapes that the input shapes decide",
                "Pad the output to a fixed size, or do this step outside of the program.",
            )
