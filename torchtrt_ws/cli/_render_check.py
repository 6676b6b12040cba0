"""What `torchtrt-ws check` prints for people."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from torchtrt_ws.cli._render import bytes_text
from torchtrt_ws.runtime.check_report import ADVICE, NO, OK, CheckReport, Fact

__all__ = ["check"]

_STYLES = {OK: "green", ADVICE: "yellow", NO: "bold red"}  # on terminals only
_MIB = 2**20


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
        parts += [Text(f"\nengine {engine.name}{about}"), _facts(engine.facts)]
    if report.facts:
        parts += [Text("\nprogram"), _facts(report.facts)]
    if report.isolated is not None and not report.isolated.ok:
        parts.append(Text("\nlast lines of the isolated load"))
        parts += [Text(line) for line in report.isolated.stderr]
    (console or Console(highlight=False)).print(Group(*parts))


def _facts(facts: tuple[Fact, ...]) -> Table:
    table = Table.grid(padding=(0, 1))  # no frame: the text has what it takes of 40 columns
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for fact in facts:
        text = Text(fact.found + _sizes(fact.bytes))
        if fact.remedy:
            text.append(f"\n{fact.remedy}")
        table.add_row(Text(fact.name), Text(fact.verdict, style=_STYLES.get(fact.verdict, "dim")), text)
    return table


def _sizes(sizes: dict[str, int]) -> str:
    """Those of a MiB or more once more, as people read them; limits that are none are left out."""
    large = [f"{name} {bytes_text(size)}" for name, size in sizes.items() if _MIB <= size < 2**63 - 1]
    return f" [{', '.join(large)}]" if large else ""
