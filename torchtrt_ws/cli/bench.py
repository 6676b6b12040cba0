"""`torchtrt-ws bench`: measure a .pte over its budgets, and write its profile, its plot and its page."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from torchtrt_ws.measuring.clock import Progress

__all__ = ["bench"]


def bench(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The .pte.")],
    budgets: Annotated[
        str | None,
        typer.Option(metavar="B,B,...", help='What to measure, "0,50%,1GiB,auto", instead of looking for the steps.'),
    ] = None,
    seconds: Annotated[float, typer.Option(metavar="S", help="What measuring may take.")] = 60.0,
    resolution: Annotated[
        str | None, typer.Option(metavar="SIZE", help="How exactly steps are found; else 1/64, or 1MiB if more.")
    ] = None,
    method: Annotated[str | None, typer.Option(metavar="NAME", help="One method; else all that have engines.")] = None,
    inputs: Annotated[
        list[Path] | None,
        typer.Option("--input", metavar="FILE.npy", help="Repeat in the order of the inputs. None at all: zeros."),
    ] = None,
    batch: Annotated[
        str | None, typer.Option(metavar="N,N,...", help="Sizes of the first dynamic dimension; else the largest.")
    ] = None,
    cuda_graph: Annotated[str | None, typer.Option(metavar="HOW", help='"auto", "on" or "off", as for load.')] = None,
    profile: Annotated[
        Path | None,
        typer.Option(
            "--profile", "-o", metavar="OUT.json", help="Where the profile goes; else beside FILE, if of all."
        ),
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="OUT.png", help="Draw the curve: .png, .svg or .pdf.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="OUT.html", help="Write a page that picks a budget.")] = None,
    trusted_keys: Annotated[
        list[Path] | None,
        typer.Option("--trusted-key", metavar="PUB.pem", help="Measure only what one of these keys signed; repeat."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object with all; sizes are integer bytes.")] = False,
) -> None:
    """Measure a .pte over its budgets and say which are worth using. Writes its profile."""
    from torchtrt_ws import measuring
    from torchtrt_ws.budget.profile import beside
    from torchtrt_ws.cli._arrays import read_array
    from torchtrt_ws.measuring import targets

    if inputs and batch is not None:
        raise typer.BadParameter("give --batch or --input, not both", param_hint="--batch")
    sizes = None if batch is None else _sizes(batch)
    # A load takes no profile that lacks an engine: one of some must not replace one of all.
    out = beside(path) if profile is None and targets.whole(path, method) else profile
    targets.check(path, out, plot, html)  # before a minute goes by
    with _progress() as progress:
        report = measuring.bench(
            path,
            budgets=None if budgets is None else [each.strip() for each in budgets.split(",")],
            seconds=seconds,
            resolution=resolution,
            method=method,
            inputs=[read_array(file) for file in inputs] if inputs else None,
            batches=sizes,
            cuda_graph=cuda_graph,
            trusted_keys=trusted_keys or None,
            progress=progress,
        )
    targets.write(report, out, plot, html)
    for each in report.least_unfit():
        print(f"warning: from {each.budget_bytes} bytes on nothing fits: {each.reason}", file=sys.stderr)
    if as_json:
        print(json.dumps(report.as_dict()))
        return
    from torchtrt_ws.cli import _render_bench  # rich: not for --json

    _render_bench.bench(report, out)


def _sizes(text: str) -> list[int]:
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and int(word) > 0 for word in words):
        raise typer.BadParameter(f"{text!r}: give sizes above 0, such as 1,8,32", param_hint="--batch")
    return [int(word) for word in words]


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on stderr, and only where a person looks."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[left]}"))
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("loading", total=None, left="")

        def tell(spent: float, seconds: float, what: str) -> None:
            left = max(seconds - spent, 0.0)
            bar.update(task, total=seconds, completed=spent, description=what, left=f"{left:.0f} s left at most")

        yield tell
