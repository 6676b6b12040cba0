"""The answers as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

LEFT_OUT = """\
It is a model. A call takes the measured median, always: no stragglers, no jitter, no failures. Each GPU computes and
copies like the one that was measured, unless `link=` and `compute=` of `--gpus` and `--cards` say otherwise; GPUs of
other memory were not measured. GPUs of one host that share a link are slower than here (`link=`), as is a host whose
memory is busy. A request is one call. Routers know the replicas as they are at that moment, and routing, network and
tokenizing take no time. One replica runs on a GPU, one call at a time: several on one do not help where weights stream,
since the link is what they wait for (`gpu-h100.md`, calls at the same time). A call of a batch takes as long when it is
not full. Another seed may give a GPU more or less where the deadline is just met."""


def markdown(answers: dict[str, Any]) -> str:
    """The tables.

    Args:
        answers: As `__main__` puts them together.
    """
    parts = [
        "# Beyond one machine, by simulation",
        f"`{answers['command']}`; {answers['model']}, measured on one GPU (`{answers['source']}`).",
        LEFT_OUT,
        "## What it assumes",
        "Not measured, and so each a flag:",
        _table(("what", "value", "flag", "why this value"), (each.values() for each in answers["assumptions"])),
        "## Cost of 1000 requests",
        f"A replica to a GPU, least outstanding, p99 within {answers['deadline_seconds']:g} s, nothing refused. "
        "GPUs that are needed, and in parentheses GPU-hours for 1000 requests" + _priced(answers) + ":",
        _cost_table(answers["cost"], _gpus),
        "Streaming saves where one GPU is enough either way: a GPU that has less memory and is cheaper by any amount. "
        "With more requests it saves only if the GPU's price is below this part of the price of one that holds all "
        "weights:",
        _cost_table(answers["cost"], lambda row: _number(row["break_even"], "{:.2f}")),
        *_batched(answers["cost"]),
        "![Cost of 1000 requests over requests a second](cluster-cost.svg)",
        "## Routing over GPUs of several sizes",
        '"Most resident" is routing by budget: of replicas with the same number of requests the one that keeps more '
        "weights. "
        f"{answers['models']} such models on each GPU share its memory and get the same number of requests: "
        + ", ".join(
            f"{each['gpu']}: {100 * each['resident']:.0f} % resident, {each['ms']:.1f} ms" for each in answers["gpus"]
        )
        + ".",
        _routing_table(answers["routing"]),
        "![p99 over load for each policy](cluster-routing.svg)",
        "## Replicas",
        f"Equal GPUs, least outstanding, {answers['replicas_percent']} % resident: p99 in calls, where 1 is no wait.",
        _replicas_table(answers["replicas"]),
        "## Cold starts",
        f"{answers['scaled']['percent']} % resident, {answers['scaled']['ms']:.1f} ms a call. Seconds, by what the "
        "node has:",
        _stages_table(answers["cold_starts"]),
        answers["loads"],
        f"And {answers['plan']}, which was loaded with and without a runtime cache, each time by a new process "
        "(`gpu-h200.md`):",
        _stages_table(answers["plan_cold_starts"]),
        f"Autoscaled like Ray Serve, {answers['scaled']['least']} to {answers['scaled']['most']} replicas: "
        f"{answers['scaled']['low']:.1f} requests a second for {answers['scaled']['low_seconds'] / 60:g} minutes, then "
        f"{answers['scaled']['high']:.1f} for {answers['scaled']['high_seconds'] / 60:g}, "
        f"{answers['scaled']['repeats']} times. Missed is refused or later than "
        f"{answers['deadline_seconds']:g} s. A replica that waits loaded misses too: nothing starts "
        f"before more has been needed for {answers['scaled']['upscale_delay']:g} s.",
        _table(
            ("found", "cold start s", "missed", "p50 ms", "p99 ms", "GPU-hours", "busy"),
            (
                (
                    each["found"],
                    _number(each["cold_start_seconds"], "{:.1f}"),
                    f"{100 * each['missed']:.2f} %",
                    f"{each['p50_ms']:.0f}",
                    f"{each['p99_ms']:.0f}",
                    f"{each['gpu_hours']:.1f}",
                    f"{100 * each['utilization']:.0f} %",
                )
                for each in answers["autoscaling"]
            ),
        ),
        "![Missed deadlines over the seconds of a cold start](cluster-cold-starts.svg)",
    ]
    return "\n\n".join(parts) + "\n"


def _batched(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Small GPUs that stream for several requests at once, against large ones that do not batch."""
    least = min(row["batch"] for row in rows)
    batched = [row for row in rows if row["batch"] > least]
    if not batched:
        return []
    return [
        f"And with batches on GPUs that stream, against GPUs that hold all weights and take {least} a call:",
        _cost_table(batched, lambda row: _number(row["break_even_alone"], "{:.2f}")),
    ]


def _stages_table(rows: Sequence[dict[str, Any]]) -> str:
    keys = ("image", "weights", "load", "call", "first_answer")
    return _table(
        ("found", "image", "program", "load", "first call", "first answer"),
        ((each["found"], *(f"{each[key]:.2f}" for key in keys)) for each in rows),
    )


def _table(header: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _priced(answers: dict[str, Any]) -> str:
    priced = any(each["price"] != 1 for each in answers["cards"])
    return " times the GPU's price" if priced else ": a GPU's hour costs 1, whatever its memory"


def _gpus(row: dict[str, Any]) -> str:
    return "none" if row["replicas"] is None else f"{row['replicas']} ({row['cost']:.3g})"


def _cost_table(rows: Sequence[dict[str, Any]], cell: Any) -> str:
    rates = list(dict.fromkeys(row["rate"] for row in rows))
    lines: dict[tuple[int, int], list[str]] = {}
    for row in rows:
        start = [
            str(row["batch"]),
            f"{row['percent']} %",
            f"{row['device_bytes'] / 1e9:.1f}",
            row["gpu"] or "none",
            f"{row['ms']:.1f}",
        ]
        lines.setdefault((row["batch"], row["percent"]), start).append(cell(row))
    header = ("batch", "resident", "device GB", "GPU", "ms a call", *(f"{rate:g}/s" for rate in rates))
    return _table(header, lines.values())


def _routing_table(rows: Sequence[dict[str, Any]]) -> str:
    return _table(
        ("of capacity", "policy", "p50 ms", "p99 ms", "answers/s", "refused"),
        (
            (
                f"{100 * row['load']:.0f} %",
                row["policy"],
                f"{row['p50_ms']:.1f}",
                f"{row['p99_ms']:.1f}",
                f"{row['answers_per_second']:.1f}",
                f"{100 * row['refused']:.1f} %",
            )
            for row in rows
        ),
    )


def _replicas_table(rows: Sequence[dict[str, Any]]) -> str:
    loads = list(dict.fromkeys(row["load"] for row in rows))
    lines: dict[int, list[str]] = {}
    for row in rows:
        lines.setdefault(row["replicas"], [str(row["replicas"])]).append(f"{row['p99_calls']:.2f}")
    return _table(("replicas", *(f"{100 * load:.0f} % busy" for load in loads)), lines.values())
