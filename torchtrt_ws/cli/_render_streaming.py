"""What `torchtrt-ws inspect --streaming` prints."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.text import Text

from torchtrt_ws.blob import StreamingFacts
from torchtrt_ws.cli._render import bytes_text, new_table
from torchtrt_ws.pte import ProgramInfo

__all__ = ["streaming"]

_UNKNOWN = 'not recorded: save(engine="tensorrt_rtx") does'


def streaming(report: ProgramInfo, console: Console | None = None) -> None:
    """Prints what the export of each engine did for weights that are streamed.

    Args:
        report: What `torchtrt_ws.pte.read` found.
        console: Where to; stdout by default.
    """
    report.require_engines()
    engines = new_table("engine", "part", "streamable>", "scratch, about>", "largest weights")
    for each in report.engines:
        facts = each.streaming
        cells = [each.name, "?", bytes_text(each.streamable_bytes), "?", _UNKNOWN]
        if facts is not None:
            largest = "\n".join(f"{weight.name}  {bytes_text(weight.bytes)}" for weight in facts.largest)
            cells[1:] = [facts.part, cells[2], bytes_text(facts.scratch_bytes), largest]
        engines.add_row(*(Text(cell) for cell in cells))  # Text: a name may hold rich's markup
    parts: list[RenderableType] = [engines]
    of_methods = {each.method: each.streaming for each in reversed(report.engines) if each.streaming is not None}
    for method in report.methods:
        if method.name in of_methods:
            parts.append(Text("\n".join(f"{method.name}: {line}" for line in _lines(of_methods[method.name]))))
    (console or Console(highlight=False)).print(Group(*parts))


def _lines(facts: StreamingFacts) -> Iterator[str]:
    """What was done to a method. `facts` are those of its first engine."""
    for moved in facts.tables:
        size = bytes_text(moved.bytes)
        yield f"table {moved.name} ({size}) stays on the host: a call moves the rows that it needs, not {size}"
    if facts.head is not None:
        yield f"head {facts.head.name} ({bytes_text(facts.head.bytes)}) has an engine of its own"
    before, after = facts.plain_scratch_bytes, facts.scratch_bytes
    if facts.tables or facts.head is not None:
        yield (
            f"scratch of the first engine about {bytes_text(after)} instead of {bytes_text(before)}: "
            f"{bytes_text(before - after)} saved below full residency"
        )
    else:
        yield "one engine, nothing moved"
    yield from facts.notes
