"""The last step of every save: methods with engine calls, budgets and options to a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from torchtrt_ws import budget
from torchtrt_ws.errors import BudgetError, ProgramError
from torchtrt_ws.export.device import HOST, TARGET_DEVICE_KEY, Placement
from torchtrt_ws.export.engine_source import DEFAULT_METHOD, Engine, EngineBlob, Lowered, ProgramShares
from torchtrt_ws.export.progress import ProgressFile
from torchtrt_ws.export.write import write_atomically

if TYPE_CHECKING:
    from executorch.exir import ExecutorchBackendConfig
    from executorch.exir.backend.compile_spec_schema import CompileSpec
    from executorch.exir.backend.partitioner import Partitioner

__all__ = ["Options", "check_budget_forms", "check_budgets", "finish", "read_compile_specs"]


@dataclass(frozen=True)
class Options:
    """What the caller of a save chose, checked as far as it can be before the engines are known.

    Args:
        total: The keyword `weight_streaming_budget`.
        per_engine: The keyword `weight_streaming_budget_per_engine`.
        compile_specs: Further compile specs for each engine.
        placement: Where delegates' inputs and outputs live; None is the device that each engine was built for, as
            Torch-TensorRT has it.
        config: How ExecuTorch plans memory; None for what `placement` says.
        partitioners: For what lies around the engines.
        lowering: More keywords of `to_edge_transform_and_lower`.
    """

    total: Any = None
    per_engine: Any = None
    compile_specs: Sequence[CompileSpec] = ()
    placement: Placement | None = HOST
    config: ExecutorchBackendConfig | None = None
    partitioners: Sequence[Partitioner] = ()
    lowering: Mapping[str, Any] = field(default_factory=dict)


def finish(target: Path, methods: Mapping[str, Lowered], options: Options) -> None:
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
    baked = budget.bake(options.total, options.per_engine, [each.budget_size() for each in engines])
    specs = {each.name: list(_specs(options, each, baked[each.name])) for each in engines}
    shares = ProgramShares.of(engines)
    blobs = {token: EngineBlob(each, shares) for method in methods.values() for token, each in method.engines.items()}

    from torchtrt_ws.export.program_file import lay_out  # not at the top: it imports executorch

    config = options.config or (options.placement or HOST).config()
    program_file = lay_out(methods, blobs, specs, config, options.partitioners, options.lowering)

    def write(file: BinaryIO) -> None:
        with ProgressFile(file, program_file.size, target.name) as shown:
            program_file.write_to(shown)

    write_atomically(target, write)


def check_budgets(total: Any, per_engine: Any, engine_names: Sequence[str]) -> None:
    """Refuses now what would be refused after minutes of lowering. The sizes are not known yet: any will do.

    Raises:
        BudgetError: As `torchtrt_ws.budget.bake`.
    """
    budget.bake(total, per_engine, [budget.EngineSize(name, 1, estimated=True) for name in engine_names])


def check_budget_forms(total: Any, per_engine: Any) -> None:
    """Refuses malformed budgets where the names of the engines are not known yet.

    Raises:
        BudgetError: As `torchtrt_ws.budget.bake`, but for unknown names.
    """
    check_budgets(total, per_engine, list(per_engine) if isinstance(per_engine, Mapping) else [DEFAULT_METHOD])


def read_compile_specs(compile_specs: Sequence[CompileSpec] | None, any_device: bool = False) -> list[CompileSpec]:
    """Checks the caller's compile specs.

    Args:
        compile_specs: The keyword `compile_specs`.
        any_device: True if `target_device` among them is the way to choose a device.

    Returns:
        The same, as a list.

    Raises:
        BudgetError: A budget among them: it would not be checked.
        ProgramError: Something that is no compile spec, or a device other than the CPU among them.
    """
    specs = list(compile_specs or ())
    for spec in specs:
        key, value = getattr(spec, "key", None), getattr(spec, "value", None)
        if not isinstance(key, str) or not isinstance(value, bytes):
            raise ProgramError(
                "compile_specs",
                repr(spec),
                "executorch.exir.backend.compile_spec_schema.CompileSpec(key: str, value: bytes)",
                "Make each entry one of these.",
            )
        if key == budget.KEY:
            raise BudgetError(
                "compile_specs",
                f"a spec {key!r}",
                f"the budget in the keyword {budget.KEY} or {budget.PER_ENGINE_KEYWORD}, where it is checked",
                "Leave the spec out and give the keyword.",
            )
        if key == TARGET_DEVICE_KEY and not any_device and not value.startswith(b"cpu"):
            raise ProgramError(
                "compile_specs",
                f"{TARGET_DEVICE_KEY}={value!r}",
                "cpu: a device is chosen with the keyword device",
                "Leave the spec out, and give device= for an engine that runs on one.",
            )
    return specs


def _specs(options: Options, engine: Engine, value: bytes | None) -> Iterator[CompileSpec]:
    """In Torch-TensorRT's order: the caller's, the budget, the device."""
    from executorch.exir.backend.compile_spec_schema import CompileSpec

    yield from options.compile_specs
    if value is not None:
        yield CompileSpec(budget.KEY, value)
    device = options.placement.spec if options.placement is not None else f"cuda:{engine.device_id}".encode("ascii")
    if device is not None and all(spec.key != TARGET_DEVICE_KEY for spec in options.compile_specs):
        yield CompileSpec(TARGET_DEVICE_KEY, device)
