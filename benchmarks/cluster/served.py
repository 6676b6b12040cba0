"""The model that is served, as measured: what one call takes at a budget, and the budget for some memory."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from torchtrt_ws.budget.profile import Point
from torchtrt_ws.planning.prediction import at_budget

RESULTS = Path(__file__).resolve().parent.parent / "results"
DECODER, PLAN = RESULTS / "decoder-h200-8b.json", RESULTS / "gpu-h200.json"


@dataclass(frozen=True)
class Service:
    """How a replica answers.

    Args:
        milliseconds: One call, however many requests are in it.
        batch: The requests that fit into a call.
        resident: The share of the streamable weights that is on the device, 0 to 1.
        device_bytes: What the replica holds of its device.
    """

    milliseconds: float
    batch: int = 1
    resident: float = 1.0
    device_bytes: int = 0

    @property
    def requests_per_second(self) -> float:
        """The most that it answers, all calls full."""
        return 1e3 * self.batch / self.milliseconds


@dataclass(frozen=True)
class Served:
    """A program as it was measured on one machine.

    Args:
        name: For people.
        source: The file with the measurements.
        points: For each batch size the measurements of the whole program, by budget, from the least to all weights.
        budgets: For each batch size, percent to the budget that it came to; empty for shares of all.
        file_bytes: What has to be on the machine before it can be loaded.
        load_seconds: Loading it in a new process.
        reload: How it was loaded again, in words, and the seconds of that; None if not measured.
    """

    name: str
    source: str
    points: Mapping[int, Sequence[Point]]
    budgets: Mapping[int, Mapping[int, int]]
    file_bytes: int
    load_seconds: float
    reload: tuple[str, float] | None = None

    def at_percent(self, percent: int, batch: int) -> Service:
        """A replica that keeps that share of the weights.

        Args:
            percent: Of the streamable weights, 0 to 100, as `load` takes it.
            batch: One that was measured.
        """
        every = self.points[batch][-1].budget_bytes
        return self._at(self.budgets.get(batch, {}).get(percent, every * percent // 100), batch)

    def within(self, memory: int, batch: int) -> Service:
        """A replica on a device that has so much free for it.

        Args:
            memory: Bytes.
            batch: One that was measured.

        Raises:
            SystemExit: Less than the program takes without any weights.
        """
        budget = largest_budget(self.points[batch], memory)
        if budget is None:
            least = self.points[batch][0].device_bytes
            raise SystemExit(f"{self.name}: found {memory} bytes of a device, expected {least} at least.")
        return self._at(budget, batch)

    def _at(self, budget: int, batch: int) -> Service:
        points = self.points[batch]
        budget = max(budget, points[0].budget_bytes)
        milliseconds = at_budget(points, budget).milliseconds
        return Service(milliseconds, batch, budget / points[-1].budget_bytes, device_bytes(points, budget))


def largest_budget(points: Sequence[Point], memory: int) -> int | None:
    """The most weights that can be kept, in bytes; None if not even the first point fits.

    Args:
        points: Measurements by budget. Device memory is linear between two of them; above the last but one it grows
            byte by byte, until all weights fit, which need no scratch.
        memory: Bytes of the device.
    """
    *streaming, whole = points
    if whole.device_bytes <= memory:
        return whole.budget_bytes
    fitting = [point for point in streaming if point.device_bytes <= memory]
    if not fitting:
        return None
    last = fitting[-1]
    above = next((point for point in streaming if point.budget_bytes > last.budget_bytes), None)
    if above is None:
        return last.budget_bytes + memory - last.device_bytes
    share = (memory - last.device_bytes) / (above.device_bytes - last.device_bytes)
    return last.budget_bytes + int(share * (above.budget_bytes - last.budget_bytes))


def device_bytes(points: Sequence[Point], budget: int) -> int:
    """What a budget takes of the device, by the same rule.

    Args:
        points: Measurements by budget.
        budget: Bytes, at most all weights.
    """
    *streaming, whole = points
    if budget == whole.budget_bytes:
        return whole.device_bytes
    for low, high in pairwise(streaming):
        if low.budget_bytes <= budget <= high.budget_bytes:
            share = (budget - low.budget_bytes) / (high.budget_bytes - low.budget_bytes)
            return low.device_bytes + int(share * (high.device_bytes - low.device_bytes))
    return streaming[-1].device_bytes + budget - streaming[-1].budget_bytes


def decoder(path: Path = DECODER) -> Served:
    """The decoder of benchmarks/gpu/decoder, one token a call; its two engines count as one.

    Args:
        path: What `measure.py` there wrote.
    """
    results = json.loads(path.read_text())
    points: dict[int, list[Point]] = {}
    budgets: dict[int, dict[int, int]] = {}
    for batch in (1, 8):
        budgets[batch] = {}
        rows = []
        for row in results[f"ours-{batch}"]["rows"]:
            budget = sum(each["budget_bytes"] for each in row["engines"].values())
            rows.append(Point(budget, row["device_bytes"], row[f"batch_{batch}"]["decode"]["ms"]))
            if "percent" in row:
                budgets[batch][row["percent"]] = budget
        points[batch] = sorted(rows, key=lambda point: point.budget_bytes)
    loads = [row["load_seconds"] for row in results["ours-1"]["rows"]]
    return Served(
        "a decoder of Llama 3 8B's shape, one token a call",
        f"benchmarks/results/{path.name}",
        points,
        budgets,
        results["build-1"]["weight_bytes"],
        loads[0],
        ("loaded before by the same process", min(loads)),
    )


def plan(path: Path = PLAN) -> Served:
    """The plan of 537 MB of the GPU report, whose loads were measured with and without a runtime cache.

    Args:
        path: What tests/gpu/report.py wrote.
    """
    results = json.loads(path.read_text())
    rows = sorted(results["big"], key=lambda row: row["percent"])
    points = [Point(row["budget_ours"], row["ours_device_bytes"], row["host_io_us"] / 1e3) for row in rows]
    (half,) = (row["samples"] for row in results["runtime_cache"]["big"] if row["percent"] == 50)
    off, hit = (statistics.median(each["load_seconds"] for each in half[key]) for key in ("off", "second"))
    name = f"a plan of {points[-1].budget_bytes / 1e6:.0f} MB"
    source = f"benchmarks/results/{path.name}"
    return Served(name, source, {1: points}, {}, points[-1].budget_bytes, off, ("a runtime cache", hit))


def from_bench(path: Path) -> Served:
    """A program by what `torchtrt-ws bench m.pte --json` printed.

    Args:
        path: Its file.

    Raises:
        SystemExit: A file that is no such report, or has fewer than two budgets.
    """
    try:
        report: dict[str, Any] = json.loads(path.read_text())
        points: dict[int, list[Point]] = {}
        for row in report["totals"]:
            point = Point(row["budget_bytes"], row["device_bytes"], row["call"]["milliseconds"])
            points.setdefault(row["batch"] or 1, []).append(point)
        loaded, streamable = report["load_seconds"], report["streamable_bytes"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SystemExit(
            f"{path}: found no report ({error!r}), expected what `torchtrt-ws bench m.pte --json` prints."
        ) from None
    for found in points.values():
        found.sort(key=lambda point: point.budget_bytes)
    if not points or any(len(found) < 2 or found[-1].budget_bytes != streamable for found in points.values()):
        expected = f"a sweep up to all {streamable} bytes of weights"
        raise SystemExit(f"{path}: found one budget or none for all weights, expected {expected}. Measure it again.")
    return Served(Path(report["file"]).name, path.name, points, {}, streamable, loaded)
