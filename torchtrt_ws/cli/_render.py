"""Tables for people, on stdout."""

from __future__ import annotations

from typing import Any

from rich.console import Console, Group
from rich.text import Text

from torchtrt_ws.cli._table import Listing

__all__ = ["bytes_text", "new_table", "run"]

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def bytes_text(size: int | None) -> str:
    """A size for people: exact below 1 KiB, three digits above; "unknown" for None."""
    if size is None:
        return "unknown"
    value, unit = float(size), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{size} B" if unit == 0 else f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {_UNITS[unit]}"


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


def new_table(*columns: str) -> Listing:
    """An empty table.

    Args:
        columns: Their names; those that end in ">" are aligned to the right.
    """
    return Listing(*columns)
