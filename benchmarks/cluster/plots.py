"""The answers as pictures (SVG). The same answers give the same files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = ("#c2255c", "#0b7285", "#5f3dc4", "#2b8a3e", "#d9480f")


def draw(answers: dict[str, Any], folder: Path) -> None:
    """Writes cluster-routing.svg, cluster-cost.svg and cluster-cold-starts.svg.

    Args:
        answers: As `__main__` puts them together.
        folder: Where to.
    """
    for name, put in (("routing", _routing), ("cost", _cost), ("cold-starts", _cold_starts)):
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        axes = figure.subplots()
        put(axes, answers)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
        with matplotlib.rc_context({"svg.hashsalt": "torchtrt-ws"}):
            figure.savefig(folder / f"cluster-{name}.svg", metadata={"Date": None})


def _routing(axes: Axes, answers: dict[str, Any]) -> None:
    policies = dict.fromkeys(row["policy"] for row in answers["routing"])
    for policy, colour in zip(policies, COLOURS, strict=False):
        rows = [row for row in answers["routing"] if row["policy"] == policy]
        x, y = [100 * row["load"] for row in rows], [row["p99_ms"] for row in rows]
        axes.plot(x, y, "o-", color=colour, label=policy)
    axes.set_yscale("log")
    axes.set_xlabel("requests, % of what all GPUs can answer")
    axes.set_ylabel("p99, ms")
    axes.set_title("GPUs of " + ", ".join(each["gpu"] for each in answers["gpus"]), fontsize=10)


def _cost(axes: Axes, answers: dict[str, Any]) -> None:
    rows = [row for row in answers["cost"] if row["cost"] is not None]
    styles = {batch: style for batch, style in zip(sorted({r["batch"] for r in rows}), ("--", "-", ":"), strict=False)}
    percents = sorted({row["percent"] for row in rows})
    for percent, colour in zip(percents, COLOURS, strict=False):
        for batch, style in styles.items():
            found = [row for row in rows if (row["percent"], row["batch"]) == (percent, batch)]
            x, y = [row["rate"] for row in found], [row["cost"] for row in found]
            axes.plot(x, y, style, marker=".", color=colour, label=f"{percent} % resident, batch {batch}")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("requests a second")
    axes.set_ylabel("cost of 1000 requests (an hour of a GPU: 1, or its price)")
    axes.set_title(f"p99 within {answers['deadline_seconds']:g} s", fontsize=10)


def _cold_starts(axes: Axes, answers: dict[str, Any]) -> None:
    delays = dict.fromkeys(row["upscale_delay"] for row in answers["autoscaling_sweep"])
    for delay, style in zip(delays, ("-", "--"), strict=False):
        sweep = [row for row in answers["autoscaling_sweep"] if row["upscale_delay"] == delay]
        x, y = [row["cold_start_seconds"] for row in sweep], [100 * row["missed"] for row in sweep]
        axes.plot(x, y, style, marker=".", color="#495057", label=f"decided after {delay:g} s")
    for row, colour in zip(answers["autoscaling"], COLOURS, strict=False):
        if row["cold_start_seconds"] is not None:
            axes.plot([row["cold_start_seconds"]], [100 * row["missed"]], "D", color=colour, label=row["found"])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("seconds from the decision to start a replica until it takes requests")
    axes.set_ylabel(f"requests refused or later than {answers['deadline_seconds']:g} s, %")
