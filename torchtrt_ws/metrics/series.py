"""What is told of each engine, once for all formats: names, units, and where the number stands in a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torchtrt_ws import memory
from torchtrt_ws.runtime.files import file_of

__all__ = ["INFO", "METRICS", "Metric", "engines", "facts", "labels"]


@dataclass(frozen=True)
class Metric:
    """One number of every engine.

    Args:
        name: In Prometheus, without the prefix `torchtrt_ws_engine_` and the suffix `_total` of counters.
        field: In a report (`torchtrt_ws.memory.engines`).
        is_counter: It only grows while the engine lives; else a gauge.
        unit: "By" and "s" as UCUM has them, as OpenTelemetry asks for; "{run}" and the like count things.
        help: One sentence.
    """

    name: str
    field: str
    is_counter: bool
    unit: str
    help: str


METRICS = (
    Metric("runs", "runs", True, "{run}", "Calls that succeeded."),
    Metric("run_seconds", "seconds", True, "s", "Time spent in these calls."),
    Metric(
        "streamed_bytes", "streamed_bytes", True, "By",
        "Weights that these calls streamed to the device: computed, streamable less budget for each.",
    ),
    Metric(
        "streamed_bytes_per_second", "streamed_bytes_per_second", False, "By/s",
        "What calls that waited for their work streamed, over the time that they took.",
    ),
    Metric("streamable_bytes", "streamable_bytes", False, "By", "Weights that can stay in host memory."),
    Metric("budget_bytes", "budget_bytes", False, "By", "Of these, kept on the device; shared weights share it."),
    Metric("wanted_bytes", "wanted_bytes", False, "By", "The budget before somebody needed of it."),
    Metric("scratch_bytes", "scratch_bytes", False, "By", "Device memory that streaming needs beside the budget."),
    Metric("device_bytes", "device_bytes", False, "By", "On the device now; shared weights count for one engine."),
    Metric("budget_clipped", "clipped", False, "1", "1 where more was asked than is streamable."),
    Metric("asleep", "asleep", False, "1", "1 while it sleeps."),
    Metric("ladder_steps", "ladder_steps", True, "{step}", "Automatic budgets that did not fit."),
    Metric("graph_hits", "graph_hits", True, "{run}", "Runs that replayed a CUDA graph."),
    Metric("cache_hits", "cache_hits", True, "{load}", "Loads that found what they prepare in a cache on disk."),
    Metric("cache_misses", "cache_misses", True, "{load}", "Loads that prepared it."),
    Metric("context_seconds", "context_seconds", False, "s", "What making the last execution context took."),
)  # fmt: skip

INFO = Metric("info", "", False, "1", "1; what is not a number is in the labels.")


def engines() -> list[dict[str, Any]]:
    """Reports of all live engines of the process, in loading order."""
    return memory.engines()


def labels(report: Mapping[str, Any]) -> dict[str, str]:
    """What tells an engine's series from others'. `id` is never used again, so one that is loaded anew is a new series.

    Args:
        report: Of the engine.
    """
    return {
        "program": file_of(report["id"]),  # "" where not `load` loaded it
        "engine": report["name"],
        "device": report["device"],
        "id": str(report["id"]),
    }


def facts(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The labels that `INFO` has besides.

    Args:
        report: Of the engine.
    """
    yield "method", report["method"]
    yield "kind", report["kind"]
    yield "source", report["source"]
    yield "weights", str(min([report["id"], *report["shared_with"]]))  # equal where engines share them
