"""`torchtrt-ws run`: load a .pte under a budget, run it, and say where its weights are."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from torchtrt_ws.runtime import Program

__all__ = ["run"]


def run(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The .pte.")],
    budget: Annotated[
        str | None,
        typer.Option(
            "--weight-streaming-budget",
            metavar="B",
            help='The program\'s total: bytes, "1GiB", "50%", "free-1GiB", "auto".',
        ),
    ] = None,
    per_engine: Annotated[
        list[str] | None,
        typer.Option(
            "--weight-streaming-budget-per-engine", metavar="B", help="For each engine; or NAME=B, repeated, for some."
        ),
    ] = None,
    margin: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help='What automatic budgets leave free: bytes, "64MiB" (the default).'),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(metavar="HOW", help='"latency": spend the total where the profile says it saves the most time.'),
    ] = None,
    profile: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The profile; without it, the one beside the .pte.")
    ] = None,
    device: Annotated[int | None, typer.Option(metavar="N", help="CUDA device, instead of the file's.")] = None,
    inputs: Annotated[
        list[Path] | None,
        typer.Option("--input", metavar="FILE.npy", help="Repeat in the order of the inputs. None at all: zeros."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write output0.npy, ... there (bfloat16, float8: as bytes).")
    ] = None,
    method: Annotated[
        str | None, typer.Option(metavar="NAME", help="The method to run; without, forward or the only one.")
    ] = None,
    trusted_keys: Annotated[
        list[Path] | None,
        typer.Option("--trusted-key", metavar="PUB.pem", help="Run only what one of these keys signed; repeat."),
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, help="Runs; the median is reported.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object; sizes are integer bytes.")] = False,
) -> None:
    """Run a .pte under a budget and show where its weights are."""
    from torchtrt_ws import pte
    from torchtrt_ws.cli import _run_files
    from torchtrt_ws.cli._options import per_engine_budgets
    from torchtrt_ws.runtime import load

    # All that can be wrong with the files is said before the load, which may take minutes.
    chosen = pte.read(path).method(method)
    arrays = _run_files.read_inputs(inputs or [], chosen)
    if output is not None:
        _run_files.check_folder(output)
    started = time.perf_counter()
    program = load(
        path,
        weight_streaming_budget=budget,
        weight_streaming_budget_per_engine=per_engine_budgets(per_engine),
        weight_streaming_margin=margin,
        split=split,
        profile=profile,
        device_id=device,
        trusted_keys=trusted_keys or None,
    )
    load_seconds = time.perf_counter() - started
    seconds, outputs = _repeat(program, chosen.name, arrays if inputs else program.zeros(chosen.name), repeat)
    if output is not None:
        _run_files.write_outputs(output, outputs)
    report = {
        "file": program.file,
        "method": chosen.name,
        "load_seconds": load_seconds,
        "run_seconds": sorted(seconds)[len(seconds) // 2],
        "runs": repeat,
        "outputs": [_describe(value) for value in outputs],
        "engines": [engine.as_dict() for engine in program.engines],
    }
    if as_json:
        print(json.dumps(report))
        return
    from torchtrt_ws.cli import _render  # rich: not for --json

    _render.run(report)


def _repeat(program: Program, method: str, arrays: list[Any], times: int) -> tuple[list[float], list[Any]]:
    from rich.console import Console
    from rich.progress import Progress

    seconds: list[float] = []
    outputs: list[Any] = []
    # On stderr, and only where a person looks: stdout is the answer.
    with Progress(console=Console(stderr=True), transient=True, disable=times == 1) as progress:
        for _ in progress.track(range(times), description="running"):
            started = time.perf_counter()
            outputs = program.run(method, *arrays)
            seconds.append(time.perf_counter() - started)
    return seconds, outputs


def _describe(value: Any) -> dict[str, Any]:
    # A number has no dtype or shape to show.
    return {"dtype": str(getattr(value, "dtype", type(value).__name__)), "shape": list(getattr(value, "shape", ()))}
