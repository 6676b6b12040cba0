"""What `torchtrt-ws diff` prints: a line for each method and engine, and below it what differs.

"-" is only in the first program, "+" only in the second, "~" differs, "=" is the same in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType

from torchtrt_ws.budget import MAX_BYTES
from torchtrt_ws.cli._render import bytes_text
from torchtrt_ws.cli._table import facts, heading
from torchtrt_ws.pte import Change, EngineDiff, ProgramDiff

__all__ = ["diff"]

_MARKS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow"), "same": ("=", "")}


def diff(report: ProgramDiff, console: Console | None = None) -> None:
    """Prints what two programs differ in.

    Args:
        report: What `torchtrt_ws.pte.diff` found.
        console: Where to; stdout by default.
    """
    parts: list[RenderableType] = [heading(f"{report.a} -> {report.b}")]
    for method in report.methods:
        parts += _block(method.status, f"method {method.name}", method.changes)
    for engine in report.engines:
        same = ("contents",) if "contents" in engine.same and engine.status != "same" else ()
        parts += _block(engine.status, _engine(engine), engine.changes, same)
    if report.rest:
        parts += [heading("~ the rest of the program", _MARKS["changed"][1]), facts(map(_of_the_rest, report.rest))]
    parts.append(heading("The programs are the same." if report.same else "The programs differ."))
    (console or Console(highlight=False)).print(Group(*parts))


def _block(status: str, subject: str, changes: Sequence[Change], same: Sequence[str] = ()) -> Iterator[RenderableType]:
    mark, color = _MARKS[status]
    yield heading(f"{mark} {subject}", color)
    if changes or same:
        lines = [(_name(change.what), _change(change)) for change in changes]
        yield facts([*lines, *((_name(name), "the same") for name in same)])


def _of_the_rest(change: Change) -> tuple[str, str]:
    """Data is named and not shown."""
    sides = (change.a is not None, change.b is not None)
    label = {(False, False): "differ", (True, False): "removed", (False, True): "added"}.get(sides)
    return (_name(change.what), _change(change)) if label is None else (label, change.what)


def _engine(engine: EngineDiff) -> str:
    text = f"engine {engine.name}, method {engine.method}"
    if engine.renamed_from is not None:
        moved = "" if engine.moved_from is None else f", method {engine.moved_from}"
        return f"{text}: renamed from {engine.renamed_from}{moved}"
    if engine.status in ("added", "removed"):
        return f"{text}: {bytes_text(engine.engine_bytes)}"
    if engine.status == "same":
        return f"{text}: by {engine.compared_by}"
    return text


def _name(what: str) -> str:
    return what.removesuffix("_sha256").replace("_", " ")


def _change(change: Change) -> str:
    if change.a is None and change.b is None:
        return "differ"
    sides = [_shown(change.what, value) for value in (change.a, change.b)]
    if sides[0] == sides[1]:  # what is shown is cut
        return f"{sides[0]}, with other values"
    separator = "\n-> " if any(len(side) > 24 or "\n" in side for side in sides) else " -> "
    return separator.join(sides)


def _shown(what: str, value: Any) -> str:
    if value is None:
        return "none"
    if what == "baked_budget" and value == MAX_BYTES:
        return "100%"
    if what in ("baked_budget", "streamable_bytes", "engine_bytes"):
        return f"{value} bytes"
    if what == "contents" or what.endswith("_sha256"):
        return f"{value[:12]}..."  # --json has all of it
    if isinstance(value, bool):
        return "yes" if value else "no"
    if what in ("inputs", "outputs"):
        return ", ".join(_tensor(each) for each in value) or "none"
    if what == "compile_specs":
        return ", ".join(f"{each['key']}={each['text'] or each['hex']}"[:60] for each in value) or "none"
    if what == "aliased_io":
        return ", ".join(f"{each['output']} is {each['input']}" for each in value) or "none"
    if what == "optimization_profiles":
        return f"{len(value)} profile{'' if len(value) == 1 else 's'}"
    if what == "weights":
        return f"{len(value['tensors'])} in {value['file']}"
    if what == "streaming":
        return str(value["part"])
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} ({item})" for key, item in value.items()) or "none"
    return str(value)


def _tensor(value: dict[str, Any]) -> str:
    """A method's value or an engine's tensor, as `inspect --json` has it."""
    name = f"{value['name']}:" if value["name"] else ""
    if value["dtype"] is None or value["shape"] is None:
        return name + value.get("type", "") if value.get("type") else str(value["name"])
    low, high = value.get("min") or value["shape"], value.get("max") or value["shape"]
    dims = "x".join(str(a) if a == b else f"{a}..{b}" for a, b in zip(low, high, strict=True))
    device = f" on {value['device']}" if value.get("device") else ""
    bound = "<=" if value.get("dynamic") else ""
    return f"{name}{value['dtype']}[{bound}{dims}]{device}"
