"""`torchtrt-ws combine`: programs for several GPUs to one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["combine"]


def combine(
    paths: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="The .pte files, in the order to try their plans in.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT", help="The .pte to write; may be one of them.")],
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", metavar="PTD", help="A file with weights; else those beside the FILEs. Repeat."),
    ] = None,
    weights_path: Annotated[
        Path | None,
        typer.Option("--weights-path", metavar="PTD", help="Where the weights go; else OUT with the suffix .ptd."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object; sizes are integer bytes.")] = False,
) -> None:
    """Write one program for several GPUs, from one without its weights for each of them."""
    from torchtrt_ws.cli._render import bytes_text
    from torchtrt_ws.export import combine

    report = combine(paths, out, data=data or None, weights_path=weights_path)
    if as_json:
        print(json.dumps(report.as_dict()))
        return
    print(f"{report.file}: {bytes_text(report.bytes)}")
    print(f"{report.weights_file}: {bytes_text(report.weights_bytes)}")
    for name, plans in report.plans.items():
        for number, made_for in enumerate(plans, 1):
            print(f"{name}, plan {number}: {made_for}")
