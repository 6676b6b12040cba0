"""`torchtrt-ws inspect`: what is inside a .pte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["inspect"]


def inspect(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The .pte.")],
    streaming: Annotated[
        bool, typer.Option("--streaming", help="What the export did for weights that are streamed, and what it saved.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object; sizes are integer bytes.")] = False,
) -> None:
    """Show the engines of a .pte and their budgets."""
    from torchtrt_ws import pte

    report = pte.read(path)
    if as_json:
        print(json.dumps(report.as_dict()))  # with what --streaming shows
        return
    if streaming:
        from torchtrt_ws.cli import _render_streaming

        _render_streaming.streaming(report)
        return
    from torchtrt_ws.cli import _render  # rich: not for --json

    _render.program(report)
