"""What ExecuTorch's CPU kernels cannot run, told when a program is saved: a save that works should load and run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torchtrt_ws.dtypes import BY_SCALAR_TYPE, TABLE
from torchtrt_ws.errors import ProgramError

__all__ = ["COMPUTED", "COPIES", "check_convolutions", "check_dtypes", "check_operators"]

# What kernels compute with. ExecuTorch 1.5.1, runtime/core/exec_aten/util/scalar_type_util.h,
# ET_FORALL_REALHBBF16_TYPES: what the switches of nearly all kernels are made of.
COMPUTED = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64")

# Kernels that copy bytes, whatever these are: those without such a switch over what they copy, or with one on some of
# their ways only. ExecuTorch 1.5.1, kernels/portable/cpu/op_*.cpp.
COPIES = frozenset(
    [
        *("alias_copy", "clone", "_clone_dim_order", "detach_copy", "empty", "expand_copy", "lift_fresh_copy"),
        *("narrow_copy", "pixel_shuffle", "pixel_unshuffle", "repeat", "select_copy", "slice_copy", "squeeze_copy"),
        *("unsqueeze_copy", "view_copy", "embedding", "index_select", "masked_select"),
        *("copy", "copy_", "index", "index_put_"),  # some of their ways
    ]
)
_OTHERS = {dtype.name for dtype in TABLE}.difference(COMPUTED)


def check_operators(subject: str, program: Any) -> None:
    """Refuses operators that the runtime has no kernel for.

    Args:
        subject: What an error names.
        program: exir's Program.

    Raises:
        ProgramError: There are such.
    """
    from executorch.runtime import Runtime

    available = set(Runtime.get().operator_registry.operator_names)
    used = {
        f"{operator.name}.{operator.overload}" if operator.overload else operator.name
        for plan in program.execution_plan
        for operator in plan.operators
    }
    missing = sorted(used - available)
    if missing:
        raise ProgramError(
            subject,
            f"operators that the ExecuTorch runtime has no kernel for: {', '.join(missing)}",
            "operators of XNNPACK or of the portable kernels",
            "Express them with other operators.",
        )


def check_convolutions(name: str, plan: Any) -> None:
    """Refuses what has a kernel that then fails in every run: convolutions of volumes.

    Args:
        name: The method's name.
        plan: One of a Program's execution plans.

    Raises:
        ProgramError: There is one.

    Source:
        ExecuTorch 1.5.1, kernels/portable/cpu/util/kernel_ops_util.cpp, check_convolution_args: 3-D or 4-D input.
    """
    for operator, arguments in _calls(plan):
        if operator.name != "aten::convolution":
            continue
        rank = len(plan.values[arguments[0]].val.sizes)
        if rank not in (3, 4):
            raise ProgramError(
                f"method {name!r}",
                f"a convolution of a {rank}-D tensor",
                "3-D or 4-D (batch, channels, and one or two spatial dimensions): ExecuTorch's CPU kernels "
                "have no other",
                'Build for a GPU with engine="tensorrt_rtx", or express it with 2-D convolutions.',
            )


def check_dtypes(name: str, plan: Any) -> None:
    """Refuses operators on tensors of dtypes that kernels only copy: float8, and unsigned integers of 16 bits and more.

    Args:
        name: The method's name.
        plan: One of a Program's execution plans.

    Raises:
        ProgramError: There is one. Operators that are not ExecuTorch's own are not judged.

    Source:
        `COMPUTED` and `COPIES`; what torch has for such tensors was run (tests/export/test_dtypes.py).
    """
    for operator, arguments in _calls(plan):
        namespace, _, kernel = operator.name.partition("::")
        if namespace not in ("aten", "dim_order_ops") or kernel in COPIES:
            continue
        found = {dtype for index in arguments for dtype in _dtypes(plan.values, index)} & _OTHERS
        if found:
            raise ProgramError(
                f"method {name!r}",
                f"{operator.name} of {' and '.join(sorted(found))}",
                f"a dtype that ExecuTorch's CPU kernels compute with: {', '.join(COMPUTED)}; others they only copy",
                "Give the method another dtype, and convert before and behind the call.",
            )


def _calls(plan: Any) -> Iterator[tuple[Any, list[int]]]:
    """Operators and the indices of what they take, in order."""
    for chain in plan.chains:
        for instruction in chain.instructions:
            call = instruction.instr_args
            if hasattr(call, "op_index"):
                yield plan.operators[call.op_index], call.args


def _dtypes(values: Any, index: int) -> Iterator[str]:
    """Of a tensor, or of the tensors of a list. A list has -1 for one that is left out."""
    value: Any = values[index].val if index >= 0 else None
    if hasattr(value, "scalar_type"):
        known = BY_SCALAR_TYPE.get(int(value.scalar_type))
        if known is not None:
            yield known.name
    elif type(value).__name__ in ("TensorList", "OptionalTensorList"):
        for each in value.items:
            yield from _dtypes(values, each)
