"""What `torchtrt-ws check` prints for people."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.text import Text

from torchtrt_ws.cli._facts import facts
from torchtrt_ws.runtime.check_report import CheckReport

__all__ = ["check"]


def check(report: CheckReport, console: Console | None = None) -> None:
    """Prints a report: a line for each fact, with what to do below it.

    Args:
        report: What `torchtrt_ws.check` found.
        console: Where to; stdout by default.
    """
    heading = "will load here" if report.ok else "will not load here"
    parts: list[RenderableType] = [Text(f"{report.file}: {heading}")]
    for engine in report.engines:
        about = f" ({engine.kind}, method {engine.method})" if engine.kind else f" (method {engine.method})"
        parts += [Text(f"\nengine {engine.name}{about}"), facts(engine.facts)]
    if report.facts:
        parts += [Text("\nprogram"), facts(report.facts)]
    if report.isolated is not None and not report.isolated.ok:
        parts.append(Text("\nlast lines of the isolated load"))
        parts += [Text(line) for line in report.isolated.stderr]
    (console or Console(highlight=False)).print(Group(*parts))
