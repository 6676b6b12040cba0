"""`torchtrt-ws wrap`: a TensorRT plan to a .pte."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["wrap"]


def wrap(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="A TensorRT or TensorRT-RTX plan.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The .pte to write.")],
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="T",
            help='"x:float16:16x4096", "x:float16:1..8x4096"; repeat in order. None: ask the plan.',
        ),
    ] = None,
    outputs: Annotated[list[str] | None, typer.Option("--output", metavar="T", help="The same for outputs.")] = None,
    budget: Annotated[
        str | None,
        typer.Option("--weight-streaming-budget", metavar="B", help='To bake: bytes, "1GiB", "50%", "auto".'),
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option("--state", metavar="IN=OUT", help="The engine keeps IN from call to call; it becomes OUT."),
    ] = None,
    name: Annotated[str, typer.Option(help="The engine's name.")] = "forward",
    streamable: Annotated[
        int | None,
        typer.Option("--streamable-bytes", metavar="N", help="If known; else the plan's size, as an estimate."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help='"cuda:0": plan inputs and outputs of the engine in device memory.')
    ] = None,
    device_io: Annotated[
        bool, typer.Option("--device-io", help="With --device: the method's own inputs and outputs are there, too.")
    ] = False,
    platform: Annotated[
        str | None,
        typer.Option(
            "--target-platform",
            metavar="P",
            help='What the plan was built for, if not this machine\'s: "windows_x86_64", ...',
        ),
    ] = None,
    capabilities: Annotated[
        list[str] | None,
        typer.Option(
            "--compute-capability",
            metavar="CC",
            help='A GPU that the plan was built for: "9.0"; repeat. None: unknown.',
        ),
    ] = None,
) -> None:
    """Wrap a TensorRT plan in a .pte, with a budget."""
    from torchtrt_ws.export import save_plan

    save_plan(
        plan,
        out,
        inputs=inputs or None,
        outputs=outputs or None,
        name=name,
        state=_state(state) if state else None,
        weight_streaming_budget=budget,
        streamable_bytes=streamable,
        device=device,
        device_io=device_io,
        target_platform=platform,
        compute_capabilities=capabilities or None,
    )


def _state(given: list[str]) -> dict[str, str]:
    pairs = [each.partition("=") for each in given]
    names = [name for name, _, _ in pairs]
    if any(not output for _, _, output in pairs) or len(set(names)) < len(names):
        raise typer.BadParameter("give IN=OUT, each IN once", param_hint="--state")
    return {name: output for name, _, output in pairs}
