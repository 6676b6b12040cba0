"""What measure.py found, as a table and as plots: latency and tokens a second over device memory."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

KINDS = (("decode", 1), ("decode", 8), ("prefill", 1))
LABELS = {
    "ours": "torchtrt-ws",
    "bare": "bare TensorRT, plain export",
    "double_buffer": "PyTorch, pinned double buffer",
    "accelerate": "accelerate",
    "diffusers": "diffusers, group offloading",
    "eager": "PyTorch, all on the device",
}
COLUMNS = (
    "device memory GB",
    "",
    "ms",
    "tokens/s",
    "link's limit ms",
    "load s",
    "again s",
    "host peak GB",
    "cosine, eager",
    "eager in float32",
)


def rows_of(results: dict[str, Any], rival: str, batch: int) -> list[dict[str, Any]]:
    """The rows of a rival that have that batch, from the least device memory."""
    part = f"{rival}-{batch}" if rival in ("ours", "bare") else rival
    rows = [row for row in results.get(part, {}).get("rows", []) if f"batch_{batch}" in row]
    return sorted(rows, key=lambda row: float(row["device_bytes"]))


def curves(results: dict[str, Any], kind: str, batch: int) -> Iterator[tuple[str, list[tuple[float, float, float]]]]:
    """For each rival, (bytes of device memory, ms, tokens a second)."""
    for rival in LABELS:
        found = []
        for row in rows_of(results, rival, batch):
            one = row[f"batch_{batch}"].get(kind)
            if one:
                found.append((row["device_bytes"], one["ms"], one["tokens_per_second"]))
        if found:
            yield rival, found


def weight_bytes(results: dict[str, Any]) -> float:
    found = [results.get(f"build-{batch}", {}).get("weight_bytes") for batch in (1, 8)]
    return next((each for each in found if each), math.nan)


def limit_ms(results: dict[str, Any], device_bytes: float) -> float:
    """The milliseconds that the link needs for what cannot be on the device, at that size of device memory."""
    speed = results.get("link", {}).get("bytes_per_second") or math.nan
    every = weight_bytes(results)
    return 1e3 * max(0.0, every - device_bytes) / speed


def markdown(results: dict[str, Any], shape: Any, title: str) -> str:
    machine = results.get("machine", {})
    build = results.get("build-1", {})
    lines = [f"# {title}", "", "`python benchmarks/gpu/decoder/measure.py`, " + said(machine) + "."]
    lines += ["", f"Shape: {said(asdict(shape))}; computed in float16, random weights of a seed."]
    if "note" in results:
        lines += ["", results["note"]]
    speed = results.get("link", {}).get("bytes_per_second")
    if speed and not math.isnan(speed):
        limit = (
            "The link's limit is what it needs for all weights that do not fit; a table on the host need not cross it."
        )
        lines += ["", f"Copies from pinned memory: {speed / 1e9:.1f} GB/s. {limit}"]
    if "weight_bytes" in build:
        text = "Weights {:.2f} GB. Built from models without weights in {:.0f} s (ours) and {:.0f} s (plain)."
        lines += ["", text.format(build["weight_bytes"] / 1e9, build["ours_seconds"], build["bare_seconds"])]
    lines += [
        "",
        "Load: until a call can run. Again: of a program that was loaded before; its kernels are in TensorRT-RTX's "
        "runtime cache. Cosines: of the prompt's logits with eager PyTorch's, and with its own where weights and "
        "arithmetic are float32.",
    ]
    for kind, batch in KINDS:
        lines += ["", f"## {kind}, batch {batch}", ""]
        lines += ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
        listed = []
        for rival in LABELS:
            for row in rows_of(results, rival, batch):
                one = row[f"batch_{batch}"].get(kind)
                if one is None:
                    continue
                load, again = (row.get(key) for key in ("load_seconds", "load_again_seconds"))
                cells = (
                    f"{row['device_bytes'] / 1e9:.2f}",
                    f"{LABELS[rival]}{which(row)}",
                    f"{one['ms']:.2f}",
                    f"{one['tokens_per_second']:.1f}",
                    f"{limit_ms(results, row['device_bytes']):.1f}",
                    "" if load is None else f"{load:.1f}",
                    "" if again is None else f"{again:.1f}",
                    f"{row['host_peak_bytes'] / 1e9:.1f}",
                    *(f"{row[key]:.5f}" if key in row else "" for key in ("cosine", "cosine_float32")),
                )
                listed.append((row["device_bytes"], "| " + " | ".join(cells) + " |"))
        lines += [text for _, text in sorted(listed, key=lambda each: float(each[0]))]
    failed = {part: each["failed"] for part, each in results.items() if isinstance(each, dict) and "failed" in each}
    lines += ["", *(f"Failed: {part}: {why.splitlines()[-1]}" for part, why in failed.items())]
    return "\n".join(lines).rstrip() + "\n"


def which(row: dict[str, Any]) -> str:
    if "percent" in row:
        return f", {row['percent']} %"
    return f", {row['free'] / 1e9:.0f} GB free" if "free" in row else ""


def said(facts: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in facts.items())


def plot(results: dict[str, Any], path: Path, title: str) -> None:
    """Two rows of axes: latency and tokens a second. Shaded: where nobody is who streams all that is not on the device.
    Who leaves the table on the host, and looks up rows there, can be."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    figure, axes = pyplot.subplots(2, len(KINDS), figsize=(15, 8), sharex=True, squeeze=False)
    every = weight_bytes(results)
    colors = {rival: f"C{number}" for number, rival in enumerate(LABELS)}
    shown = {rival for kind, batch in KINDS for rival, _ in curves(results, kind, batch)}
    for column, (kind, batch) in enumerate(KINDS):
        latency, speed = axes[0][column], axes[1][column]
        for rival, found in curves(results, kind, batch):
            x = [each[0] / 1e9 for each in found]
            for axis, index in ((latency, 1), (speed, 2)):
                axis.plot(x, [each[index] for each in found], marker="o", markersize=4, color=colors[rival])
        if not math.isnan(limit_ms(results, 0)):
            x = [every / 1e9 * step / 50 for step in range(50)]
            latency.fill_between(x, [limit_ms(results, each * 1e9) for each in x], color="0.85")
        latency.set_title(f"{kind}, batch {batch}")
        latency.set_yscale("log")
        speed.set_yscale("log")
        speed.set_xlabel("device memory, GB")
        latency.grid(alpha=0.3)
        speed.grid(alpha=0.3)
    axes[0][0].set_ylabel("ms a call")
    axes[1][0].set_ylabel("tokens a second")
    marks = [
        Line2D([], [], color=colors[rival], marker="o", markersize=4, label=LABELS[rival])
        for rival in LABELS
        if rival in shown
    ]
    shade = Patch(color="0.85", label="not with all weights streamed")
    figure.legend(handles=[*marks, shade], loc="lower center", ncols=len(marks) + 1, fontsize=9)
    figure.suptitle(title)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def write(results: dict[str, Any], stem: Path, shape: Any) -> None:
    """Writes STEM.json, STEM.md and, with matplotlib, STEM.png."""
    title = f"A decoder larger than the device's memory: {stem.name.removeprefix('decoder-')}"
    stem.with_suffix(".json").write_text(json.dumps({"shape": asdict(shape), **results}, indent=1) + "\n")
    text = markdown(results, shape, title)
    try:
        plot(results, stem.with_suffix(".png"), title)
        text += f"\n![Latency and tokens a second over device memory]({stem.name}.png)\n"
    except ImportError:
        text += "\nNo plot: matplotlib is not installed.\n"
    stem.with_suffix(".md").write_text(text)
