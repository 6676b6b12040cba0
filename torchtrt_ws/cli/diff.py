"""`torchtrt-ws diff`: what two .pte files differ in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["diff"]


def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help="A .pte.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object; sizes are integer bytes.")] = False,
) -> None:
    """Show what two .pte files differ in: methods, engines, budgets. Exit code 0: nothing, 1: something."""
    from torchtrt_ws import pte

    report = pte.diff(a, b)
    if as_json:
        print(json.dumps(report.as_dict()))
    else:
        from torchtrt_ws.cli import _render_diff  # rich: not for --json

        _render_diff.diff(report)
    if not report.same:
        raise typer.Exit(1)
