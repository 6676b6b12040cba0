"""Options that several subcommands take."""

from __future__ import annotations

import typer

__all__ = ["per_engine_budgets"]


def per_engine_budgets(values: list[str] | None) -> str | dict[str, int | str | None] | None:
    """Reads `--weight-streaming-budget-per-engine`.

    Args:
        values: What was given: one budget for each engine, or NAME=B several times.

    Returns:
        What `load` takes. Both forms at once, and an engine twice, are wrong usage.
    """
    if not values:
        return None
    named = [value.partition("=") for value in values]
    if len(values) == 1 and not named[0][1]:
        return values[0]
    if any(not equals for _, equals, _ in named):
        raise typer.BadParameter(
            "give one value, or NAME=B for each", param_hint="--weight-streaming-budget-per-engine"
        )
    names = [name for name, _, _ in named]
    if len(set(names)) < len(names):  # the last would win, silently
        raise typer.BadParameter("an engine twice", param_hint="--weight-streaming-budget-per-engine")
    return {name: value for name, _, value in named}
