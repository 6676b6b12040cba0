"""What a program says of the tensors that its engines take and give: those that it passes to their delegates."""

from __future__ import annotations

from collections.abc import Iterator

from torchtrt_ws.blob import Metadata, TensorFacts
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.identifiers import BACKEND_ID
from torchtrt_ws.pte.flatbuffer import FlatbufferError, Table
from torchtrt_ws.pte.info import ValueInfo
from torchtrt_ws.pte.layout import I32, U8, Field
from torchtrt_ws.pte.values import value_info

__all__ = ["io_facts", "passed_values"]

_DELEGATE_CALL = 2  # in the union InstructionArguments

Facts = tuple[TensorFacts, ...]


def passed_values(root: Table) -> tuple[tuple[ValueInfo, ...] | None, ...]:
    """The arguments of the first call of each delegate of our backend, in loading order.

    Args:
        root: The program's root table.

    Returns:
        For each delegate its arguments, inputs first; None for one that is never called.

    Raises:
        FlatbufferError: A broken program.
    """
    plans = root.vector(Field.PROGRAM_EXECUTION_PLAN)
    return tuple(values for plan in map(plans.table, range(plans.count)) for values in _of_method(plan))


def _of_method(plan: Table) -> Iterator[tuple[ValueInfo, ...] | None]:
    values, delegates = plan.vector(Field.PLAN_VALUES), plan.vector(Field.PLAN_DELEGATES)
    calls: dict[int, Table] = {}
    for call in _calls(plan):
        calls.setdefault(call.integer(Field.CALL_DELEGATE_INDEX, I32), call)
    for index, delegate in enumerate(map(delegates.table, range(delegates.count))):
        if delegate.text(Field.DELEGATE_ID) != BACKEND_ID:
            continue
        if index not in calls:
            yield None
            continue
        arguments = calls[index].vector(Field.CALL_ARGS)
        yield tuple(value_info(values.table(arguments.integer(item, I32))) for item in range(arguments.count))


def _calls(plan: Table) -> Iterator[Table]:
    chains = plan.vector(Field.PLAN_CHAINS)
    for chain in map(chains.table, range(chains.count)):
        instructions = chain.vector(Field.CHAIN_INSTRUCTIONS)
        for instruction in map(instructions.table, range(instructions.count)):
            if instruction.integer(Field.INSTRUCTION_TYPE, U8) != _DELEGATE_CALL:
                continue
            call = instruction.table(Field.INSTRUCTION)
            if call is None:
                raise FlatbufferError("a delegate call without arguments")
            yield call


def io_facts(subject: str, metadata: Metadata, values: tuple[ValueInfo, ...] | None) -> tuple[Facts, Facts]:
    """Names of the engine's tensors with the dtypes and shapes of what is passed.

    Args:
        subject: What an error names: the file and the engine.
        metadata: Of the engine's blob, for the names.
        values: From `passed_values`.

    Returns:
        Inputs and outputs. The program records upper bounds only, and whether a tensor's shape varies: each dimension
        of one that does is -1, from 0 to its bound.

    Raises:
        ProgramError: Arguments that are not one tensor for each name.
    """
    bindings = [
        *filter(lambda b: b.is_input, metadata.io_bindings),
        *(b for b in metadata.io_bindings if not b.is_input),
    ]
    if values is None or len(values) != len(bindings) or any(value.shape is None for value in values):
        kinds = "no call of it" if values is None else "a call with " + (", ".join(v.type for v in values) or "nothing")
        expected = f"a call with a tensor for each of its {len(bindings)} inputs and outputs"
        raise ProgramError(subject, kinds, expected, "Save the program with torchtrt_ws.save.")
    facts = [_facts(binding.name, value) for binding, value in zip(bindings, values, strict=True)]
    inputs = sum(binding.is_input for binding in bindings)
    return tuple(facts[:inputs]), tuple(facts[inputs:])


def _facts(name: str, value: ValueInfo) -> TensorFacts:
    assert value.shape is not None and value.dtype is not None, "a tensor"
    if not value.dynamic:
        return TensorFacts(name, value.dtype, value.shape, value.shape, value.shape)
    rank = len(value.shape)
    return TensorFacts(name, value.dtype, (-1,) * rank, (0,) * rank, value.shape)
