"""Predictions against what was measured on GPUs (benchmarks/results): of each sweep one budget is held out."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from torchtrt_ws.budget.profile import Point
from torchtrt_ws.planning.memory import WeightGroup, needed
from torchtrt_ws.planning.prediction import at_budget

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
TIMES = ("own_stream_us", "host_io_us", "graph_us", "floor_us", "floor_graph_us")
H100, H200 = (json.loads((RESULTS / f"gpu-{name}.json").read_text()) for name in ("h100", "h200"))


def sweeps() -> dict[str, list[Point]]:
    """Points of one plan each, by budget; 3 and more, the ends among them."""
    found = {}
    for gpu, results in (("h100", H100), ("h200", H200)):
        for plan in ("small", "big"):
            for time in TIMES:
                rows = [Point(r["budget_ours"], r["ours_device_bytes"], r[time] / 1e3) for r in results[plan]]
                found[f"{gpu} {plan} {time}"] = rows
    rows = H200["decoder"]
    body = [r for r in rows if r["export"] == "streaming" and r["budgets"]["forward_head"] > 0]  # the head whole in all
    found["h200 decoder's body"] = [Point(r["budgets"]["forward"], r["device_bytes"], r["ms"]) for r in body]
    return {name: sorted(points, key=lambda point: point.budget_bytes) for name, points in found.items()}


def errors(points: list[Point]) -> list[float]:
    """Of each budget between the ends, predicted from the others."""
    found = []
    for held_out in points[1:-1]:
        others = [point for point in points if point != held_out]
        predicted = at_budget(others, held_out.budget_bytes).milliseconds
        found.append(abs(predicted - held_out.milliseconds) / held_out.milliseconds)
    return found


def test_times() -> None:
    every = [error for points in sweeps().values() for error in errors(points)]
    assert len(every) >= 40
    assert statistics.median(every) <= 0.10
    assert max(every) <= 0.20


def test_times_from_three_points_of_five() -> None:
    """As a quick profile has them: both ends and the middle."""
    every = []
    for points in sweeps().values():
        if len(points) == 5:
            three = [points[0], points[2], points[4]]
            for held_out in (points[1], points[3]):
                predicted = at_budget(three, held_out.budget_bytes).milliseconds
                every.append(abs(predicted - held_out.milliseconds) / held_out.milliseconds)
    assert len(every) >= 20
    assert statistics.median(every) <= 0.10


@pytest.mark.parametrize("row", H200["activation"], ids=lambda row: f"{row['percent']} %")
def test_memory_of_three_engines_in_one_block(row: dict[str, Any]) -> None:
    """The context is what the device held beside all weights; the scratch is the largest engine's, as it reports it."""
    whole = next(each for each in H200["activation"] if each["percent"] == 100)["block"]
    context = whole["device"] - sum(engine["budget"] for engine in whole["engines"])
    scratch = {
        engine["method"]: engine["scratch"]
        for run in H100["split"]
        for engine in run["ours"]["engines"]
        if engine["scratch"]  # the same plans; 0 where all weights were resident
    }
    engines = row["block"]["engines"]
    groups = [WeightGroup(e["method"], e["streamable"], scratch[e["method"]], context) for e in engines]
    predicted = needed({engine["method"]: engine["budget"] for engine in engines}, groups)
    assert predicted == pytest.approx(row["block"]["device"], rel=0.06)
