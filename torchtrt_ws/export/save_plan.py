"""`torchtrt_ws.save_plan`: TensorRT plans, from files or memory, to a .pte with a weight streaming budget."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from torchtrt_ws.atomic import check_target
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.export.by_name import by_name
from torchtrt_ws.export.engine.built_engine import BuiltEngine
from torchtrt_ws.export.file.write_program import write_program
from torchtrt_ws.export.options import SaveOptions, check_budgets, read_compile_specs
from torchtrt_ws.export.packages import require_exporter
from torchtrt_ws.export.placement import read_device
from torchtrt_ws.export.separate import separate_target
from torchtrt_ws.export.sources.plan import PlanSource, read_plan
from torchtrt_ws.export.sources.weights import WeightSource
from torchtrt_ws.export.tensor_text import TensorSpecs
from torchtrt_ws.identifiers import DEFAULT_METHOD
from torchtrt_ws.names import check_name
from torchtrt_ws.platforms import check_platform

if TYPE_CHECKING:
    from executorch.exir.backend.compile_spec_schema import CompileSpec

__all__ = ["save_plan"]


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
    state: Mapping[str, str] | Mapping[str, Mapping[str, str]] | None = None,
    device: str | None = None,
    device_io: bool = False,
    compile_specs: Sequence[CompileSpec] | None = None,
    target_platform: str | None = None,
    weights: WeightSource | Mapping[str, WeightSource] | None = None,
    weights_path: str | os.PathLike[str] | None = None,
    compute_capabilities: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
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
        outputs: The engine's outputs, likewise. A dynamic dimension has the range of an input dimension; or 0..MAX
            where its size depends on the data, or on the values of a shape tensor: memory is planned for MAX.
        name: The engine's name, for a single plan.
        methods: Method name to the names of its engines; None is one method `forward` with all of them.
        weight_streaming_budget: Bytes of weights to keep on the device, for the whole program: "auto", a number of
            bytes, "1GiB", "50%". Split over the engines by streamable size. None and "auto" bake nothing.
        weight_streaming_budget_per_engine: The same for each engine: one value, or a mapping from engine name to value.
        streamable_bytes: Bytes of weights that can be streamed, where they are known; with a mapping of plans, a
            mapping from engine name. None takes the plan's size as an estimate.
        state: Inputs that the engine keeps from call to call, such as caches, to the outputs that they become. They are
            zeros before the first call (`Program.reset_state`), of a fixed size, and no inputs and outputs of the
            method; an output that TensorRT writes into its input is never copied. With a mapping of plans, a mapping
            from engine name to that.
        device: "cuda:N" makes ExecuTorch plan the engines' inputs and outputs in that device's memory; the runtime then
            needs an allocator for it, which the TensorRT adapter registers. None is host memory, which works anywhere.
        device_io: With `device`: the method's inputs and outputs are on the device as well, and the caller provides
            both.
        compile_specs: Further ExecuTorch compile specs for each engine's delegate.
        target_platform: What the plans were built for, which loads elsewhere refuse: "linux_x86_64", "linux_aarch64",
            "windows_x86_64" (`IBuilderConfig::setRuntimePlatform(kWINDOWS_AMD64)`), "windows_arm64", or "unknown" for
            no such check. None is this machine's.
        weights: The weights of a plan that was built without them (`STRIP_PLAN` with `REFIT_IDENTICAL`), under the
            names that `IRefitter` asks for: a mapping from name to a numpy array or torch tensor, a torch module, or
            the path of a .safetensors or .onnx file. They go into a file of their own, each once; the program names
            that file and the SHA-256 of each weight. A mapping must have what the plan misses and nothing else. Without
            a GPU and TensorRT nobody can ask the plan: all that is given is then taken to be missing, which a log line
            says and loading checks. With a mapping of plans, a mapping from engine name to that; plans without an entry
            have their weights.
        weights_path: Where they go; None is "model.ptd" beside "model.pte", which `load` finds.
        compute_capabilities: The GPUs that a plan was built for, such as ["9.0"], which `combine` goes by; with a
            mapping of plans, a mapping from engine name to that. None reads them from the plan, where it tells, and
            else records none: whoever loads it then asks TensorRT.

    Raises:
        BudgetError: A malformed budget, both budget keywords at once, an unknown engine name, or a budget in
            `compile_specs`.
        ProgramError: Something that is no plan, a plan that is truncated, tensors that do not fit, another word for
            `target_platform`, or a path that cannot be written; weights that are not those that a plan misses.
        EngineError: Inputs and outputs are to be read from the engine, and TensorRT cannot; a plan without its weights,
            and none are given; or PyTorch, or what reads the weights, is not installed.
    """
    require_exporter()
    target = check_target(path)
    placement = read_device(device, device_io)
    specs = read_compile_specs(compile_specs)
    platform = check_platform(target_platform)
    given = dict(plans) if isinstance(plans, Mapping) else {name: plans}
    if not given:
        raise ProgramError("plans", "an empty mapping", "at least one plan", "Give a plan.")
    for each in given:
        check_name("engine name", each)
    check_budgets(weight_streaming_budget, weight_streaming_budget_per_engine, list(given))
    several = isinstance(plans, Mapping)
    states = by_name("engine", given, several, "state", state) if several else {name: state}
    sources = by_name("engine", given, several, "weights", weights) if several else {name: weights}
    separate = any(each is not None for each in sources.values())
    if not separate and weights_path is not None:
        raise ProgramError("weights_path", repr(weights_path), "weights= beside it", "Give both, or neither.")
    weights_file = separate_target(target, weights_path) if separate else None
    sizes, all_inputs, all_outputs, capabilities = (
        by_name("engine", given, several or isinstance(value, Mapping), keyword, value)
        for keyword, value in (
            ("streamable_bytes", streamable_bytes),
            ("inputs", inputs),
            ("outputs", outputs),
            ("compute_capabilities", compute_capabilities),
        )
    )
    engines = {
        each: read_plan(
            each,
            plan,
            all_inputs.get(each),
            all_outputs.get(each),
            sizes.get(each),
            placement.device_id,
            target,
            platform,
            states.get(each),
            sources.get(each),
            capabilities.get(each),
        )
        for each, plan in given.items()
    }
    by_method = _methods(methods, engines)

    from torchtrt_ws.export.graph import plan_method  # not at the top: it imports torch

    with ExitStack() as stack:
        lowered = {method: stack.enter_context(plan_method.calls(method, each)) for method, each in by_method.items()}
        options = SaveOptions(
            weight_streaming_budget,
            weight_streaming_budget_per_engine,
            specs,
            placement,
            weights_file=weights_file,
        )
        write_program(target, lowered, options)


def _methods(
    methods: Mapping[str, Sequence[str]] | None, engines: Mapping[str, BuiltEngine]
) -> dict[str, dict[str, BuiltEngine]]:
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
