"""What `torchtrt-ws inspect` prints: a program as a whole, and a line for each engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.text import Text

from torchtrt_ws.budget import MAX_BYTES
from torchtrt_ws.cli._render import bytes_text, new_table
from torchtrt_ws.cli._table import Listing, facts, heading
from torchtrt_ws.identifiers import BACKEND_ID
from torchtrt_ws.pte import EngineInfo, ProgramInfo, ValueInfo

__all__ = ["budget_text", "program", "streamable_text"]


def program(report: ProgramInfo, console: Console | None = None) -> None:
    """Prints a program's methods and engines.

    Args:
        report: What `torchtrt_ws.pte.read` found.
        console: Where to; stdout by default.
    """
    title = heading(f"{report.file}: {bytes_text(report.bytes)} ({report.bytes} bytes)")
    parts: list[RenderableType] = [title, facts(_about(report)), _methods(report)]
    if report.engines:
        parts.append(_engines(report))
    else:
        parts.append(Text(f"No engines: the program has no delegate of backend {BACKEND_ID}."))
    if report.other_backends:
        counts = ", ".join(f"{name} ({count})" for name, count in report.other_backends.items())
        parts.append(heading(f"Delegates of other backends: {counts}"))
    (console or Console(highlight=False)).print(Group(*parts))


def streamable_text(engine: EngineInfo, percent: float | None) -> str:
    """Streamable bytes of an engine for people.

    Args:
        engine: The engine.
        percent: Its share of the program's; None: not known, or nothing to tell.
    """
    estimate = "about " if engine.streamable_estimated and engine.streamable_bytes is not None else ""
    share = "" if percent is None else f" ({percent:.3g}%)"
    return estimate + bytes_text(engine.streamable_bytes) + share


def budget_text(engine: EngineInfo) -> str:
    """The baked budget of an engine for people, and how much of its streamable bytes it is.

    Args:
        engine: The engine.
    """
    budget, streamable = engine.baked_budget, engine.streamable_bytes
    if budget is None:
        return "none"
    if budget == MAX_BYTES:
        return "100%"
    return bytes_text(budget) + (f" ({min(100 * budget // streamable, 100)}%)" if streamable else "")


def _about(report: ProgramInfo) -> Iterator[tuple[str, str]]:
    if report.engines:
        builders = Counter(engine.builder or "unknown" for engine in report.engines)
        several = len(builders) > 1
        yield "built by", ", ".join(f"{name} ({count})" if several else name for name, count in builders.items())
        estimate = "about " if report.streamable_estimated and report.streamable_bytes is not None else ""
        recorded = all(engine.metadata.own for engine in report.engines)
        unknown = "" if recorded else ": not recorded, torchtrt-ws annotate adds an estimate"
        yield "streamable", estimate + bytes_text(report.streamable_bytes) + unknown
        yield "set-budget", "in place" if report.has_room else "may write the file anew, once"
    stripped = {each.weights.file: each.weights.nbytes for each in report.engines if each.weights is not None}
    for file, size in stripped.items():
        yield "weights", f"{bytes_text(size)} in {file}"
    for engine in report.engines:
        for number, variant in enumerate(engine.variants, 1):
            yield "plans", f"{engine.name} {number}: {variant.made_for}, {bytes_text(variant.size)}"
    if report.external_tensors:
        count = len(report.external_tensors)
        names = ", ".join(report.external_tensors[:3]) + (", ..." if count > 3 else "")
        yield "elsewhere", f"{count} tensor{'s' if count > 1 else ''} in data files: {names}"
    if report.data_files:
        yield "data files", ", ".join(report.data_files)
    if report.data_problem is not None:
        yield "data files", report.data_problem
    if report.signature is not None:
        yield "signature", f"{report.signature}, not checked"


def _methods(report: ProgramInfo) -> Listing:
    table = new_table("method", "inputs", "outputs")
    for method in report.methods:
        inputs, outputs = (Text("\n".join(_value(v) for v in side)) for side in (method.inputs, method.outputs))
        table.add_row(Text(method.name), inputs, outputs)
    return table


def _engines(report: ProgramInfo) -> Listing:
    table = new_table("engine", "method", "kind", "size>", "streamable>", "baked budget>")
    for engine, percent in zip(report.engines, report.streamable_percent(), strict=True):
        size = bytes_text(engine.engine_bytes)
        if engine.same_plan_as is not None:
            size = f"same plan as {engine.same_plan_as}"
        if engine.engine_key is not None:
            size = "in a data file"
        share = percent if len(report.engines) > 1 else None
        cells = (engine.name, engine.method, engine.kind, size, streamable_text(engine, share), budget_text(engine))
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _value(value: ValueInfo) -> str:
    name = f"{value.name}:" if value.name else ""
    if value.dtype is None or value.shape is None:
        return name + value.type
    bound = "<=" if value.dynamic else ""
    device = f" on {value.device}" if value.device else ""
    return f"{name}{value.dtype}[{bound}{'x'.join(str(dim) for dim in value.shape)}]{device}"
