"""What the caller of a save chose, and the checks that need no engine: minutes of lowering come after them."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchtrt_ws import budget
from torchtrt_ws.errors import BudgetError, ProgramError
from torchtrt_ws.export.placement import HOST_MEMORY, TARGET_DEVICE_KEY, Placement
from torchtrt_ws.identifiers import DEFAULT_METHOD
from torchtrt_ws.names import check_name

if TYPE_CHECKING:
    from executorch.exir import ExecutorchBackendConfig
    from executorch.exir.backend.compile_spec_schema import CompileSpec
    from executorch.exir.backend.partitioner import Partitioner

__all__ = ["SaveOptions", "check_budget_forms", "check_budgets", "read_compile_specs", "read_constant_methods"]


@dataclass(frozen=True)
class SaveOptions:
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
        etrecord: Whether ExecuTorch's record for its Inspector is written as well (`etrecord_path`).
        weights_file: Where the weights go of engines that are stored without them; None: beside the program.
    """

    total: Any = None
    per_engine: Any = None
    compile_specs: Sequence[CompileSpec] = ()
    placement: Placement | None = HOST_MEMORY
    config: ExecutorchBackendConfig | None = None
    partitioners: Sequence[Partitioner] = ()
    lowering: Mapping[str, Any] = field(default_factory=dict)
    etrecord: bool = False
    weights_file: Path | None = None


def check_budgets(total: Any, per_engine: Any, engine_names: Sequence[str]) -> None:
    """Refuses now what would be refused after minutes of lowering. The sizes are not known yet: any will do.

    Args:
        total: The keyword `weight_streaming_budget`.
        per_engine: The keyword `weight_streaming_budget_per_engine`.
        engine_names: The engines that there will be.

    Raises:
        BudgetError: As `torchtrt_ws.budget.bake`.
    """
    budget.bake(total, per_engine, [budget.EngineSize(name, 1, estimated=True) for name in engine_names])


def check_budget_forms(total: Any, per_engine: Any) -> None:
    """Refuses malformed budgets where the names of the engines are not known yet.

    Args:
        total: The keyword `weight_streaming_budget`.
        per_engine: The keyword `weight_streaming_budget_per_engine`.

    Raises:
        BudgetError: As `torchtrt_ws.budget.bake`, but for unknown names.
    """
    check_budgets(total, per_engine, list(per_engine) if isinstance(per_engine, Mapping) else [DEFAULT_METHOD])


def read_constant_methods(constant_methods: Mapping[str, Any] | None, methods: Container[str]) -> dict[str, Any]:
    """Checks the methods that return a constant.

    Args:
        constant_methods: The keyword `constant_methods`.
        methods: The names of the program's other methods.

    Returns:
        Keywords of `to_edge_transform_and_lower`; empty without constant methods.

    Raises:
        ProgramError: A name that no method can have, or that another one has.
    """
    for name in constant_methods or {}:
        check_name("constant method", name)
        if name in methods:
            found = f"{name!r}, which is a method of the program"
            raise ProgramError("constant_methods", found, "a name of its own", "Choose another name.")
    return {"constant_methods": dict(constant_methods)} if constant_methods else {}


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
