"""`torchtrt-ws set-budget`: another baked budget for a saved program."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["set_budget"]


def set_budget(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The .pte; it is changed in place.")],
    budget: Annotated[
        str | None,
        typer.Argument(metavar="BUDGET", help='The program\'s total: bytes, "1GiB", "50%"; "auto" bakes nothing.'),
    ] = None,
    engines: Annotated[
        list[str] | None,
        typer.Option("--engine", metavar="NAME", help="BUDGET is for this engine; NAME=B: B is. Repeat for others."),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Bake nothing, as BUDGET auto.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="OUT", help="Write this file, and leave FILE as it is.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object; sizes are integer bytes.")] = False,
) -> None:
    """Change the budget that is baked into a .pte, without saving it again."""
    from torchtrt_ws import pte

    if clear and budget is not None:
        raise typer.BadParameter("give a budget or --clear, not both", param_hint="BUDGET")
    given, names = _forms("auto" if clear else budget, engines or [])
    report = pte.set_budget(path, given, engines=names, output=out)
    for name in report.without_effect:
        print(f"warning: engine {name!r} has no weights that can be streamed: nothing is baked for it", file=sys.stderr)
    if report.stale_signature is not None:
        again = f"`torchtrt-ws sign {report.file} --key KEY.pem` makes a new one"
        print(f"warning: {report.stale_signature} is not of the changed file: {again}", file=sys.stderr)
    if as_json:
        print(json.dumps(report.as_dict()))
        return
    for engine in report.engines:
        print(f"engine {engine.name}: {_shown(engine.before)} -> {_shown(engine.after)}")


def _forms(budget: str | None, engines: list[str]) -> tuple[str | dict[str, str | int | None], list[str] | None]:
    """What `pte.set_budget` takes: a budget for the program or for some engines, or a mapping."""
    named = [engine.partition("=") for engine in engines]
    names = [name for name, _, _ in named]
    if len(set(names)) < len(names):  # the last would win, silently
        raise typer.BadParameter("an engine twice", param_hint="--engine")
    own = [name for name, equals, _ in named if equals]
    if budget is None:
        if not own or len(own) < len(names):
            raise typer.BadParameter("give a budget, --clear, or --engine NAME=B for each", param_hint="BUDGET")
        return {name: value for name, _, value in named}, None
    if own:
        raise typer.BadParameter("give BUDGET, or --engine NAME=B, not both", param_hint="BUDGET")
    return budget, names or None


def _shown(baked: int | None) -> str:
    from torchtrt_ws.budget import MAX_BYTES

    return "none" if baked is None else "100%" if baked == MAX_BYTES else f"{baked} bytes"
