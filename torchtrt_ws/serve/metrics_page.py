"""One page for Prometheus of what several replicas tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST as MEDIA_TYPE
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

__all__ = ["MEDIA_TYPE", "page"]

_PREFIX = "torchtrt_ws_serve_"
_COUNTERS = {
    "requests": ("requests", "Requests answered with outputs.", 1.0),
    "refused": ("refused", "Requests answered with an error.", 1.0),
    "rows": ("rows", "Rows of these requests.", 1.0),
    "calls": ("calls", "Calls of the program.", 1.0),
    "queue_ns": ("queue_seconds", "Between a request's arrival and its call.", 1e-9),
    "compute_ns": ("compute_seconds", "In calls.", 1e-9),
}

Told = tuple[str, list[Metric], dict[str, int]]


class _Merged(Collector):
    def __init__(self, told: Mapping[str, Iterable[Any]]) -> None:
        self._told = [(model, *each) for model, found in told.items() for each in found if isinstance(each, tuple)]

    def collect(self) -> Iterator[Metric]:
        merged: dict[str, Metric] = {}
        for model, replica, families, _ in self._told:
            for family in families:
                whole = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for name, labels, value, *_rest in family.samples:
                    whole.add_sample(name, {"model": model, "replica": replica, **labels}, value)
        yield from merged.values()
        for field, (name, text, factor) in _COUNTERS.items():
            counter = CounterMetricFamily(_PREFIX + name, text, labels=["model", "replica"])
            for model, replica, _, counts in self._told:
                counter.add_metric([model, replica], counts[field] * factor)
            yield counter


def page(told: Mapping[str, Iterable[Any]]) -> bytes:
    """The page; of media type `MEDIA_TYPE`.

    Args:
        told: By model, what its replicas' `Replica.metrics` gave. Exceptions among them are left out: a replica that
            died has no numbers.
    """
    registry = CollectorRegistry()
    registry.register(_Merged(told))
    return generate_latest(registry)
