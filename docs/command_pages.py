"""A page for each subcommand of torchtrt-ws, from what its `--help` prints."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the tree's, whatever is installed

import typer

from torchtrt_ws.cli.main import SUBCOMMANDS, app

__all__ = ["command_pages"]

PROGRAM = "torchtrt-ws"


def command_pages() -> dict[str, str]:
    """The text of each page, by subcommand; first that of the program itself, by its name.

    Each has the summary, the usage, and a table of its arguments and options.
    """
    root: Any = typer.main.get_command(app)
    context = root.make_context(PROGRAM, [], resilient_parsing=True)
    pages = {PROGRAM: _page(PROGRAM, root, context)}
    for name in SUBCOMMANDS:
        command = root.get_command(context, name)
        inner = command.make_context(name, [], parent=context, resilient_parsing=True)
        pages[name] = _page(f"{PROGRAM} {name}", command, inner)
    return pages


def _page(title: str, command: Any, context: Any) -> str:
    usage = " ".join([title, *command.collect_usage_pieces(context)])
    parts = [f"# {title}", _text(command.help), f"    {usage}", "| argument or option | meaning |\n|---|---|"]
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            parts[-1] += f"\n| `{_without_type(record[0])}` | {_text(record[1])} |"
    if hasattr(command, "list_commands"):
        rows = (f"\n| [{name}]({name}.md) | {_text(_summary(command, context, name))} |" for name in SUBCOMMANDS)
        parts.append("| command | what it does |\n|---|---|" + "".join(rows))
    return "\n\n".join(parts) + "\n"


def _summary(group: Any, context: Any, name: str) -> str:
    return str(group.get_command(context, name).help)


def _without_type(name: str) -> str:
    """typer shows Python's types behind a name, between angle brackets."""
    return re.sub(r"\s*<[^<>]*>", "", name)


def _text(text: str | None) -> str:
    """As plain words: nothing in a help text is markup, and a bar would end the cell."""
    return re.sub(r"([*_<>\[\]`|])", r"\\\1", " ".join((text or "").split()))
