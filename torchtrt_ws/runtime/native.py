"""The boundary to the C++ module: finds it, and turns its errors into those of torchtrt_ws."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from torchtrt_ws import budget
from torchtrt_ws.errors import BudgetError, CapacityError, EngineError, ProgramError, WeightStreamingError

try:
    from torchtrt_ws import _native
except ImportError as error:
    raise EngineError(
        "torchtrt_ws._native",
        f"a compiled module that does not load ({error})",
        "the module of this Python version, and executorch 1.5.1 beside it",
        "Install torchtrt-ws with pip (a source tree alone has no compiled module).",
    ) from error

__all__ = ["_native", "native_path", "raise_translated", "translated"]

# ExecuTorch's codes (runtime/core/error.h) that mean more than "the engine refused". The delegate's own mapping of its
# failures to these codes is in cpp/delegate/error.cpp.
_BY_CODE: dict[str, type[WeightStreamingError]] = {
    "Error::InvalidProgram": ProgramError,
    "Error::DelegateInvalidCompatibility": ProgramError,
    "Error::InvalidArgument": ProgramError,
    "Error::AccessFailed": ProgramError,
    "Error::MemoryAllocationFailed": CapacityError,
}


def native_path(path: str) -> str:
    """`path`, which C++ can take.

    Raises:
        ProgramError: It is not UTF-8.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        next_step = "Rename it, or load the open file: load(open(path, 'rb'))."
        raise ProgramError(ascii(path), "a path that is not UTF-8", "one that is", next_step) from None
    return path


@contextmanager
def translated() -> Iterator[None]:
    """Raises what the C++ module raises as the error of torchtrt_ws that it is."""
    try:
        yield
    except _native.Error as error:
        raise_translated(error)


def raise_translated(error: _native.Error) -> NoReturn:
    """Raises `error` as the one of torchtrt_ws that it is."""
    code, subject, found, expected, next_step = error.args
    kind = _BY_CODE.get(code, EngineError)
    if kind is ProgramError and budget.is_budget_key(subject):  # the delegate alone knows whether a total applies
        kind = BudgetError
    raise kind(subject, found, expected or "none", next_step and f"{next_step.rstrip('.')}.") from None
