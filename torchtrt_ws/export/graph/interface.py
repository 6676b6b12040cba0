"""The inputs and outputs of an exported method, as an engine needs them: tensors, named, with bounds."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind, TensorArgument
from torch.utils import _pytree as pytree
from torch.utils._sympy.numbers import int_oo
from torch.utils._sympy.value_ranges import bound_sympy

from torchtrt_ws.blob import TensorFacts
from torchtrt_ws.dtypes import ENGINE_DTYPES
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.export.graph.functional import make_functional

if TYPE_CHECKING:
    from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
    from torch.export import ExportedProgram

__all__ = ["DTYPES", "Interface", "method_names", "read_interface", "tensor_facts", "unique_names"]

DTYPES = {getattr(torch, name): name for name in ENGINE_DTYPES}


@dataclass(frozen=True)
class Interface:
    """A method's tensors in calling order, and the values exir knows them by."""

    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    input_values: tuple[FakeTensor, ...]
    output_values: tuple[FakeTensor, ...]
    changed_buffers: tuple[str, ...] = ()  # by their names in the module: state that the next call sees

    def without(self, names: Collection[str]) -> Interface:
        """The same, but for some tensors.

        Args:
            names: Of inputs and outputs that are left out.
        """
        takes, gives = (
            [index for index, tensor in enumerate(side) if tensor.name not in names]
            for side in (self.inputs, self.outputs)
        )
        return Interface(
            tuple(self.inputs[index] for index in takes),
            tuple(self.outputs[index] for index in gives),
            tuple(self.input_values[index] for index in takes),
            tuple(self.output_values[index] for index in gives),
            self.changed_buffers,
        )

    @property
    def fake_mode(self) -> FakeTensorMode:
        """The mode that made the values."""
        return self.input_values[0].fake_mode


def read_interface(method: str, program: ExportedProgram, functional: ExportedProgram | None = None) -> Interface:
    """Reads a method's inputs and outputs, and refuses what an engine cannot have.

    Args:
        method: Its name, for errors.
        program: The method.
        functional: Its functional form (`make_functional`); None: not known yet.

    Returns:
        Names, dtypes, shapes and bounds. Nested arguments and results are flat here, in pytree order.

    Raises:
        ProgramError: An input or output that is not a tensor, an input that a call changes, a dtype no engine has, a
            dimension without an upper bound, or no input or output at all.
    """
    # In-place operators are fine on temporaries. Only the functional form of the graph says what they reach.
    changed = _changed_buffers(method, make_functional(program) if functional is None else functional)
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    inputs = _input_names(method, program)
    sources = _output_sources(method, program)
    outputs = unique_names(_output_names(program, len(sources)), taken=inputs)
    for what, names in (("input", inputs), ("output", outputs)):
        if not names:
            raise ProgramError(
                f"method {method!r}",
                f"no {what} tensors",
                f"at least one {what} tensor",
                "An engine computes tensors from tensors: give the method some.",
            )
    ranges = program.range_constraints
    return Interface(
        tuple(tensor_facts(f"method {method!r}, input {name!r}", name, values[name], ranges) for name in inputs),
        tuple(
            tensor_facts(f"method {method!r}, output {name!r}", name, values[source], ranges)
            for name, source in zip(outputs, sources, strict=True)
        ),
        tuple(values[name] for name in inputs),
        tuple(values[source] for source in sources),
        tuple(changed),
    )


