"""Facts with a verdict each: what `check` and `doctor` find."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["ADVICE", "NO", "OK", "UNKNOWN", "Fact"]

# Verdicts, as C++ names them (torchtrt_ws/check.h).
OK = "ok"  # nothing in the way
ADVICE = "advice"  # it loads, but not as it could
NO = "no"  # it does not load
UNKNOWN = "unknown"  # cannot be told here, or not before the load


@dataclass(frozen=True)
class Fact:
    """One fact about an engine or about the program.

    Args:
        name: "adapter", "runtime", "version", "device", "platform", "budget", "memory", ...
        verdict: "ok", "advice", "no" or "unknown".
        found: What is there.
        remedy: What to do; may be empty.
        bytes: Sizes by name, such as "free"; in bytes.
    """

    name: str
    verdict: str
    found: str
    remedy: str = ""
    bytes: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The fact as `check --json` prints it."""
        return {
            "name": self.name,
            "verdict": self.verdict,
            "found": self.found,
            "remedy": self.remedy,
            "bytes": dict(self.bytes),
        }
