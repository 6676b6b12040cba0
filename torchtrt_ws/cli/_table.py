"""Tables that can be read in a narrow terminal too, and text from files that a terminal does not act on."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

__all__ = ["Listing", "facts", "heading"]

_WIDE = 80  # columns: from here on, cells are folded where a table does not fit
_ANY_WIDTH = 1 << 16


class Listing:
    """A table; where the terminal is narrow and it does not fit, a block of lines for each row.

    Args:
        columns: Their names; those that end in ">" are aligned to the right.
    """

    def __init__(self, *columns: str) -> None:
        self._names = [column.rstrip(">") for column in columns]
        self._table = Table(header_style="bold")
        for column, name in zip(columns, self._names, strict=True):
            self._table.add_column(name, justify="right" if column.endswith(">") else "left", overflow="fold")
        self._rows: list[tuple[Text, ...]] = []

    def add_row(self, *cells: Text) -> None:
        """Adds `cells`, one for each column. They are Text: a name may hold rich's markup."""
        shown = tuple(Text(_printable(cell.plain)) for cell in cells)
        self._rows.append(shown)
        self._table.add_row(*shown)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        needed = Measurement.get(console, options.update(max_width=_ANY_WIDTH), self._table).maximum
        if options.max_width >= _WIDE or needed <= options.max_width:
            yield self._table
            return
        for first, *others in self._rows:
            title = Text.assemble((f"{self._names[0]} ", "bold"), first) if first.plain else Text()
            labels = zip(self._names[1:], others, strict=True)
            yield Group(title, facts((label, cell.plain) for label, cell in labels if cell.plain))


def heading(text: str, style: str = "") -> Text:
    """One line.

    Args:
        text: What it says; a line break in it is escaped.
        style: Rich's.
    """
    return Text(_printable(text).replace("\n", "\\n"), style=style)


def facts(lines: Iterable[tuple[str, str]]) -> RenderableType:
    """Lines of a label and what it is, one below the other.

    Args:
        lines: The labels with their texts.
    """
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for label, value in lines:
        grid.add_row(heading(label), Text(_printable(value)))
    return Padding(grid, (0, 0, 0, 2), expand=False)


def _printable(text: str) -> str:
    """Escape codes and the like as they are written in Python: names in a file may be anything."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode("ascii") for c in text)
