"""Measure a program over its budgets: which are worth using, its profile, its plot and its page."""

from torchtrt_ws.measuring.bench import bench
from torchtrt_ws.measuring.report import BenchReport, EngineAt, MeasuredEngine, Measurement, Unfit
from torchtrt_ws.measuring.samples import Timing

__all__ = ["BenchReport", "EngineAt", "MeasuredEngine", "Measurement", "Timing", "Unfit", "bench"]
