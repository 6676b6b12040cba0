"""What `torchtrt-ws bench` says to people, on stdout."""

from __future__ import annotations

import os

from rich.console import Console, Group, RenderableType
from rich.text import Text

from torchtrt_ws.cli._render import bytes_text, new_table
from torchtrt_ws.cli._table import heading
from torchtrt_ws.measuring import BenchReport, MeasuredEngine
from torchtrt_ws.measuring.curve import CurvePoint, curve
from torchtrt_ws.measuring.report import points_of, worth

__all__ = ["bench"]


def bench(report: BenchReport, profile: str | os.PathLike[str] | None, console: Console | None = None) -> None:
    """Prints the budgets that are worth using.

    Args:
        report: What was measured.
        profile: Where its profile is; None: it has none.
        console: Where to; stdout by default.
    """
    count = sum(len(_budgets(engine)) for engine in report.leaders())
    done = "" if report.finished else "; the time was over before all steps were found"
    speed = report.bandwidth_bytes_per_second
    streamed = "nothing was streamed" if speed is None else f"up to {speed / 1e9:.3g} GB/s streamed"
    parts: list[RenderableType] = [
        Text(f"{report.file}: {count} budgets in {report.seconds:.1f} s{done}; {streamed}"),
    ]
    for batch in report.batches:
        of = "" if batch is None else f", batch {batch}"
        if len(report.engines) > 1:
            parts += [_engine(engine, batch, of) for engine in report.engines if engine.streamable_bytes]
        points = curve(report, batch)
        parts.append(_program(f"Budgets worth using{of}", [point for point in points if point.worth_using]))
        parts += [
            Text(f"auto: {bytes_text(at.budget_bytes)}, {at.milliseconds:.4g} ms") for at in points if at.automatic
        ]
    where = "none, as it would lack the engines of other methods" if profile is None else os.fspath(profile)
    parts.append(Text(f"profile: {where}"))
    (console or Console(highlight=False)).print(Group(*parts))


def _program(title: str, points: list[CurvePoint]) -> Group:
    table = new_table("budget>", "on the device>", "ms>", "p99>")
    for point in points:
        sizes = bytes_text(point.budget_bytes), bytes_text(point.device_bytes)
        table.add_row(*map(Text, (*sizes, f"{point.milliseconds:.4g}", f"{point.p99_milliseconds:.4g}")))
    return Group(heading(title, "italic"), table)


def _engine(engine: MeasuredEngine, batch: int | None, of: str) -> Group:
    table = new_table("budget>", "on the device>", "ms>")
    points = points_of(engine, batch)
    good = worth(points)
    for point in points:
        if point.budget_bytes in good:
            sizes = bytes_text(point.budget_bytes), bytes_text(point.device_bytes)
            table.add_row(*map(Text, (*sizes, f"{point.milliseconds:.4g}")))
    return Group(heading(f"Engine {engine.name}{of}", "italic"), table)


def _budgets(engine: MeasuredEngine) -> set[int]:
    return {each.engines[engine.name].budget_bytes for each in engine.sweep}
