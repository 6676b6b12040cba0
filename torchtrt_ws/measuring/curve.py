"""The curve of a whole program, as a table, a picture and a page show it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torchtrt_ws.budget.latency import worth_using
from torchtrt_ws.budget.profile import Point
from torchtrt_ws.measuring.report import BenchReport, Measurement

__all__ = ["CurvePart", "CurvePoint", "curve", "floor_milliseconds"]


@dataclass(frozen=True)
class CurvePart:
    """One engine at a point of the curve. Fields: `EngineAt`."""

    budget_bytes: int
    streamable_bytes: int
    device_bytes: int
    streamed_bytes: int
    milliseconds: float


@dataclass(frozen=True)
class CurvePoint:
    """The program with one total. Sizes are bytes.

    Args:
        budget_bytes: The total.
        device_bytes: On the device, of all engines.
        milliseconds: Of one call, the median.
        p99_milliseconds: 99 of 100 calls took no longer.
        floor_milliseconds: What it takes at least: computing, or streaming at the bandwidth that was seen.
        streamed_bytes: Streamed to the device in one call.
        worth_using: No smaller budget is as fast, and nothing takes less of the device and is as fast.
        automatic: This is what "auto" would keep.
        line: What to write for `load` to take it.
        parts: Its engines, by name.
    """

    budget_bytes: int
    device_bytes: int
    milliseconds: float
    p99_milliseconds: float
    floor_milliseconds: float
    streamed_bytes: int
    worth_using: bool
    automatic: bool
    line: str
    parts: Mapping[str, CurvePart]


def curve(report: BenchReport, batch: int | None) -> list[CurvePoint]:
    """The whole program's measurements at one batch size, by total.

    Args:
        report: What was measured.
        batch: The batch size.
    """
    totals = [each for each in report.totals if each.batch == batch]
    if not totals:
        return []
    points = [Point(each.budget_bytes, each.device_bytes, each.call.milliseconds) for each in totals]
    good = {point.budget_bytes for point in worth_using(points)}
    # Of those measured: no budget lies in the hole, so an automatic one between two of them keeps the smaller.
    automatic = max((each.budget_bytes for each in totals if each.budget_bytes <= report.automatic_bytes), default=0)
    return [_point(report, each, totals, good, automatic) for each in totals]


def floor_milliseconds(report: BenchReport, computing: float, streamed: int) -> float:
    """The least that a call can take: what computing takes, or streaming at the bandwidth that was seen.

    Args:
        report: What was measured.
        computing: Milliseconds of the fastest call.
        streamed: Bytes that are streamed.
    """
    speed = report.bandwidth_bytes_per_second
    return max(computing, streamed / speed * 1e3) if speed else computing


def _point(
    report: BenchReport, at: Measurement, totals: list[Measurement], good: set[int], automatic: int
) -> CurvePoint:
    computing = min(each.call.milliseconds for each in totals)
    sizes = {engine.name: engine.streamable_bytes for engine in report.engines}
    return CurvePoint(
        at.budget_bytes,
        at.device_bytes,
        at.call.milliseconds,
        at.call.p99_milliseconds,
        floor_milliseconds(report, computing, at.streamed_bytes),
        at.streamed_bytes,
        at.budget_bytes in good,
        at.budget_bytes == automatic,
        _line(report, at),
        {
            name: CurvePart(
                each.budget_bytes, sizes[name], each.device_bytes, each.streamed_bytes, each.timing.milliseconds
            )
            for name, each in at.engines.items()
        },
    )


def _line(report: BenchReport, at: Measurement) -> str:
    """A total where there is one engine to take it; else what each gets, as a split by size would be another one."""
    parts = {engine.name: at.engines[engine.name] for engine in report.leaders() if engine.streamable_bytes}
    if len(parts) <= 1:
        return f"weight_streaming_budget={at.budget_bytes}"
    return f"weight_streaming_budget_per_engine={ {name: part.budget_bytes for name, part in parts.items()} }"
