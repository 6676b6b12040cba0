"""The curve as a picture, by matplotlib (the extra "plot")."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO

from torchtrt_ws.atomic import check_target, write_atomically
from torchtrt_ws.measuring.curve import curve
from torchtrt_ws.measuring.report import BenchReport
from torchtrt_ws.measuring.targets import require

__all__ = ["plot"]

_UNITS = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))
_COLOURS = ("#0b7285", "#c2255c", "#5f3dc4", "#2b8a3e", "#d9480f")  # of the batches, in turn


def plot(report: BenchReport, path: str | os.PathLike[str]) -> None:
    """Draws latency against device memory, with what it takes at least, the budgets worth using and the automatic one.

    Args:
        report: What was measured.
        path: The picture; its suffix says what it is: .png, .svg or .pdf.

    Raises:
        EngineError: matplotlib is not installed.
        ProgramError: The file cannot be written.
    """
    target = check_target(path)
    require("matplotlib")
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    largest = max(each.device_bytes for each in report.totals)
    unit, size = next(((name, size) for name, size in _UNITS if largest >= size), ("bytes", 1))
    for number, batch in enumerate(report.batches):
        colour = _COLOURS[number % len(_COLOURS)]
        points = sorted(curve(report, batch), key=lambda each: each.device_bytes)
        x = [each.device_bytes / size for each in points]
        name = "measured" if batch is None else f"batch {batch}"
        y = [each.milliseconds for each in points]
        axes.plot(x, y, ".-", color=colour, label=name, alpha=0.6, gid=f"measured-{number}")
        floor = [each.floor_milliseconds for each in points]
        label = "max(compute, streamed / bandwidth)" if number == 0 else None
        axes.plot(x, floor, ":", color=colour, label=label)
        good = [each for each in points if each.worth_using]
        ends = [each.device_bytes / size for each in good], [each.milliseconds for each in good]
        axes.plot(*ends, "o", color=colour, label="worth using" if number == 0 else None, gid=f"worth-{number}")
        for each in points:
            if each.automatic:
                label = "automatic" if number == 0 else None
                at = each.device_bytes / size, each.milliseconds
                gid = f"automatic-{number}"
                axes.plot(*at, "D", color=colour, label=label, markersize=11, fillstyle="none", gid=gid)
    axes.set_xlabel(f"device memory, {unit}")
    axes.set_ylabel("one call, ms")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)
    figure.legend(frameon=False, loc="outside lower center", ncols=4)
    figure.suptitle(_plain(f"{Path(report.file).name} on {_where(report)}"), fontsize=10)
    picture = io.BytesIO()
    # No date, no random names: the same report gives the same file.
    nothing = {"Date": None} if target.suffix.lower() == ".svg" else {}
    with matplotlib.rc_context({"svg.hashsalt": "torchtrt-ws"}):
        figure.savefig(picture, format=target.suffix.lower().lstrip("."), dpi=150, metadata=nothing)

    def put(file: BinaryIO) -> None:
        file.write(picture.getvalue())

    write_atomically(target, put)


def _where(report: BenchReport) -> str:
    return ", ".join(sorted({engine.gpu for engine in report.engines if engine.gpu})) or report.machine


def _plain(text: str) -> str:
    """Names are names: matplotlib takes what is between two dollars for mathematics."""
    return text.replace("$", r"\$")
