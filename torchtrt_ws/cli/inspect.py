"""`torchtrt-ws inspect`: what is inside a .pte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from torchtrt_ws.pte import DigestReport, ProgramInfo

__all__ = ["inspect"]


def inspect(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The .pte.")],
    details: Annotated[
        bool,
        typer.Option("--details", "-d", help="All of each engine: tensors, profiles, devices, digests, compile specs."),
    ] = False,
    engines: Annotated[
        list[str] | None, typer.Option("--engine", metavar="NAME", help="All of this engine; repeat for others.")
    ] = None,
    streaming: Annotated[
        bool, typer.Option("--streaming", help="What the export did for weights that are streamed, and what it saved.")
    ] = False,
    digest: Annotated[
        bool,
        typer.Option("--digest", help="Read all engines: are they what the file records? Exit code 1: one is not."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object with all; sizes are integer bytes.")] = False,
) -> None:
    """Show the engines of a .pte and their budgets."""
    from torchtrt_ws import pte

    report = pte.read(path)
    found = None
    if digest:
        from torchtrt_ws.cli._progress import progress_bar

        with progress_bar("digests") as progress:
            found = pte.check_digests(path, progress=progress)
    if as_json:
        answer = report.as_dict()
        print(json.dumps(answer if found is None else {**answer, "digests": found.as_dict()["engines"]}))
    else:
        _print(report, found, details or bool(engines), engines or [], streaming)
    if found is not None and not found.all_as_recorded:
        raise typer.Exit(1)


def _print(report: ProgramInfo, found: DigestReport | None, details: bool, engines: list[str], streaming: bool) -> None:
    """Rich is imported here: --json needs none of it."""
    if streaming:
        from torchtrt_ws.cli import _render_streaming

        _render_streaming.streaming(report)
    if details:
        from torchtrt_ws.cli import _render_details

        _render_details.details(report, engines)
    if not (streaming or details):
        from torchtrt_ws.cli import _render_program

        _render_program.program(report)
    if found is not None:
        from torchtrt_ws.cli import _render_digests

        _render_digests.digests(found)
