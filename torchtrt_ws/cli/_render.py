"""Tables for people, on stdout."""

from __future__ import annotations

from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from torchtrt_ws.budget import MAX_BYTES
from torchtrt_ws.identifiers import BACKEND_ID
from torchtrt_ws.pte import EngineInfo, ProgramInfo, TensorInfo, ValueInfo

__all__ = ["bytes_text", "new_table", "program", "run"]

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def bytes_text(size: int | None) -> str:
    """A size for people: exact below 1 KiB, three digits above; "unknown" for None."""
    if size is None:
        return "unknown"
    value, unit = float(size), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{size} B" if unit == 0 else f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {_UNITS[unit]}"


def program(report: ProgramInfo, console: Console | None = None) -> None:
    """Prints a program's methods and engines.

    Args:
        report: What `torchtrt_ws.pte.read` found.
        console: Where to; stdout by default.
    """
    parts: list[RenderableType] = [Text(f"{report.file}: {bytes_text(report.bytes)} ({report.bytes} bytes)")]
    parts.append(_methods(report))
    if report.engines:
        parts += [_engines(report.engines), _tensors(report.engines)]
        if any(engine.optimization_profiles for engine in report.engines):
            parts.append(_profiles(report.engines))
    else:
        parts.append(Text(f"No engines: the program has no delegate of backend {BACKEND_ID}."))
    if report.other_backends:
        counts = ", ".join(f"{name} ({count})" for name, count in report.other_backends.items())
        parts.append(Text(f"Delegates of other backends: {counts}"))
    (console or Console(highlight=False)).print(Group(*parts))


def run(report: dict[str, Any], console: Console | None = None) -> None:
    """Prints what `torchtrt-ws run` measured.

    Args:
        report: The object that `--json` prints.
        console: Where to; stdout by default.
    """
    times = f"loaded in {report['load_seconds']:.3f} s, one run {report['run_seconds'] * 1e3:.3f} ms"
    outputs = ", ".join(f"{o['dtype']}{o['shape']}" for o in report["outputs"])
    table = new_table("engine", "kind", "budget>", "of streamable>", "source", "on the device>")
    for engine in report["engines"]:
        sizes = [bytes_text(engine[key]) for key in ("budget_bytes", "streamable_bytes", "device_bytes")]
        cells = (engine["name"], engine["kind"], sizes[0], sizes[1], engine["source"], sizes[2])
        table.add_row(*(Text(cell) for cell in cells))
    heading = Text(f"{report['file']}: {times} (median of {report['runs']}); outputs {outputs}")
    (console or Console(highlight=False)).print(Group(heading, table))


def new_table(*columns: str) -> Table:
    """An empty table.

    Args:
        columns: Their names; those that end in ">" are aligned to the right.
    """
    table = Table(header_style="bold")
    for column in columns:
        name = column.rstrip(">")
        table.add_column(name, justify="right" if column.endswith(">") else "left", overflow="fold")
    return table


def _methods(report: ProgramInfo) -> Table:
    table = new_table("method", "inputs", "outputs")
    for method in report.methods:
        inputs, outputs = (Text("\n".join(_value(v) for v in side)) for side in (method.inputs, method.outputs))
        table.add_row(Text(method.name), inputs, outputs)
    return table


def _engines(engines: tuple[EngineInfo, ...]) -> Table:
    table = new_table("engine", "method", "kind", "size>", "streamable>", "baked budget>")
    for engine in engines:
        size = bytes_text(engine.engine_bytes)
        if engine.same_plan_as is not None:
            size = f"same plan as {engine.same_plan_as}"
        sizes = (size, _streamable(engine), _budget(engine))
        cells = (engine.name, engine.method, engine.kind, *sizes)
        table.add_row(*(Text(cell) for cell in cells))  # Text: a name may hold rich's markup
    return table


def _tensors(engines: tuple[EngineInfo, ...]) -> Table:
    table = new_table("engine", "inputs", "outputs")
    for engine in engines:
        sides = (Text("\n".join(_tensor(t) for t in side)) for side in (engine.inputs, engine.outputs))
        table.add_row(Text(engine.name), *sides)
    return table


def _profiles(engines: tuple[EngineInfo, ...]) -> Table:
    table = new_table("engine", "optimization profile>", "inputs", "optimized for")
    for engine in engines:
        for index, profile in enumerate(engine.optimization_profiles):
            bounds = "\n".join(f"{each.name}[{_range_text(each.min, each.max)}]" for each in profile)
            best = "\n".join(f"{each.name}[{_range_text(each.opt, each.opt)}]" for each in profile)
            table.add_row(*(Text(cell) for cell in (engine.name, str(index), bounds, best)))
    return table


def _range_text(low: tuple[int, ...], high: tuple[int, ...]) -> str:
    return "x".join(str(a) if a == b else f"{a}..{b}" for a, b in zip(low, high, strict=True))


def _streamable(engine: EngineInfo) -> str:
    estimate = "about " if engine.streamable_estimated and engine.streamable_bytes is not None else ""
    return estimate + bytes_text(engine.streamable_bytes)


def _budget(engine: EngineInfo) -> str:
    budget, streamable = engine.baked_budget, engine.streamable_bytes
    if budget is None:
        return "none"
    if budget == MAX_BYTES:
        return "100%"
    return bytes_text(budget) + (f" ({min(100 * budget // streamable, 100)}%)" if streamable else "")


def _value(value: ValueInfo) -> str:
    name = f"{value.name}:" if value.name else ""
    if value.dtype is None or value.shape is None:
        return name + value.type
    bound = "<=" if value.dynamic else ""
    return f"{name}{value.dtype}[{bound}{'x'.join(str(dim) for dim in value.shape)}]"


def _tensor(tensor: TensorInfo) -> str:
    if tensor.dtype is None or tensor.shape is None:
        return tensor.name
    low, high = tensor.min or tensor.shape, tensor.max or tensor.shape
    dims = (str(d) if d != -1 else f"{a}..{b}" for d, a, b in zip(tensor.shape, low, high, strict=True))
    return f"{tensor.name}:{tensor.dtype}[{'x'.join(dims)}]"
