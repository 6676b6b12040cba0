"""The closed set of errors that torchtrt_ws raises, in Python and from its C++ core."""

from __future__ import annotations

import re

__all__ = [
    "BlobError",
    "BudgetError",
    "CapacityError",
    "EngineError",
    "ProgramError",
    "WeightStreamingError",
    "first_line",
]


class WeightStreamingError(Exception):
    """Base of every error of torchtrt_ws: what was found, what was expected, what to do next.

    Args:
        subject: What the error is about: an option key, a file, a tensor, an engine.
        found: What was there. Text is shown as it is, any other value by its `repr`.
        expected: What is accepted, as a phrase.
        next_step: What to do now, as a sentence. May be empty.
    """

    def __init__(self, subject: str, found: object, expected: str, next_step: str = "") -> None:
        super().__init__(subject, found, expected, next_step)  # all four in args: it survives pickling
        self.subject = subject
        self.found = found
        self.expected = expected
        self.next_step = next_step

    def __str__(self) -> str:
        found = self.found if isinstance(self.found, str) else repr(self.found)
        sentence = f"{self.subject}: found {found}; expected {self.expected}."
        return f"{sentence} {self.next_step}" if self.next_step else sentence


class BudgetError(WeightStreamingError, ValueError):
    """A budget that cannot be read, or does not apply here."""


class BlobError(WeightStreamingError, ValueError):
    """An engine blob (TR01 to TR03) that cannot be read, or metadata that cannot be written."""


class ProgramError(WeightStreamingError, ValueError):
    """A .pte that cannot be read, or does not hold what was asked for."""


class EngineError(WeightStreamingError, RuntimeError):
    """An engine, or the runtime below it (ExecuTorch, TensorRT, CUDA), refused."""


class CapacityError(WeightStreamingError, MemoryError):
    """It does not fit: the budget, the context or the scratch memory."""


def first_line(error: BaseException) -> str:
    """The first line that says something in a foreign `error`'s message: at most 300 characters, no full stop."""
    lines = [line.strip() for line in _ESCAPE_CODES.sub("", str(error)).splitlines() if line.strip()]
    return lines[0][:300].rstrip(".") if lines else "no message"


_ESCAPE_CODES = re.compile(r"\x1b\[[0-9;]*m")  # colours, which torch.onnx puts into messages
