"""Counts as the protocol's statistics extension has them."""

from __future__ import annotations

from typing import Any

__all__ = ["statistics"]


def statistics(model: str, version: str, counts: dict[str, int]) -> dict[str, Any]:
    """Of one model. `inference_count` are rows, `execution_count` calls: fewer where requests were joined.

    Args:
        model: Its name.
        version: Of the model.
        counts: From `counters.summed`.
    """
    zero = {"count": 0, "ns": 0}
    return {
        "name": model,
        "version": version,
        "last_inference": counts["last_ms"],
        "inference_count": counts["rows"],
        "execution_count": counts["calls"],
        "inference_stats": {
            "success": {"count": counts["requests"], "ns": counts["queue_ns"] + counts["compute_ns"]},
            "fail": {"count": counts["refused"], "ns": 0},
            "queue": {"count": counts["requests"], "ns": counts["queue_ns"]},
            "compute_input": zero,
            "compute_infer": {"count": counts["calls"], "ns": counts["compute_ns"]},
            "compute_output": zero,
        },
        "batch_stats": [],
    }
