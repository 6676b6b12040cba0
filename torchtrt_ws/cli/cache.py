"""`torchtrt-ws cache`: what the cache on disk holds, and less of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from torchtrt_ws.cache import Removal

__all__ = ["cache"]

_ACTIONS = ("clear", "prune")


def cache(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="clear|prune|FILE",
            help="Nothing: list what is there. clear: remove all of it; prune: the least recently used, down to --max. "
            "With programs (.pte), list or clear what belongs to them.",
        ),
    ] = None,
    most: Annotated[
        str | None,
        typer.Option("--max", metavar="SIZE", help='For prune: bytes, "10GiB"; else the limit of all loads.'),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object; sizes are integer bytes.")] = False,
) -> None:
    """Show or shrink the cache on disk: host engines' packed weights, TensorRT-RTX's kernels. What is in use stays."""
    from torchtrt_ws import cache as caches

    given = list(arguments or ())
    action = given.pop(0) if given and given[0] in _ACTIONS else None
    if most is not None and action != "prune":
        raise typer.BadParameter("only prune takes it", param_hint="--max")
    if action == "prune" and given:
        raise typer.BadParameter("prune goes by use, not by files", param_hint="FILE")
    files = _engines_of(given)
    digests = sorted(files) if given else None
    if action is not None:
        removal = caches.prune(most) if action == "prune" else caches.clear(digests)
        if as_json:
            print(json.dumps(removal.as_dict()))
        else:
            _say(removal)
        return
    found = caches.entries(digests)
    listed = [{**entry.as_dict(), "engines": files.get(entry.sha256, [])} for entry in found]
    where = str(caches.folder())
    if as_json:
        total = sum(entry.bytes for entry in found)
        print(json.dumps({"folder": where, "bytes": total, "limit_bytes": caches.limit(), "entries": listed}))
        return
    from torchtrt_ws.cli import _render_cache  # rich: not for --json

    _render_cache.entries(where, found, files)


def _engines_of(paths: list[str]) -> dict[str, list[str]]:
    """Digest to the engines of the files that have it: "model.pte: forward"."""
    from torchtrt_ws import pte

    found: dict[str, list[str]] = {}
    for path in paths:
        for engine in pte.read(Path(path)).engines:
            digests = [each.sha256 for each in engine.variants]
            if not digests and engine.sha256 is not None:
                digests = [engine.sha256]
            for digest in digests:
                found.setdefault(digest, []).append(f"{path}: {engine.name}")
    return found


def _say(removal: Removal) -> None:
    from torchtrt_ws.cli._render import bytes_text

    for entry in removal.in_use:
        print(f"in use, kept: {entry.name} ({bytes_text(entry.bytes)})")
    count = len(removal.removed)
    freed, left = bytes_text(removal.bytes_freed), bytes_text(removal.bytes_left)
    print(f"{count} {'entry' if count == 1 else 'entries'} removed, {freed} freed, {left} left")
