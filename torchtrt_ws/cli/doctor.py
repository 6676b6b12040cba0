"""`torchtrt-ws doctor`: whether programs can be run on a GPU here."""

from __future__ import annotations

import json
from typing import Annotated

import typer

__all__ = ["doctor"]


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object; sizes are integer bytes.")] = False,
) -> None:
    """Tell whether programs can run on a GPU here, and what to do first. Exit code 1: they cannot."""
    from torchtrt_ws.diagnosis import doctor as diagnose

    diagnosis = diagnose()
    if as_json:
        print(json.dumps(diagnosis.as_dict()))
    else:
        from torchtrt_ws.cli import _render_doctor  # rich: not for --json

        _render_doctor.diagnosis(diagnosis)
    if not diagnosis.ready:
        raise typer.Exit(1)