def method_names(program: ExportedProgram) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What people call the inputs and outputs of a method, whatever they are.

    Args:
        program: The method.

    Returns:
        Names of the inputs in calling order, and of the outputs, unique on each side; none where the program does not
        tell.
    """
    if program.module_call_graph[0].signature is None:
        return (), ()
    specs = program.graph_signature.input_specs
    inputs = [getattr(spec.arg, "name", "input") for spec in specs if spec.kind is InputKind.USER_INPUT]
    given = sum(spec.kind is OutputKind.USER_OUTPUT for spec in program.graph_signature.output_specs)
    return tuple(unique_names(inputs)), tuple(unique_names(_output_names(program, given)))


def _input_names(method: str, program: ExportedProgram) -> list[str]:
    names = []
    for spec in program.graph_signature.input_specs:
        if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR):
            continue
        if spec.kind is InputKind.USER_INPUT and isinstance(spec.arg, TensorArgument):
            names.append(spec.arg.name)
            continue
        found = f"{spec.arg.value!r}" if isinstance(spec.arg, ConstantArgument) else type(spec.arg).__name__
        raise ProgramError(
            f"method {method!r}, input {getattr(spec.arg, 'name', '?')!r}",
            f"{found}, which is not a tensor",
            "tensors only: torch.export freezes every other value into the graph",
            "Pass a tensor, or fix the value in a small module around this one.",
        )
    return names


def _changed_buffers(method: str, program: ExportedProgram) -> list[str]:
    """The buffers that a call of a functional method changes. Refuses those that change anything else."""
    changed = []
    for spec in program.graph_signature.output_specs:
        if spec.kind is OutputKind.BUFFER_MUTATION and spec.target is not None:
            changed.append(spec.target)
        elif spec.kind is not OutputKind.USER_OUTPUT:
            raise _has_effect(method, spec.target or str(spec.arg), spec.kind)
    return changed


def _has_effect(method: str, what: str, kind: OutputKind) -> ProgramError:
    return ProgramError(
        f"method {method!r}",
        f"{what!r}, which a call changes ({kind.name.lower().replace('_', ' ')})",
        "a method that changes nothing but its buffers",
        "Return what it becomes.",
    )


def _output_sources(method: str, program: ExportedProgram) -> list[str]:
    """Names of the nodes that are returned, in order; one may come twice."""
    signature = program.graph_signature
    weights = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    shared = {node.name for node in program.graph.nodes if len(node.users) > 1}  # with the output node, and another
    sources = []
    returned = [spec for spec in signature.output_specs if spec.kind is OutputKind.USER_OUTPUT]
    for index, spec in enumerate(returned):
        if not isinstance(spec.arg, TensorArgument):
            value = spec.arg.value if isinstance(spec.arg, ConstantArgument) else type(spec.arg).__name__
            raise ProgramError(
                f"method {method!r}, output {index}",
                f"{value!r}, which is not a tensor",
                "tensors only",
                "Return tensors; wrap the module in one that leaves the rest out.",
            )
        if spec.arg.name in weights and spec.arg.name in shared:  # exir cannot lower it (1.5.1): it names no weight
            raise ProgramError(
                f"method {method!r}, output {index}",
                f"the weight {weights[spec.arg.name]!r} itself",
                "tensors that the method computes, or constants that it only returns",
                "Leave it out, and read it from the module.",
            )
        sources.append(spec.arg.name)
    return sources


def _output_names(program: ExportedProgram, count: int) -> list[str]:
    """Names from the structure of the result: "output", "output_1", or the keys of a dict."""
    signature = program.module_call_graph[0].signature
    assert signature is not None, "the first entry is the method itself"
    tree = pytree.tree_unflatten(range(count), signature.out_spec)
    names = []
    for path, _ in pytree.tree_flatten_with_path(tree)[0]:
        parts = [str(getattr(key, "key", getattr(key, "idx", getattr(key, "name", "")))) for key in path]
        named = parts and not parts[0].isdigit()
        names.append("_".join(parts if named else ["output", *parts]))
    return names


def unique_names(names: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """Tensor names are unique in an engine, inputs and outputs together.

    Args:
        names: Names, of which some may be equal.
        taken: Names that none of them may have.

    Returns:
        The same, with "_2", "_3", ... behind those that were there before.
    """
    seen = set(taken)
    unique = []
    for name in names:
        candidate, count = name, 1
        while candidate in seen:
            count += 1
            candidate = f"{name}_{count}"
        seen.add(candidate)
        unique.append(candidate)
    return unique


def tensor_facts(subject: str, name: str, value: Any, ranges: dict[Any, Any]) -> TensorFacts:
    """Describes a tensor of an exported program.

    Args:
        subject: What an error names.
        name: The tensor's name.
        value: Its fake tensor.
        ranges: The program's range constraints.

    Returns:
        Name, dtype, shape and bounds.

    Raises:
        ProgramError: A dtype no engine has, a tensor that is not dense, or a dimension without an upper bound.
    """
    if value.dtype not in DTYPES:
        raise ProgramError(subject, f"dtype {value.dtype}", ", ".join(DTYPES.values()), "Convert it in the module.")
    if value.layout is not torch.strided:
        raise ProgramError(subject, f"layout {value.layout}", "a dense tensor", "Call .to_dense() first.")
    shape, smallest, largest = [], [], []
    for index, size in enumerate(value.shape):
        low, high = _bounds(f"{subject}, dimension {index}", size, ranges)
        shape.append(low if low == high else -1)
        smallest.append(low)
        largest.append(high)
    return TensorFacts(name, DTYPES[value.dtype], tuple(shape), tuple(smallest), tuple(largest))


def _bounds(subject: str, size: int | torch.SymInt, ranges: dict[Any, Any]) -> tuple[int, int]:
    if not isinstance(size, torch.SymInt):
        return int(size), int(size)
    bound = bound_sympy(size.node.expr, ranges)
    if bound.upper == int_oo or not bound.upper.is_number:
        raise ProgramError(
            subject,
            "no upper bound",
            "a bound for every dynamic dimension: memory is planned when the program is saved",
            'Give one, as in dynamic_shapes={"x": {0: torch.export.Dim("batch", min=1, max=8)}}.',
        )
    return max(int(bound.lower), 0), int(bound.upper)
