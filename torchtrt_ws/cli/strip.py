"""`torchtrt-ws strip`: the weights of a program into a file of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["strip"]


def strip(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The .pte.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT", help="The .pte to write; may be FILE.")],
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights", metavar="W", help="For a TensorRT engine: its .safetensors or .onnx. Needs TensorRT and a GPU."
        ),
    ] = None,
    weights_path: Annotated[
        Path | None,
        typer.Option("--weights-path", metavar="PTD", help="Where the weights go; else OUT with the suffix .ptd."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object; sizes are integer bytes.")] = False,
) -> None:
    """Write a program without its weights, and these into a file beside it."""
    from torchtrt_ws.cli._render import bytes_text
    from torchtrt_ws.export import strip

    report = strip(path, out, weights=weights, weights_path=weights_path)
    if as_json:
        print(json.dumps(report.as_dict()))
        return
    print(f"{report.file}: {bytes_text(report.bytes_before)} -> {bytes_text(report.bytes_after)}")
    print(f"{report.weights_file}: {bytes_text(report.weights_bytes)}")
