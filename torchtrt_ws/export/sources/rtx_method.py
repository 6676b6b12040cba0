"""A method as TensorRT-RTX engines: one, or what streaming suits better (`export/streaming`)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from torch.export import ExportedProgram

from torchtrt_ws.blob import StreamingFacts, WeightSize
from torchtrt_ws.dtypes import TO_TENSORRT
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.export.engine.built_engine import LoweredMethod
from torchtrt_ws.export.graph import engine_call
from torchtrt_ws.export.graph.functional import make_functional
from torchtrt_ws.export.graph.interface import Interface, read_interface
from torchtrt_ws.export.graph.methods import Method
from torchtrt_ws.export.graph.part_profiles import part_profiles
from torchtrt_ws.export.graph.quantized_weights import for_tensorrt, quantized_activation
from torchtrt_ws.export.graph.split_method import Declared, SplitMethod, split_method
from torchtrt_ws.export.graph.state import State, StatefulMethod, lift_state, state_names
from torchtrt_ws.export.graph.subprogram import CannotCutError
from torchtrt_ws.export.graph.weight_uses import WeightUses, read_uses
from torchtrt_ws.export.sources import tensorrt_rtx
from torchtrt_ws.export.streaming.choice import Choice, Weight, choose, fused, scratch
from torchtrt_ws.export.streaming.names import head_name
from torchtrt_ws.export.streaming.options import StreamingOptions

__all__ = ["PlannedEngine", "PlannedMethod", "build", "plan_method"]

_LOG = logging.getLogger(__name__)
_LARGEST = 8  # weights of each engine that are recorded


@dataclass(frozen=True)
class PlannedEngine:
    """An engine that is to be built.

    Args:
        name: Its name.
        program: What it computes.
        call: Its call, which is declared.
        facts: What it records.
        interface: What it takes and gives; its state is no part of the call.
        states: The buffers that it keeps, among these.
    """

    name: str
    program: ExportedProgram
    call: Declared
    facts: StreamingFacts
    interface: Interface
    states: tuple[State, ...] = ()


@dataclass(frozen=True)
class PlannedMethod:
    """A method, and the engines that it is to have. Nothing is built yet.

    Args:
        method: The method.
        interface: Its inputs and outputs.
        split: Its parts; None for one engine that is all of it.
        engines: Its engines, each behind those it takes from.
    """

    method: Method
    interface: Interface
    split: SplitMethod | None
    engines: tuple[PlannedEngine, ...]


def plan_method(
    name: str,
    method: Method,
    options: StreamingOptions,
    device_io: bool,
    stack: ExitStack,
    keep_quantized: bool = True,
) -> PlannedMethod:
    """Decides what a method's engines are, and declares their calls. Costs no build.

    Args:
        name: The method's name.
        method: The method; not modified.
        options: What may be done for streaming.
        device_io: True if the method's inputs are on the device, where the CPU cannot use them as indices.
        stack: The calls can be traced until it is closed.
        keep_quantized: Whether weights of integers stay so where TensorRT has products with them.

    Returns:
        The plan. Each step, and why a large weight stays where it is, is logged at info.

    Raises:
        ProgramError: Inputs or outputs that an engine cannot have; or activations that are quantized.
    """
    method = replace(method, program=_quantized(name, method.program, keep_quantized))
    functional = make_functional(method.program)
    interface = read_interface(name, method.program, functional)
    stateful = lift_state(name, functional)
    program = stateful.program
    uses = read_uses(program)
    weights = uses.weights
    if device_io:
        why = "the method's inputs are on the device (device_io)"
        weights = [replace(each, stays=each.stays or why) for each in weights]
    split, choice = _split(stateful, uses, choose(weights, options))
    facts = _facts(weights, choice)
    _say(name, facts[0])
    _say_state(name, stateful.states)
    if split is None:
        parts = [stateful.program if stateful.states else method.program]
    else:
        parts = [part.program for part in split.parts]
    engines = []
    for own_name, part, own in zip((name, head_name(name)), parts, facts, strict=False):
        takes_and_gives = read_interface(own_name, part)
        states = stateful.states if part is parts[0] else ()  # what lies behind it changes no buffer (split_method)
        of_call = takes_and_gives.without(state_names(states))
        token = stack.enter_context(engine_call.declared(own_name, of_call))
        engines.append(PlannedEngine(own_name, part, Declared(token, of_call), own, takes_and_gives, states))
    return PlannedMethod(method, interface, split, tuple(engines))


def build(
    planned: PlannedMethod,
    compute_capabilities: Sequence[str] | None = None,
    device_id: int = 0,
    folder: Path | None = None,
    separate: bool = False,
    refit: bool = False,
    use_fp32_acc: bool = True,
) -> LoweredMethod:
    """Builds the engines of a method.

    Args:
        planned: From `plan_method`; its calls are still declared.
        compute_capabilities: As for `tensorrt_rtx.build`.
        device_id: What the blobs say.
        folder: As for `tensorrt_rtx.build`.
        separate: Whether the engines are without their weights.
        refit: Whether they take other weights while they are loaded.
        use_fp32_acc: Whether products of float16 weights are summed in float32.

    Returns:
        The method, with engine calls.

    Raises:
        EngineError: As `tensorrt_rtx.build`.
        ProgramError: As `tensorrt_rtx.build`; or profiles that the method does not take.
    """
    method, split, interface = planned.method, planned.split, planned.interface
    profiles = method.profiles.bind(planned.engines[0].name, interface.inputs) if method.profiles else None
    built = {}
    for each in planned.engines:
        of_call = each.call.interface
        own = profiles if profiles is None or split is None else part_profiles(profiles, interface, of_call)
        engine = tensorrt_rtx.build(
            each.name,
            each.program,
            each.interface,
            compute_capabilities,
            device_id,
            own,
            each.states,
            folder,
            separate,
            refit,
            use_fp32_acc,
        )
        built[each.call.token] = replace(engine, streaming=each.facts)
    calls = [each.call for each in planned.engines]
    takes, gives = (tuple(each.name for each in side) for side in (interface.inputs, interface.outputs))
    if split is not None:
        return LoweredMethod(split.program(calls), built, takes, gives)
    whole = engine_call.engine_program(calls[0].token, method.program, interface)
    return LoweredMethod(whole, built, takes, gives)


def _quantized(name: str, program: ExportedProgram, keep: bool) -> ExportedProgram:
    """The method with quantized weights as TensorRT has them."""
    operator = quantized_activation(program)
    if operator is not None:
        raise ProgramError(
            f"method {name!r}",
            f"activations that are quantized too ({operator})",
            'weights that are quantized alone, for engine="tensorrt_rtx"',
            "Quantize with torchao's Int8WeightOnlyConfig or IntxWeightOnlyConfig.",
        )
    made, facts = for_tensorrt(program, keep)
    if facts.kept:
        text = "method %r: %d weights of integers stay quantized in the engine: %d bytes"
        _LOG.info(text, name, len(facts.kept), facts.kept_bytes)
    if facts.folded:
        text = "method %r: %d quantized weights are floats in the engine, such as %r: %d bytes instead of %d; "
        text += (
            "what stays as it is are weights of matrix products without zero points: int8 with a scale for each row "
            "and, in models of float16 or bfloat16, int4 with one for each row or for each group of it"
            if keep
            else "with these options TensorRT-RTX has no products with them as they are"
        )
        _LOG.warning(text, name, len(facts.folded), facts.folded[0], facts.folded_bytes, facts.quantized_bytes)
    return made


def _split(stateful: StatefulMethod, uses: WeightUses, choice: Choice) -> tuple[SplitMethod | None, Choice]:
    """The parts, and what of the choice came true: a method that cannot be cut keeps its head, then its tables."""
    if not choice.tables and choice.head is None:
        return None, choice
    names = [facts.name for facts in read_interface("whole", stateful.program).outputs]
    while choice.tables or choice.head:
        try:
            split = split_method(stateful, uses, choice.tables, choice.head, names)
            _check_parts(split)
            return split, choice
        except (CannotCutError, ProgramError) as error:
            if choice.head is not None:
                note = f"the largest weight, {choice.head!r}, stays in the engine: {error}"
                choice = replace(choice, head=None, notes=(*choice.notes, note))
            else:
                note = f"tables stay in the engine: {error}"
                choice = replace(choice, tables=(), notes=(*choice.notes, note))
    return None, choice


def _check_parts(split: SplitMethod) -> None:
    """Refuses tensors between parts that an engine cannot have."""
    for part in split.parts:
        interface = read_interface("a part", part.program)
        for tensor in (*interface.inputs, *interface.outputs):
            if tensor.dtype not in TO_TENSORRT:
                raise CannotCutError(f"{tensor.name!r} would go from part to part, and TensorRT has no {tensor.dtype}")
        with engine_call.declared("a part", interface):
            pass  # or an output's size does not follow from the inputs of the part


def _facts(weights: Sequence[Weight], choice: Choice) -> tuple[StreamingFacts, ...]:
    sizes = {each.name: each.bytes for each in weights}
    plain = scratch(fused(weights))
    units = fused(weights, without=choice.tables)
    head = None if choice.head is None else WeightSize(choice.head, sizes[choice.head])
    of_head = [unit for unit in units if unit[0] == choice.head]
    of_body = [unit for unit in units if unit[0] != choice.head]
    parts = [("whole", of_body)] if head is None else [("body", of_body), ("head", of_head)]
    return tuple(
        StreamingFacts(
            part=part,
            largest=tuple(WeightSize(*unit) for unit in own[:_LARGEST]),
            scratch_bytes=scratch(own),
            plain_scratch_bytes=plain,
            tables=tuple(WeightSize(name, sizes[name]) for name in choice.tables),
            head=head,
            notes=choice.notes,
        )
        for part, own in parts
    )


def _say_state(name: str, states: Sequence[State]) -> None:
    for state in states:
        how = "in place" if state.in_place else "by a copy: its rows are not seen to lie together"
        _LOG.info("method %r: the buffer %r stays on the device, and is updated %s", name, state.buffer, how)


def _say(name: str, facts: StreamingFacts) -> None:
    for table in facts.tables:
        text = "method %r: the table %r (%d bytes) stays on the host, which looks rows of it up before the engine runs"
        _LOG.info(text, name, table.name, table.bytes)
    if facts.head is not None:
        text = "method %r: the weight %r (%d bytes) gets an engine of its own, %r"
        _LOG.info(text, name, facts.head.name, facts.head.bytes, head_name(name))
    for note in facts.notes:
        _LOG.info("method %r: %s", name, note)
    if facts.tables or facts.head is not None:
        text = "method %r: the scratch memory for streaming is about %d bytes instead of %d"
        _LOG.info(text, name, facts.scratch_bytes, facts.plain_scratch_bytes)
