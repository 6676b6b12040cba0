"""The source of engines that are plans: in a file or in memory, built by whatever builds plans."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from torchtrt_ws.blob import Buffer, OptimizationProfile, is_compute_capability
from torchtrt_ws.errors import EngineError, ProgramError
from torchtrt_ws.export.engine.built_engine import BuiltEngine
from torchtrt_ws.export.engine.payload import BufferPayload, FilePayload
from torchtrt_ws.export.engine.weight import Weight
from torchtrt_ws.export.sources.plan_state import take_state
from torchtrt_ws.export.sources.weights import WeightSource, taken
from torchtrt_ws.export.tensor_text import TensorSpecs, parse_tensors
from torchtrt_ws.identifiers import TENSORRT
from torchtrt_ws.plan_header import check_plan, compute_capabilities_of

__all__ = ["PlanSource", "read_plan"]

PlanSource: TypeAlias = "str | os.PathLike[str] | Buffer"


def read_plan(
    name: str,
    plan: PlanSource,
    inputs: TensorSpecs | None,
    outputs: TensorSpecs | None,
    streamable_bytes: int | None,
    device_id: int,
    target: Path,
    target_platform: str,
    state: Any = None,
    weights: WeightSource | None = None,
    compute_capabilities: Sequence[str] | None = None,
) -> BuiltEngine:
    """Reads a plan as an engine.

    Args:
        name: The engine's name.
        plan: The plan's path, or its bytes.
        inputs: As `torchtrt_ws.save_plan` takes them for one engine; None, with `outputs`, asks TensorRT.
        outputs: Likewise.
        streamable_bytes: Bytes of weights that can be streamed; None: the plan's size, as an estimate.
        device_id: What the blob says.
        target: The file that will be written, which cannot be the plan.
        target_platform: What the blob says.
        state: As `torchtrt_ws.save_plan` takes it for one engine.
        weights: Likewise; None for a plan that has its weights.
        compute_capabilities: Likewise; None reads them from the plan, where it tells.

    Returns:
        The engine. Its plan stays where it is.

    Raises:
        ProgramError: No plan, a truncated one, the target itself, or tensors that cannot be; weights that are not those
            that the plan misses.
        EngineError: TensorRT is to be asked, and cannot answer; a plan without its weights, and none are given; or a
            package that reads them is not installed.
    """
    subject = f"engine {name!r}"
    payload = _payload(subject, plan, target)
    builder = check_plan(subject, payload.head, payload.size)
    if compute_capabilities is None:
        capabilities = compute_capabilities_of(payload.head)
    else:
        capabilities = check_capabilities(subject, compute_capabilities)
    if (inputs is None) != (outputs is None):
        missing = "outputs" if outputs is None else "inputs"
        raise ProgramError(f"{subject}, {missing}", "none", "both inputs and outputs, or neither", f"Give {missing}.")
    measured = None
    profiles: tuple[OptimizationProfile, ...] = ()
    if inputs is None or outputs is None:
        facts = _from_engine(subject, payload, weights is not None)
        taken, given, measured = facts.inputs, facts.outputs, facts.streamable_bytes
        profiles = facts.optimization_profiles
    else:
        taken, given = parse_tensors(inputs, "inputs"), parse_tensors(outputs, "outputs")
    separate = () if weights is None else _separate(subject, payload, weights)
    most = payload.size + sum(each.payload.size for each in separate)
    if streamable_bytes is not None:
        measured = _check_size(subject, streamable_bytes, most)
    kept = take_state(f"{subject}, state", state, taken, given)
    names = {name for each in kept for name in (each.input, each.output)}
    return BuiltEngine(
        name=name,
        kind=TENSORRT,
        builder=builder,
        payload=payload,
        inputs=tuple(tensor for tensor in taken if tensor.name not in names),
        outputs=tuple(tensor for tensor in given if tensor.name not in names),
        streamable_bytes=most if measured is None else measured,
        streamable_estimated=measured is None,  # nearly all of a plan is weights
        device_id=device_id,
        target_platform=target_platform,
        optimization_profiles=tuple(tuple(each for each in profile if each.name not in names) for profile in profiles),
        keeps_state=bool(kept),
        state=kept,
        weights=separate,
        compute_capabilities=capabilities,
    )


def check_capabilities(subject: str, given: Sequence[str]) -> tuple[str, ...]:
    """Reads the keyword `compute_capabilities` of `save_plan`.

    Args:
        subject: The engine, for the error.
        given: Such as ["8.9"].

    Returns:
        The same, each once.

    Raises:
        ProgramError: Something else.
    """
    listed = [] if isinstance(given, str) else list(given)
    if not listed or not all(isinstance(each, str) and is_compute_capability(each) for each in listed):
        raise ProgramError(
            f"{subject}, compute_capabilities",
            repr(given),
            'a list of those that the plan was built for, such as ["8.9"]',
            "Leave it out for a plan that is not bound to some GPUs.",
        )
    return tuple(dict.fromkeys(listed))


def _separate(subject: str, payload: BufferPayload | FilePayload, source: WeightSource) -> tuple[Weight, ...]:
    from torchtrt_ws.export.sources import plan_facts

    try:
        missing = plan_facts.read_missing(subject, payload)
    except plan_facts.CannotAskError as error:
        return taken(subject, source, None, str(error.found))
    return taken(subject, source, missing)


def _from_engine(subject: str, payload: BufferPayload | FilePayload, stripped: bool) -> Any:
    from torchtrt_ws.export.sources import plan_facts  # not at the top: few plans are asked

    try:
        return plan_facts.read(subject, payload, stripped)
    except EngineError as error:
        raise EngineError(
            error.subject, error.found, error.expected, 'Or give inputs and outputs: "x:float16:16x4096".'
        ) from error


def _payload(subject: str, plan: PlanSource, target: Path) -> BufferPayload | FilePayload:
    if isinstance(plan, str | os.PathLike):
        if target.exists() and os.path.exists(plan) and os.path.samefile(plan, target):
            raise ProgramError(str(target), "the plan itself", "another file to write", "Give another path.")
        return FilePayload(plan)
    try:
        return BufferPayload(plan)
    except TypeError:
        found = f"a {type(plan).__name__}"
    raise ProgramError(subject, found, "a path, or a C-contiguous buffer", "Give the plan's path or bytes.")


def _check_size(subject: str, value: Any, plan_size: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= plan_size:
        raise ProgramError(
            f"{subject}, streamable_bytes",
            repr(value),
            f"bytes, from 0 to the plan's {plan_size}",
            "ICudaEngine::streamable_weights_size says how many; leave it out if you do not know.",
        )
    return value
