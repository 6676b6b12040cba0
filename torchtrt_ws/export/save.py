"""`torchtrt_ws.save`: a module or an exported program to a .pte with a weight streaming budget."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchtrt_ws.atomic import check_target
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.export.engine.built_engine import LoweredMethod
from torchtrt_ws.export.file.write_program import etrecord_path, write_program
from torchtrt_ws.export.options import SaveOptions, check_budgets, read_compile_specs, read_constant_methods
from torchtrt_ws.export.packages import require_exporter
from torchtrt_ws.export.placement import HOST_MEMORY, Placement, read_device
from torchtrt_ws.export.separate import read_weights_keyword, separate_target
from torchtrt_ws.export.streaming.names import check_heads, head_name
from torchtrt_ws.export.streaming.options import StreamingOptions, read_streaming
from torchtrt_ws.identifiers import DEFAULT_METHOD, HOST

if TYPE_CHECKING:
    from executorch.exir.backend.compile_spec_schema import CompileSpec
    from executorch.exir.backend.partitioner import Partitioner

    from torchtrt_ws.export.graph.methods import Method, ModuleOrProgram

__all__ = ["save"]

ENGINES = (HOST, "tensorrt_rtx")  # what `engine=` takes


def save(
    module_or_exported_program: ModuleOrProgram | Mapping[str, ModuleOrProgram],
    path: str | os.PathLike[str],
    *,
    arg_inputs: Any = None,
    kwarg_inputs: Any = None,
    dynamic_shapes: Any = None,
    engine: str | None = None,
    compute_capabilities: Sequence[str] | None = None,
    weight_streaming_budget: int | str | None = None,
    weight_streaming_budget_per_engine: int | str | Mapping[str, int | str | None] | None = None,
    device: str | None = None,
    device_io: bool = False,
    compile_specs: Sequence[CompileSpec] | None = None,
    partitioners: Sequence[Partitioner] | None = None,
    constant_methods: Mapping[str, Any] | None = None,
    generate_etrecord: bool = False,
    streaming: bool | StreamingOptions | None = None,
    weights: str | None = None,
    weights_path: str | os.PathLike[str] | None = None,
    refit: bool = False,
    use_fp32_acc: bool | None = None,
) -> None:
    """Saves an ExecuTorch program whose methods are engines, each with its weight streaming budget.

    Each method becomes one engine, named after the method (two for a "tensorrt_rtx" engine with a giant head, see
    `streaming`). What Torch-TensorRT compiled keeps its engines, however many
    and however connected, each as a delegate of its own; XNNPACK and the portable kernels run what lies around them. A
    method's only engine is named after the method, others as Torch-TensorRT names them.

    A host engine keeps the buffers that a call changes, from call to call and across changes of budget; they begin as
    the module has them, and are each method's own. So does a "tensorrt_rtx" engine, whose buffers begin as zeros. What
    Torch-TensorRT compiled keeps no state.

    Engines that are the same bytes are in the file once, and so are the weights of host engines of methods that have at
    least half of them in common. Such engines have one budget, and count once in a total.

    The file is written beside `path` and renamed: a save that fails leaves the old file as it was. Modules are exported
    as in `eval()`.

    Args:
        module_or_exported_program: A module or exported program, which becomes the method `forward`; or a mapping from
            method name (1 to 39 of A-Z a-z 0-9 _ . -) to one. May be compiled by Torch-TensorRT 2.14.
        path: The .pte to write.
        arg_inputs: Example positional arguments of a module, a tuple. With a mapping of methods: a mapping from method
            name to that, as for the next two.
        kwarg_inputs: Example keyword arguments of a module, a mapping.
        dynamic_shapes: As `torch.export.export` takes it. Every dynamic dimension needs an upper bound. For a
            "tensorrt_rtx" engine also a list of mappings from argument name to dimensions, one for each optimization
            profile: [{"x": {0: Dim("n", min=1, max=8)}}, {"x": {0: Dim("n", min=64, max=512)}}]. Each call runs in the
            tightest one that holds its shapes, and shapes that none holds are refused. A number instead of a `Dim` is
            the only size in that profile.
        engine: The kind of engine to build: "host" runs on any CPU, "tensorrt_rtx" on NVIDIA GPUs; neither needs a GPU
            here. None is "host", and for what Torch-TensorRT compiled, the engines it has.
        compute_capabilities: The GPUs that a "tensorrt_rtx" engine is for, such as ["8.9", "9.0"]; None leaves it to
            TensorRT-RTX: all it knows. Fewer make smaller engines.
        weight_streaming_budget: Bytes of weights to keep on the device, for the whole program: "auto", a number of
            bytes, "1GiB", "50%". Split over the engines by streamable size. None and "auto" bake nothing.
        weight_streaming_budget_per_engine: The same for each engine: one value, or a mapping from engine name to value.
        device: For engines on a GPU: "cuda:N" makes ExecuTorch plan their inputs and outputs in that device's memory,
            and they run there. None is host memory, which works with any runtime; what Torch-TensorRT compiled runs on
            the device it was compiled for then.
        device_io: With `device`: the method's inputs and outputs are on the device as well, and the caller provides
            both.
        compile_specs: Further ExecuTorch compile specs for each engine's delegate.
        partitioners: ExecuTorch's, for what lies around the engines; XNNPACK gets what they leave.
        constant_methods: Method name to a value that the method returns, such as a vocabulary's size: a tensor, a
            number, a bool or a str.
        generate_etrecord: Write the record that ExecuTorch's Inspector reads as well, beside the program:
            "model_etrecord.bin" for "model.pte". It holds what ExecuTorch runs; engines are opaque to it.
        streaming: What a "tensorrt_rtx" export does for weights that are streamed
            (`torchtrt_ws.export.streaming.StreamingOptions`): large lookup tables stay on the host, and a last matrix
            that is larger than all other weights becomes an engine of its own, `NAME_head`. None and True take the
            defaults, False none of it. What was done is logged, and recorded in the file (`torchtrt-ws inspect
            --streaming`).
        weights: "separate" stores the engines without their weights, and these in a file of their own, each once. The
            program names that file and the SHA-256 of each weight: it runs on these weights or not at all. A
            "tensorrt_rtx" engine is built without weights only where there is a GPU. None: engines have their weights.
        weights_path: Where the weights go; None is "model.ptd" beside "model.pte", which `load` finds.
        refit: Build "tensorrt_rtx" engines that take other weights while they are loaded (`Program.refit`); only where
            there is a GPU. They may be slower, and TensorRT's release notes say that such an engine may leave out the
            bias of a matrix product: compare its answers. Other engines take none.
        use_fp32_acc: Whether a "tensorrt_rtx" engine adds the products of float16 weights up in float32, as PyTorch
            does: with float16 sums the error of a large model is some tens of times as large. None: it does. The
            name is Torch-TensorRT's, which has its own keyword for what it compiles.

    Raises:
        BudgetError: A malformed budget, both budget keywords at once, an unknown engine name, or a budget in
            `compile_specs`.
        ProgramError: A constant method with the name of another method; a module that cannot be exported or lowered;
            inputs, outputs or state that an engine cannot have; or a path that cannot be written.
        EngineError: TensorRT-RTX cannot build the engine; or what builds it, or PyTorch, is not installed.
    """
    require_exporter()
    target = check_target(path)
    _check_engine(engine)
    placement = read_device(device, device_io)
    given = module_or_exported_program
    named = dict(given) if isinstance(given, Mapping) else {DEFAULT_METHOD: given}
    compiled = [name for name, each in named.items() if _is_compiled(each)]
    if compiled:
        _check_compiled(compiled, named, engine, compute_capabilities)
    elif engine in (None, HOST):
        _check_for_host(placement, compute_capabilities)
    if refit and engine != "tensorrt_rtx":
        found = f"True for {'engines of Torch-TensorRT' if compiled else 'a host engine'}"
        next_step = "Leave it out; a plan that you build with REFIT takes new weights as well (save_plan)."
        raise ProgramError("refit", found, 'engine="tensorrt_rtx"', next_step)
    _check_accumulation(use_fp32_acc, "engines of Torch-TensorRT" if compiled else f"engine={engine or HOST!r}", engine)
    steps = read_streaming(streaming, "of Torch-TensorRT" if compiled else engine)
    extra_specs = read_compile_specs(compile_specs)
    separate = read_weights_keyword(weights, weights_path, "of Torch-TensorRT" if compiled else engine)
    weights_file = separate_target(target, weights_path) if separate else None
    options = SaveOptions(
        weight_streaming_budget,
        weight_streaming_budget_per_engine,
        extra_specs,
        placement,
        partitioners=tuple(partitioners or ()),
        lowering=read_constant_methods(constant_methods, named),
        etrecord=generate_etrecord,
        weights_file=weights_file,
    )
    if generate_etrecord:
        check_target(etrecord_path(target))
    if compiled:
        from torchtrt_ws.export.save_compiled import save_compiled

        save_compiled(
            target,
            named,
            options,
            several=isinstance(given, Mapping),
            arg_inputs=arg_inputs,
            kwarg_inputs=kwarg_inputs,
            dynamic_shapes=dynamic_shapes,
        )
        return
    if engine == "tensorrt_rtx":
        from torchtrt_ws.export.sources import tensorrt_rtx  # not at the top: it imports torch

        if separate:
            tensorrt_rtx.check_for_separate()
        if refit:
            tensorrt_rtx.check_for_refit()
    heads = [head_name(name) for name in named if isinstance(name, str)] if steps.head_engine else []
    # A name that turns out to be no engine's is refused once that is known, before anything is built.
    check_budgets(weight_streaming_budget, weight_streaming_budget_per_engine, list(dict.fromkeys([*named, *heads])))

    from torchtrt_ws.export.graph.methods import read_methods  # not at the top: it imports torch

    exported = read_methods(
        DEFAULT_METHOD,
        module_or_exported_program,
        arg_inputs,
        kwarg_inputs,
        dynamic_shapes,
        with_profiles=engine == "tensorrt_rtx",
    )
    _check_no_engines(exported)
    with ExitStack() as stack:
        if engine == "tensorrt_rtx":
            folder = target.parent
            lowered = _lowered_to_rtx(
                exported,
                stack,
                options,
                placement,
                compute_capabilities,
                steps,
                folder,
                separate,
                refit,
                use_fp32_acc is not False,
            )
        else:
            lowered = _lowered_to_host(exported, stack, separate)
        write_program(target, lowered, options)


def _lowered_to_host(methods: Mapping[str, Method], stack: ExitStack, separate: bool) -> dict[str, LoweredMethod]:
    """Each method as one host engine."""
    from torchtrt_ws.export.graph import engine_call
    from torchtrt_ws.export.graph.interface import read_interface
    from torchtrt_ws.export.sources import host

    programs = {name: method.program for name, method in methods.items()}
    interfaces = {name: read_interface(name, program) for name, program in programs.items()}
    # Before the engines are built: it refuses some methods, and costs nothing.
    tokens = {name: stack.enter_context(engine_call.declared(name, interfaces[name])) for name in programs}
    built = host.build(programs, interfaces, separate)
    return {
        name: LoweredMethod(
            engine_call.engine_program(tokens[name], program, interfaces[name]),
            {tokens[name]: built[name]},
            tuple(each.name for each in interfaces[name].inputs),
            tuple(each.name for each in interfaces[name].outputs),
        )
        for name, program in programs.items()
    }


def _lowered_to_rtx(
    methods: Mapping[str, Method],
    stack: ExitStack,
    options: SaveOptions,
    placement: Placement,
    compute_capabilities: Sequence[str] | None,
    steps: StreamingOptions,
    folder: Path,
    separate: bool,
    refit: bool,
    use_fp32_acc: bool,
) -> dict[str, LoweredMethod]:
    """Each method as one TensorRT-RTX engine, or as two and lookups on the host."""
    from torchtrt_ws.export.sources import rtx_method

    keep_quantized = not (separate or refit)  # such plans with weights of integers were not tried on a GPU yet
    planned = [
        rtx_method.plan_method(name, method, steps, placement.device_io, stack, keep_quantized)
        for name, method in methods.items()
    ]
    engines = [[engine.name for engine in each.engines] for each in planned]
    check_heads(list(methods), [name for names in engines for name in names[1:]])
    check_budgets(options.total, options.per_engine, [name for names in engines for name in names])
    lowered = [
        rtx_method.build(each, compute_capabilities, placement.device_id, folder, separate, refit, use_fp32_acc)
        for each in planned
    ]
    return dict(zip(methods, lowered, strict=True))


def _is_compiled(given: object) -> bool:
    if "torch" not in sys.modules:  # then it is neither a module nor a program
        return False
    from torchtrt_ws.export.sources import torch_tensorrt

    return torch_tensorrt.has_engines(given)


def _check_compiled(
    compiled: Sequence[str],
    named: Mapping[str, Any],
    engine: str | None,
    compute_capabilities: Sequence[str] | None,
) -> None:
    """Engines that are there already are saved as they are."""
    for keyword, value in (("engine", engine), ("compute_capabilities", compute_capabilities)):
        if value is not None:
            found = f"{value!r} for {compiled[0]!r}, which has engines of Torch-TensorRT"
            raise ProgramError(keyword, found, "None: they are saved as they are", "Leave it out.")
    from torch.export import ExportedProgram

    others = [name for name, each in named.items() if name not in compiled and not isinstance(each, ExportedProgram)]
    if others:
        raise ProgramError(
            f"method {others[0]!r}",
            "a module that is not compiled, while other methods have engines of Torch-TensorRT",
            "compiled modules, and exported programs: what has no engine runs on the CPU",
            "Compile it as well, or export it with torch.export.export.",
        )


def _check_no_engines(methods: Mapping[str, Method]) -> None:
    """A module around one that Torch-TensorRT compiled shows its engines once it is exported, and not before."""
    from torchtrt_ws.export.sources import torch_tensorrt  # not at the top: it imports torch

    for name, method in methods.items():
        if torch_tensorrt.has_engines(method.program):
            raise ProgramError(
                f"method {name!r}",
                "a module that calls engines of Torch-TensorRT",
                "what torch_tensorrt.compile returned, or a program with it",
                "Export it, and save the program: torch.export.export(module, inputs).",
            )


def _check_accumulation(given: object, subject: str, engine: str | None) -> None:
    if given is not None and type(given) is not bool:
        raise ProgramError("use_fp32_acc", repr(given), "True, False or None", "Correct it.")
    if given is not None and engine != "tensorrt_rtx":
        found, next_step = f"{given} for {subject}", "Leave it out: how these add up is theirs."
        raise ProgramError("use_fp32_acc", found, 'engine="tensorrt_rtx"', next_step)


def _check_engine(engine: str | None) -> None:
    if engine is not None and engine not in ENGINES:
        accepted = " or ".join(f'"{each}"' for each in ENGINES)
        raise ProgramError("engine", repr(engine), accepted, "Leave it out for an engine that runs on any CPU.")


def _check_for_host(placement: Placement, compute_capabilities: Sequence[str] | None) -> None:
    for keyword, given in (
        ("device", placement != HOST_MEMORY),
        ("compute_capabilities", compute_capabilities is not None),
    ):
        if given:
            next_step = 'Leave it out, or build for a GPU with engine="tensorrt_rtx".'
            raise ProgramError(keyword, "a value for a host engine", "none: it runs on the CPU", next_step)
