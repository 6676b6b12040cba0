"""What `check` found: facts with a verdict each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torchtrt_ws.facts import ADVICE, NO, OK, UNKNOWN, Fact

__all__ = ["ADVICE", "NO", "OK", "UNKNOWN", "CheckReport", "EngineCheck", "Fact", "IsolatedLoad"]


@dataclass(frozen=True)
class EngineCheck:
    """The facts about one engine, in the order in which a load meets them; `kind` is "host" or "tensorrt"."""

    name: str
    method: str
    kind: str
    facts: tuple[Fact, ...]

    def as_dict(self) -> dict[str, Any]:
        """The engine as `check --json` prints it."""
        return {
            "name": self.name,
            "method": self.method,
            "kind": self.kind,
            "facts": [fact.as_dict() for fact in self.facts],
        }


@dataclass(frozen=True)
class IsolatedLoad:
    """What became of a load in a process of its own.

    Args:
        method: The method that it then ran once.
        exit_code: The process's; None where a signal ended it.
        signal: The signal that ended it, such as "SIGSEGV"; None where none did.
        load_seconds: What the load took; None where it failed.
        stderr: The last lines that it wrote there.
    """

    method: str
    exit_code: int | None
    signal: str | None
    load_seconds: float | None
    stderr: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether it loaded and ran."""
        return self.exit_code == 0

    def as_dict(self) -> dict[str, Any]:
        """The load as `check --json` prints it."""
        return {
            "method": self.method,
            "exit_code": self.exit_code,
            "signal": self.signal,
            "load_seconds": self.load_seconds,
            "stderr": list(self.stderr),
        }


@dataclass(frozen=True)
class CheckReport:
    """Whether a program will load here. `facts` are the program's: memory of each device, other backends, ...

    `isolated` is None where no load was asked for; "isolated" is among the facts where one was.
    """

    file: str
    facts: tuple[Fact, ...]
    engines: tuple[EngineCheck, ...]
    isolated: IsolatedLoad | None = None

    @property
    def ok(self) -> bool:
        """Whether no fact says no. What cannot be told does not count."""
        every = (*self.facts, *(fact for engine in self.engines for fact in engine.facts))
        return all(fact.verdict != NO for fact in every)

    def as_dict(self) -> dict[str, Any]:
        """The report as `check --json` prints it: sizes are integer bytes."""
        return {
            "file": self.file,
            "ok": self.ok,
            "facts": [fact.as_dict() for fact in self.facts],
            "engines": [engine.as_dict() for engine in self.engines],
            "isolated": None if self.isolated is None else self.isolated.as_dict(),
        }
