"""`check`, `bench` and `plan` on a GPU: what bench measures, and what plan says of other budgets."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

PROGRAMS = ("minilm", "big", "decoder")
SECONDS = 25.0  # of measuring, each program
HELD_OUT = (3, 11, 19, 27, 38, 46, 57, 63, 71, 84)  # percent
LEAST_CALLS, CALL_SECONDS = 20, 0.4  # of each held-out budget


def measure(machine: Any, folder: Path) -> dict[str, Any]:
    """Each program through `check`, `bench` and, at other budgets, `plan` and a load of its own.

    Args:
        machine: report.Machine.
        folder: Where profiles, plots and pages go: bench-<program>.{profile.json,svg,html}.
    """
    return {name: _program(machine, name, folder) for name in PROGRAMS if name in machine.facts}


def _program(machine: Any, name: str, folder: Path) -> dict[str, Any]:
    import torchtrt_ws

    path = machine.programs / machine.facts[name]["file"]
    inputs = [np.load(machine.programs / file) for file in machine.facts[name]["inputs"]]
    checked = torchtrt_ws.check(path)
    report = torchtrt_ws.bench(path, inputs=inputs, seconds=SECONDS)
    profile = folder / f"bench-{name}.profile.json"
    report.profile().write(profile)
    rows = [_held_out(path, profile, f"{percent}%", inputs) for percent in HELD_OUT]
    errors = sorted(abs(row["predicted_ms"] / row["ms"] - 1) for row in rows)
    return {
        "loads": checked.ok,
        "bench": report.as_dict(),
        "drawn": _draw(report, folder / f"bench-{name}"),
        "held_out": rows,
        "median_error": statistics.median(errors),
        "largest_error": errors[-1],
    }


def _held_out(path: Path, profile: Path, budget: str, inputs: list[Any]) -> dict[str, Any]:
    import torchtrt_ws

    said = torchtrt_ws.plan(path, budget=budget, profile=profile)
    with torchtrt_ws.load(path, weight_streaming_budget=budget, share_engines=False) as program:
        budgets = {engine.name: engine.budget_bytes for engine in program.engines}
        seconds: list[float] = []
        program(*inputs)
        until = time.perf_counter() + CALL_SECONDS
        while len(seconds) < LEAST_CALLS or time.perf_counter() < until:
            started = time.perf_counter()
            program(*inputs)
            seconds.append(time.perf_counter() - started)
    return {
        "budget": budget,
        "budgets": budgets,
        "planned": {engine.name: engine.budget_bytes for engine in said.engines},
        "ms": statistics.median(seconds) * 1e3,
        "predicted_ms": said.milliseconds,
        "basis": said.basis,
    }


def _draw(report: Any, stem: Path) -> list[str]:
    """Plot and page, where their packages are installed."""
    import torchtrt_ws
    from torchtrt_ws.measuring import targets

    drawn = []
    for suffix, place in ((".svg", "plot"), (".html", "page")):
        target = stem.with_suffix(suffix)
        try:
            targets.write(report, None, **{place: target})
        except torchtrt_ws.EngineError as error:
            drawn.append(f"{target.name}: not drawn: {error}")
        else:
            drawn.append(target.name)
    return drawn
