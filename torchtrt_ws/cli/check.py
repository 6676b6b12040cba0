"""`torchtrt-ws check`: whether a .pte will load here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["check"]


def check(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The .pte.")],
    budget: Annotated[
        str | None,
        typer.Option("--weight-streaming-budget", metavar="B", help="As `run` takes it; none: what a load would take."),
    ] = None,
    per_engine: Annotated[
        list[str] | None,
        typer.Option("--weight-streaming-budget-per-engine", metavar="B", help="As `run` takes it."),
    ] = None,
    margin: Annotated[
        str | None, typer.Option(metavar="SIZE", help="What automatic budgets leave free: bytes, 64MiB (the default).")
    ] = None,
    device: Annotated[int | None, typer.Option(metavar="N", help="CUDA device, instead of the file's.")] = None,
    digest: Annotated[
        bool, typer.Option("--digest", help="Read all of it, and compare checksums and SHA-256.")
    ] = False,
    isolated: Annotated[
        bool, typer.Option("--isolated", help="Load and run it once, too, in a process that may crash.")
    ] = False,
    inputs: Annotated[
        list[Path] | None,
        typer.Option("--input", metavar="FILE.npy", help="With --isolated, in the order of the inputs. None: zeros."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object; sizes are integer bytes.")] = False,
) -> None:
    """Tell whether a .pte will load here. Exit code 1: it will not."""
    from torchtrt_ws.cli._options import per_engine_budgets
    from torchtrt_ws.runtime import check as check_program

    if inputs and not isolated:
        raise typer.BadParameter("is for --isolated", param_hint="--input")
    report = check_program(
        path,
        weight_streaming_budget=budget,
        weight_streaming_budget_per_engine=per_engine_budgets(per_engine),
        weight_streaming_margin=margin,
        device_id=device,
        digest=digest,
        isolated=isolated,
        inputs=inputs or (),
    )
    if as_json:
        print(json.dumps(report.as_dict()))
    else:
        from torchtrt_ws.cli import _render_check  # rich: not for --json

        _render_check.check(report)
    if not report.ok:
        raise typer.Exit(1)
