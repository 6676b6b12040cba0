"""A plan for people, on stdout."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from torchtrt_ws.cli._render import bytes_text, new_table
from torchtrt_ws.planning import BOUND, EnginePlan, Plan

__all__ = ["plan"]


def plan(found: Plan, console: Console | None = None) -> None:
    """Prints a plan: its answer, its sizes and times, a row for each engine, and what is not known.

    Args:
        found: The plan.
        console: Where to; stdout by default.
    """
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(found):
        facts.add_row(Text(name), Text(value))
    table = new_table("engine", "budget>", "of>", "ms>")
    for engine in found.engines:
        sizes = (bytes_text(engine.budget_bytes), bytes_text(engine.streamable_bytes))
        table.add_row(*(Text(cell) for cell in (engine.name, *sizes, _milliseconds(engine))))
    parts: list[RenderableType] = [Text(f"{found.file}: {_answer(found)}"), facts, table]
    parts += [Text(note) for note in found.notes]
    if found.baked:
        parts.append(Text("These budgets are baked into the file now."))
    (console or Console(highlight=False)).print(Group(*parts))


def _answer(found: Plan) -> str:
    memory = bytes_text(found.memory_bytes)
    if not found.fits:
        return f"does not fit into {memory}"
    if found.latency_milliseconds is None:
        return f"fits into {memory}"
    target = f"{found.latency_milliseconds:.4g} ms"
    if found.meets_latency is None:
        return f"fits into {memory}; whether a call takes {target} at most cannot be told"
    return f"fits into {memory}, {'within' if found.meets_latency else 'but not within'} {target}"


def _facts(found: Plan) -> list[tuple[str, str]]:
    facts = [
        ("takes", f"{bytes_text(found.needed_bytes)} with a margin of {bytes_text(found.margin_bytes)}"),
        ("least memory", _exact(found.least_memory_bytes)),
        ("all resident", bytes_text(found.full_memory_bytes)),
    ]
    if found.milliseconds is not None and found.items_per_second is not None:
        below, above = ("at least ", "at most ") if found.basis == BOUND else ("", "")
        batch = "" if found.batch is None else f", batch {found.batch}"
        facts.append(("latency", f"{below}{found.milliseconds:.4g} ms ({found.basis}{batch})"))
        facts.append(("throughput", f"{above}{found.items_per_second:.4g} a second"))
    if found.latency_milliseconds is not None:
        more = found.latency_memory_bytes
        least = "with no memory, or not known" if more is None else _exact(more)
        facts.append((f"for {found.latency_milliseconds:.4g} ms", least))
    if found.profile is not None:
        facts.append(("profile", found.profile))
    return facts


def _exact(size: int) -> str:
    """For people who take it for `--memory`: a size that was rounded down would not do."""
    return f"{bytes_text(size)} ({size} bytes)"


def _milliseconds(engine: EnginePlan) -> str:
    if engine.milliseconds is None:
        return "?"
    return f"{'>' if engine.basis == BOUND else ''}{engine.milliseconds:.4g}"
