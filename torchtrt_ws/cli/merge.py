"""`torchtrt-ws merge`: the weights of a program back into it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["merge"]


def merge(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The .pte without its weights.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT", help="The .pte to write; may be FILE.")],
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", metavar="PTD", help="The file with the weights; else the one beside FILE. Repeat."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object; sizes are integer bytes.")] = False,
) -> None:
    """Write a program with the weights in it that are in a file of their own."""
    from torchtrt_ws.cli._render import bytes_text
    from torchtrt_ws.export import merge

    report = merge(path, out, data=data or None)
    if as_json:
        print(json.dumps(report.as_dict()))
        return
    print(f"{report.file}: {bytes_text(report.bytes_before)} -> {bytes_text(report.bytes_after)}")
