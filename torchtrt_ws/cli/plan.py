"""`torchtrt-ws plan`: the budgets for a device that is not here, and what they cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["plan"]


def plan(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The .pte.")],
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help='What it may take of the device: bytes, "12GiB". Without: what --latency or all needs.'
        ),
    ] = None,
    bandwidth: Annotated[
        str | None,
        typer.Option(metavar="B", help='From host to device, "25GB/s": bounds the latency where there is no profile.'),
    ] = None,
    latency: Annotated[str | None, typer.Option(metavar="T", help='What a call may take: "50ms".')] = None,
    batch: Annotated[int | None, typer.Option(metavar="N", min=1, help="The batch; else the one measured.")] = None,
    profile: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What was measured; without it, the profile beside the .pte.")
    ] = None,
    margin: Annotated[
        str | None, typer.Option(metavar="SIZE", help='What of the memory stays free: bytes, "64MiB" (the default).')
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(metavar="B", help='What this total takes, in bytes or as "50%"; else the best is found.'),
    ] = None,
    bake: Annotated[
        bool, typer.Option("--bake", help="Bake the budgets into FILE, if it fits and is fast enough.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object; sizes are integer bytes.")] = False,
) -> None:
    """Find the budgets for a device that is not here, and what they cost. Exit code 1: no room, or too slow."""
    from torchtrt_ws import planning

    found = planning.plan(
        path,
        memory=memory,
        bandwidth=bandwidth,
        latency=latency,
        batch=batch,
        profile=profile,
        margin=margin,
        budget=budget,
        bake=bake,
    )
    if as_json:
        print(json.dumps(found.as_dict()))
    else:
        from torchtrt_ws.cli import _render_plan  # rich: not for --json

        _render_plan.plan(found)
    if not found.ok:
        raise typer.Exit(1)
