"""`torchtrt-ws warm`: what loads of a .pte prepare is in the cache before it is deployed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from torchtrt_ws.warming import WarmReport

__all__ = ["warm"]


def warm(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Programs (.pte).")],
    budget: Annotated[
        str | None,
        typer.Option("--weight-streaming-budget", metavar="B", help="As `run` takes it; the cache serves any."),
    ] = None,
    device: Annotated[int | None, typer.Option(metavar="N", help="CUDA device, instead of the file's.")] = None,
    trusted_keys: Annotated[
        list[Path] | None,
        typer.Option("--trusted-key", metavar="PUB.pem", help="Load only what one of these keys signed; repeat."),
    ] = None,
    run: Annotated[bool, typer.Option("--run/--no-run", help="Call each method with zeros, too.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object for each file, a line each.")] = False,
) -> None:
    """Fill the cache, so that a .pte's first load is as quick as later ones. Exit code 1: an engine stays cold."""
    from torchtrt_ws.warming import warm as warm_program

    cold = False
    for path in paths:
        report = warm_program(
            path, weight_streaming_budget=budget, device_id=device, trusted_keys=trusted_keys or None, run=run
        )
        cold = cold or not report.ok
        if as_json:
            print(json.dumps(report.as_dict()), flush=True)
        else:
            _say(report)
    if cold:
        raise typer.Exit(1)


def _say(report: WarmReport) -> None:
    calls = f"{report.calls} call{'' if report.calls == 1 else 's'}"
    print(f"{report.file}: loaded in {report.load_seconds:.2f} s, then {calls}; now in {report.warm_seconds:.2f} s")
    for engine in report.engines:
        print(f"  engine {engine.name} ({engine.kind}): {engine.state}", flush=True)
