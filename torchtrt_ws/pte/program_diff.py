"""What `diff` finds, as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["ADDED", "CHANGED", "REMOVED", "SAME", "Change", "EngineDiff", "MethodDiff", "ProgramDiff"]

# What became of a method or an engine.
ADDED, REMOVED, CHANGED, SAME = "added", "removed", "changed", "same"


@dataclass(frozen=True)
class Change:
    """One thing that differs: its name, and what it is in either program, as `inspect --json` has it.

    Both are None for what cannot be shown, such as the bytes of an engine without a recorded digest.
    """

    what: str
    a: Any = None
    b: Any = None

    def as_dict(self) -> dict[str, Any]:
        """The change as `diff --json` prints it."""
        return {"what": self.what, "a": self.a, "b": self.b}


@dataclass(frozen=True)
class MethodDiff:
    """A method of one of the programs, or of both: `status` is "added", "removed", "changed" or "same".

    `changes` is what differs, `same` the names of what does not.
    """

    name: str
    status: str
    changes: tuple[Change, ...] = ()
    same: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The method as `diff --json` prints it."""
        changes = [change.as_dict() for change in self.changes]
        return {"name": self.name, "status": self.status, "changes": changes, "same": list(self.same)}


@dataclass(frozen=True)
class EngineDiff:
    """An engine of one of the programs, or of both: `status` is "added", "removed", "changed" or "same".

    `method` and `name` are those of the second program, if it is there. `renamed_from` is the name in the first one of
    an engine with the same bytes and another name or method, which is `moved_from`; else both are None. `compared_by`
    says how its bytes were: "recorded digests", "bytes" or "sizes". `engine_bytes` is its size.
    """

    method: str
    name: str
    status: str
    changes: tuple[Change, ...] = ()
    same: tuple[str, ...] = ()
    renamed_from: str | None = None
    moved_from: str | None = None
    compared_by: str | None = None
    engine_bytes: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The engine as `diff --json` prints it."""
        return {
            "method": self.method,
            "name": self.name,
            "status": self.status,
            "engine_bytes": self.engine_bytes,
            "renamed_from": self.renamed_from,
            "moved_from": self.moved_from,
            "compared_by": self.compared_by,
            "changes": [change.as_dict() for change in self.changes],
            "same": list(self.same),
        }


@dataclass(frozen=True)
class ProgramDiff:
    """What two programs differ in. `a` and `b` are their files.

    `rest` is what differs besides methods and engines; data that only one of them has is its size there.
    """

    a: str
    b: str
    methods: tuple[MethodDiff, ...]
    engines: tuple[EngineDiff, ...]
    rest: tuple[Change, ...]

    @property
    def same(self) -> bool:
        """True if nothing differs."""
        statuses = [*(method.status for method in self.methods), *(engine.status for engine in self.engines)]
        return not self.rest and all(status == SAME for status in statuses)

    def as_dict(self) -> dict[str, Any]:
        """The report as `diff --json` prints it: sizes are integer bytes, unknown is None."""
        return {
            "a": self.a,
            "b": self.b,
            "same": self.same,
            "methods": [method.as_dict() for method in self.methods],
            "engines": [engine.as_dict() for engine in self.engines],
            "rest": [change.as_dict() for change in self.rest],
        }
