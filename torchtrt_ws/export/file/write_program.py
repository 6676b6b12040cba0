"""The last step of every save: methods with engine calls, budgets and options to a file."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from torchtrt_ws import budget
from torchtrt_ws.atomic import write_atomically, write_together
from torchtrt_ws.export.collection import no_collection
from torchtrt_ws.export.engine.built_engine import BuiltEngine, LoweredMethod
from torchtrt_ws.export.engine.engine_blob import EngineBlob, ProgramShares
from torchtrt_ws.export.engine.equal_plans import EqualPlans
from torchtrt_ws.export.engine.hashed import hashed_early
from torchtrt_ws.export.engine.weight import Weight
from torchtrt_ws.export.file.progress import ProgressFile
from torchtrt_ws.export.options import SaveOptions
from torchtrt_ws.export.placement import HOST_MEMORY, TARGET_DEVICE_KEY
from torchtrt_ws.identifiers import DATA_FILE_SUFFIX, HOST

if TYPE_CHECKING:
    from executorch.exir.backend.compile_spec_schema import CompileSpec

__all__ = ["companion_path", "etrecord_path", "write_program"]


def write_program(target: Path, methods: Mapping[str, LoweredMethod], options: SaveOptions) -> None:
    """Bakes the budgets and writes the program.

    Args:
        target: The file, from `check_target`.
        methods: Method name to the method; its engine calls are declared while this runs.
        options: What the caller chose.

    Raises:
        BudgetError: A budget that these engines cannot have.
        ProgramError: A graph that ExecuTorch cannot lower, or a file that cannot be written.
    """
    engines = tuple(each for method in methods.values() for each in method.engines.values())
    plans = EqualPlans(engines)
    sizes = [each.budget_size(plans.loaded_as(each.name)) for each in engines]
    baked = budget.bake(options.total, options.per_engine, sizes)
    _warn_of_resident(engines, sizes, options)
    specs = {each.name: list(_specs(options, each, baked[each.name])) for each in engines}
    shares = ProgramShares.of(engines, plans)
    weights = [weight for each in engines for weight in each.weights]
    companion = options.weights_file or companion_path(target)
    blobs = {
        token: EngineBlob(
            replace(each, payload=plans.payload(each.name)), shares, method.inputs, method.outputs, companion.name
        )
        for method in methods.values()
        for token, each in method.engines.items()
    }

    from torchtrt_ws.export.file.laid_out import lay_out  # not at the top: it imports executorch

    config = options.config or (options.placement or HOST_MEMORY).config()
    with hashed_early(plans.payloads()), no_collection():
        program_file = lay_out(methods, blobs, specs, config, options.partitioners, options.lowering, options.etrecord)

        def write(file: BinaryIO) -> None:
            with ProgressFile(file, program_file.size, target.name) as shown:
                program_file.write_to(shown)

        def write_files() -> None:
            if not weights:
                write_atomically(target, write)
                return
            # The weights first: a program that is there meanwhile takes none of another file, since their keys are
            # made of their content. It finds its own where they are the same, and says what is missing where not.
            write_together([(companion, lambda file: _write_weights(weights, file, companion)), (target, write)])

        if (record := program_file.etrecord) is None:
            write_files()
            return

        def write_both(file: BinaryIO) -> None:
            record.save(file)
            write_files()  # first: when it fails, the old record stays as well

        write_atomically(etrecord_path(target), write_both)


def companion_path(target: Path) -> Path:
    """Where the weights go of engines that are stored without them: "model.ptd" beside "model.pte".

    Args:
        target: The program.
    """
    return target.with_suffix(DATA_FILE_SUFFIX)


def _write_weights(weights: Sequence[Weight], file: BinaryIO, companion: Path) -> None:
    from torchtrt_ws.export.file.companion import lay_out_weights  # not at the top: it imports executorch

    laid_out = lay_out_weights(weights)
    with ProgressFile(file, laid_out.size, companion.name) as shown:
        laid_out.write_to(shown)


def etrecord_path(target: Path) -> Path:
    """Where the record for ExecuTorch's Inspector goes: "model_etrecord.bin" beside "model.pte".

    Args:
        target: The program.

    Source:
        torch_tensorrt/_compile.py (2.14), `_save_as_executorch`, which follows ExecuTorch's examples.
    """
    return target.with_name(f"{target.stem}_etrecord.bin")


def _warn_of_resident(engines: Sequence[BuiltEngine], sizes: Sequence[budget.EngineSize], options: SaveOptions) -> None:
    """A budget for an engine that has nothing to stream is not baked; whoever gave it should know."""
    kinds = {engine.name: engine.kind for engine in engines}
    for name in budget.without_effect(options.total, options.per_engine, sizes):
        why = " (XNNPACK packs those of linear and convolution layers in float32 and float16)"
        warnings.warn(
            f"engine {name!r} has no weights that can be streamed{why if kinds[name] == HOST else ''}: "
            "the budget has no effect on it and is not baked",
            stacklevel=2,
        )


def _specs(options: SaveOptions, engine: BuiltEngine, value: bytes | None) -> Iterator[CompileSpec]:
    """In Torch-TensorRT's order: the caller's, the budget, the device."""
    from executorch.exir.backend.compile_spec_schema import CompileSpec

    yield from options.compile_specs
    if value is not None:
        yield CompileSpec(budget.KEY, value)
    device = options.placement.spec if options.placement is not None else f"cuda:{engine.device_id}".encode("ascii")
    if device is not None and all(spec.key != TARGET_DEVICE_KEY for spec in options.compile_specs):
        yield CompileSpec(TARGET_DEVICE_KEY, device)
