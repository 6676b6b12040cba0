"""`torchtrt_ws.save_plan`: TensorRT plans, from files or memory, to a .pte with a weight streaming budget."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeAlias

from torchtrt_ws import budget
from torchtrt_ws.blob import Buffer
from torchtrt_ws.errors import EngineError, ProgramError
from torchtrt_ws.export.device import Placement, read_device
from torchtrt_ws.export.engine_source import DEFAULT_METHOD, Engine
from torchtrt_ws.export.finish import Options, check_budgets, finish, read_compile_specs
from torchtrt_ws.export.payload import BufferPayload, FilePayload
from torchtrt_ws.export.tensor_spec import TensorSpecs, parse_tensors
from torchtrt_ws.export.write import check_target

if TYPE_CHECKING:
    from pathlib import Path

    from executorch.exir.backend.compile_spec_schema import CompileSpec

__all__ = ["KIND", "PlanSource", "check_plan", "save_plan"]

KIND = "tensorrt"

PlanSource: TypeAlias = "str | os.PathLike[str] | Buffer"

_RTX_MAGIC = b"vtrt"
_RTX_HEADER = struct.Struct("<4s12xQ4B")  # u64 size of the plan at 16, version at 24 (seen, 1.4 to 1.7)
_HOST_MAGIC = b"ET12"  # of an ExecuTorch program, at byte 4


def save_plan(
    plans: PlanSource | Mapping[str, PlanSource],
    path: str | os.PathLike[str],
    *,
    inputs: TensorSpecs | Mapping[str, TensorSpecs] | None = None,
    outputs: TensorSpecs | Mapping[str, TensorSpecs] | None = None,
    name: str = DEFAULT_METHOD,
    methods: Mapping[str, Sequence[str]] | None = None,
    weight_streaming_budget: int | str | None = None,
    weight_streaming_budget_per_engine: int | str | Mapping[str, int | str | None] | None = None,
    streamable_bytes: int | Mapping[str, int] | None = None,
    device: str | None = None,
    device_io: bool = False,
    compile_specs: Sequence[CompileSpec] | None = None,
) -> None:
    """Saves TensorRT or TensorRT-RTX plans as an ExecuTorch program.

    Plans are not loaded, and not copied in memory: a plan of any size is streamed from where it is. The file is written
    beside `path` and renamed: a save that fails leaves the old file as it was.

    One plan is the engine of the method `forward`. Several plans are wired by tensor names: an output and an input of
    the same name are one tensor, inputs of the same name too. What no plan gives is an input of the method, what no
    plan takes is an output.

    Args:
        plans: A plan's path, or its bytes; or a mapping from engine name (1 to 39 of A-Z a-z 0-9 _ . -) to one.
        path: The .pte to write.
        inputs: The engine's inputs, with the engine's names, in the order the method takes them: "x:float16:16x4096",
            "x:float16:1..8x4096" for a dynamic dimension, or `torchtrt_ws.blob.TensorFacts`; one, or a list. With a
            mapping of plans: a mapping from engine name to that. None reads inputs and outputs from the engine, which
            needs a GPU and TensorRT.
        outputs: The engine's outputs, likewise. A dynamic dimension has the range of an input dimension.
        name: The engine's name, for a single plan.
        methods: Method name to the names of its engines; None is one method `forward` with all of them.
        weight_streaming_budget: Bytes of weights to keep on the device, for the whole program: "auto", a number of
            bytes, "1GiB", "50%". Split over the engines by streamable size. None and "auto" bake nothing.
        weight_streaming_budget_per_engine: The same for each engine: one value, or a mapping from engine name to value.
        streamable_bytes: Bytes of weights that can be streamed, where they are known; with a mapping of plans, a
            mapping from engine name. None takes the plan's size as an estimate.
        device: "cuda:N" makes ExecuTorch plan the engines' inputs and outputs in that device's memory; the runtime then
            needs an allocator for it, which the TensorRT adapter registers. None is host memory, which works anywhere.
        device_io: With `device`: the method's inputs and outputs are on the device as well, and the caller provides
            both.
        compile_specs: Further ExecuTorch compile specs for each engine's delegate.

    Raises:
        BudgetError: A malformed budget, both budget keywords at once, an unknown engine name, or a budget in
            `compile_specs`.
        ProgramError: Something that is no plan, a plan that is truncated, tensors that do not fit, or a path that
            cannot be written.
        EngineError: Inputs and outputs are to be read from the engine, and TensorRT cannot; or a plan without its
            weights.
    """
    target = check_target(path)
    placement = read_device(device, device_io)
    specs = read_compile_specs(compile_specs)
    given = dict(plans) if isinstance(plans, Mapping) else {name: plans}
    _check_names(given)
    check_budgets(weight_streaming_budget, weight_streaming_budget_per_engine, list(given))
    several = isinstance(plans, Mapping)
    sizes = _by_engine("streamable_bytes", streamable_bytes, given, several)
    all_inputs = _by_engine("inputs", inputs, given, several)
    all_outputs = _by_engine("outputs", outputs, given, several)
    engines = {
        each: _read(each, plan, all_inputs.get(each), all_outputs.get(each), sizes.get(each), placement, target)
        for each, plan in given.items()
    }
    by_method = _methods(methods, engines)

    from torchtrt_ws.export import plan_method  # not at the top: it imports torch

    with ExitStack() as stack:
        lowered = {method: stack.enter_context(plan_method.calls(method, each)) for method, each in by_method.items()}
        options = Options(weight_streaming_budget, weight_streaming_budget_per_engine, specs, placement)
        finish(target, lowered, options)


def check_plan(subject: str, head: bytes, size: int) -> str:
    """Refuses what cannot be a plan.

    Args:
        subject: What an error names.
        head: The first 32 bytes, or all if there are fewer.
        size: Bytes of the plan.

    Returns:
        What built it, with its version where the plan says it.

    Raises:
        ProgramError: Nothing, an ExecuTorch program, or a TensorRT-RTX plan that is truncated.
    """
    if size == 0:
        raise ProgramError(subject, "0 bytes", "a TensorRT plan", "Give the plan's path or bytes.")
    if head[4:8] == _HOST_MAGIC:
        raise ProgramError(subject, "an ExecuTorch program", "a TensorRT plan", "Give the plan it was made from.")
    if not head.startswith(_RTX_MAGIC):
        return "tensorrt"  # its header is not documented
    declared, *version = _RTX_HEADER.unpack_from(head)[1:] if len(head) >= _RTX_HEADER.size else (size + 1,)
    if declared > size:
        found = f"{size} bytes of a TensorRT-RTX plan"
        expected = f"the {declared} bytes that its header says" if version else "at least its header"
        raise ProgramError(subject, found, expected, "The plan is truncated: copy or build it again.")
    return "tensorrt-rtx " + ".".join(map(str, version))


def _check_names(plans: Mapping[Any, PlanSource]) -> None:
    if not plans:
        raise ProgramError("plans", "an empty mapping", "at least one plan", "Give a plan.")
    for name in plans:
        if not budget.is_engine_name(name):
            raise ProgramError("engine name", repr(name), "1 to 39 of A-Z a-z 0-9 _ . -", "Rename it.")


def _by_engine(keyword: str, value: Any, plans: Mapping[str, Any], several: bool) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not several and not isinstance(value, Mapping):
        return dict.fromkeys(plans, value)
    names = ", ".join(repr(name) for name in plans)
    if not isinstance(value, Mapping):
        found = f"a {type(value).__name__}"
        raise ProgramError(keyword, found, f"a mapping with the keys {names}", "Give one value for each engine.")
    unknown = [name for name in value if name not in plans]
    if unknown:
        found = "no engine named " + ", ".join(repr(name) for name in unknown)
        raise ProgramError(keyword, found, f"engines of this program ({names})", "Correct the name.")
    return value


def _read(
    name: str,
    plan: PlanSource,
    inputs: TensorSpecs | None,
    outputs: TensorSpecs | None,
    streamable_bytes: int | None,
    placement: Placement,
    target: Path,
) -> Engine:
    subject = f"engine {name!r}"
    payload = _payload(subject, plan, target)
    builder = check_plan(subject, payload.head, payload.size)
    if (inputs is None) != (outputs is None):
        missing = "outputs" if outputs is None else "inputs"
        raise ProgramError(f"{subject}, {missing}", "none", "both inputs and outputs, or neither", f"Give {missing}.")
    measured = None
    if inputs is None or outputs is None:
        facts = _from_engine(subject, payload)
        taken, given, measured = facts.inputs, facts.outputs, facts.streamable_bytes
    else:
        taken, given = parse_tensors(inputs, "inputs"), parse_tensors(outputs, "outputs")
    if streamable_bytes is not None:
        measured = _check_size(subject, streamable_bytes, payload.size)
    return Engine(
        name=name,
        kind=KIND,
        builder=builder,
        payload=payload,
        inputs=taken,
        outputs=given,
        streamable_bytes=payload.size if measured is None else measured,
        streamable_estimated=measured is None,  # nearly all of a plan is weights
        device_id=placement.device_id,
    )


def _from_engine(subject: str, payload: BufferPayload | FilePayload) -> Any:
    from torchtrt_ws.export import plan_facts

    try:
        return plan_facts.read(subject, payload)
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


def _methods(
    methods: Mapping[str, Sequence[str]] | None, engines: Mapping[str, Engine]
) -> dict[str, dict[str, Engine]]:
    if methods is None:
        return {DEFAULT_METHOD: dict(engines)}
    listed = [name for names in methods.values() for name in names]
    if any(isinstance(names, str) for names in methods.values()) or sorted(listed) != sorted(engines):
        raise ProgramError(
            "methods",
            repr({method: names if isinstance(names, str) else list(names) for method, names in methods.items()}),
            "method names, each with a list of engines; every engine once: " + ", ".join(map(repr, engines)),
            'Write methods={"encode": ["encoder"], "decode": ["decoder"]}.',
        )
    return {method: {name: engines[name] for name in names} for method, names in methods.items()}
