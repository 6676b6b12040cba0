"""The rule for names of engines, and so of the methods that engines are named after. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from torchtrt_ws.errors import ProgramError

__all__ = ["FORM", "MAX_LENGTH", "check_name", "is_engine_name", "namer"]

# With "weight_streaming_budget." that makes 63, the longest option key (executorch runtime/backend/options.h).
MAX_LENGTH = 39
FORM = f"1 to {MAX_LENGTH} of A-Z a-z 0-9 _ . -"
_NAME = re.compile(rf"[A-Za-z0-9_.-]{{1,{MAX_LENGTH}}}")


def is_engine_name(name: object) -> bool:
    """True if `name` may name an engine: 1 to 39 of A-Z a-z 0-9 _ . -"""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def check_name(subject: str, name: object) -> None:
    """Refuses what can name no engine.

    Args:
        subject: What is named: "engine name" or "method name".
        name: The name.

    Raises:
        ProgramError: Another type, no or too many characters, or one that a name cannot have.
    """
    if not is_engine_name(name):
        raise ProgramError(subject, repr(name), f"{FORM} (engines are named after their methods)", "Rename it.")


def namer() -> Callable[[str], str]:
    """Makes engine names: what others call an engine, with the characters a name may have, and once in a program."""
    taken: set[str] = set()

    def unique(name: str) -> str:
        base = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[-MAX_LENGTH:]
        candidate, count = base, 1
        while candidate in taken:
            count += 1
            suffix = f"_{count}"
            candidate = base[: MAX_LENGTH - len(suffix)] + suffix
        taken.add(candidate)
        return candidate

    return unique
