"""`torchtrt-ws annotate`: what torchtrt-ws records, added to a file of Torch-TensorRT."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["annotate"]


def annotate(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The .pte; it is replaced by the annotated one.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="OUT", help="Write this file, and leave FILE as it is.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Add names, checksums and sizes of its engines to a .pte of Torch-TensorRT."""
    from torchtrt_ws import pte

    report = pte.annotate(path, output=out)
    if report.stale_signature is not None:
        again = f"`torchtrt-ws sign {report.file} --key KEY.pem` makes a new one"
        print(f"warning: {report.stale_signature} is not of the changed file: {again}", file=sys.stderr)
    if as_json:
        print(json.dumps(report.as_dict()))
        return
    for name in report.engines:
        print(f"engine {name}: annotated")
    if not report.engines:
        print(f"{report.file}: nothing to add")
