"""The cache for people, on stdout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from rich.console import Console, Group
from rich.text import Text

from torchtrt_ws.cache import Entry
from torchtrt_ws.cli._render import bytes_text, new_table

__all__ = ["entries"]


def entries(
    folder: str, found: Sequence[Entry], engines: Mapping[str, Sequence[str]], console: Console | None = None
) -> None:
    """Prints what the cache holds, the least recently used first.

    Args:
        folder: Where it is.
        found: Its entries.
        engines: Digest to the engines that were asked for.
        console: Where to; stdout by default.
    """
    total = bytes_text(sum(entry.bytes for entry in found))
    heading = Text(f"{folder}: {len(found)} {'entry' if len(found) == 1 else 'entries'}, {total}")
    table = new_table("engine", "size>", "last used")
    for entry in found:
        state = (entry.kind, "in use" if entry.in_use else None, entry.problem)
        who = "\n".join(filter(None, [entry.sha256[:12], *state, *engines.get(entry.sha256, ())]))
        when = datetime.fromtimestamp(entry.last_used).strftime("%Y-%m-%d %H:%M")
        table.add_row(*(Text(cell) for cell in (who, bytes_text(entry.bytes), when)))
    (console or Console(highlight=False)).print(Group(heading, table) if found else heading)
