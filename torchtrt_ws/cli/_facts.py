"""Facts with their verdicts, as `check` and `doctor` print them for people."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from torchtrt_ws.cli._render import bytes_text
from torchtrt_ws.facts import ADVICE, NO, OK, Fact

__all__ = ["facts"]

_STYLES = {OK: "green", ADVICE: "yellow", NO: "bold red"}  # on terminals only
_MIB = 2**20


def facts(found: Iterable[Fact]) -> Table:
    """A line for each fact, with what to do below it.

    Args:
        found: The facts.
    """
    table = Table.grid(padding=(0, 1))  # no frame: the text has what it takes of 40 columns
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for fact in found:
        text = Text(fact.found + _sizes(fact.bytes))
        if fact.remedy:
            text.append(f"\n{fact.remedy}")
        table.add_row(Text(fact.name), Text(fact.verdict, style=_STYLES.get(fact.verdict, "dim")), text)
    return table


def _sizes(sizes: dict[str, int]) -> str:
    """Those of a MiB or more once more, as people read them; limits that are none are left out."""
    large = [f"{name} {bytes_text(size)}" for name, size in sizes.items() if _MIB <= size < 2**63 - 1]
    return f" [{', '.join(large)}]" if large else ""
