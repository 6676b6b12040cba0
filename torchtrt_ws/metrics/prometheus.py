"""The engines as Prometheus reads them. `prometheus_client` is imported here and nowhere else, in functions only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from torchtrt_ws.errors import EngineError
from torchtrt_ws.metrics.series import INFO, METRICS, engines, facts, labels

if TYPE_CHECKING:
    from prometheus_client import Metric
    from prometheus_client.registry import Collector

__all__ = ["collector", "text"]

_PREFIX = "torchtrt_ws_engine_"


def collector() -> Collector:
    """For a registry of `prometheus_client`, beside what the program measures itself.

    Returns:
        Reads the engines each time the registry is asked. Counters are `torchtrt_ws_engine_runs_total` and the like,
        gauges `torchtrt_ws_engine_budget_bytes`; bytes and seconds, labels program, engine, device and id.

    Raises:
        EngineError: `prometheus_client` is not installed.

    Example:
        prometheus_client.REGISTRY.register(torchtrt_ws.metrics.collector())
        prometheus_client.start_http_server(8000)
    """
    try:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
        from prometheus_client.registry import Collector
    except ImportError as error:
        raise EngineError(
            "metrics", f"no prometheus_client ({error})", "that package", "Run `pip install torchtrt-ws[metrics]`."
        ) from error

    class Engines(Collector):
        """All live engines of the process."""

        def collect(self) -> Iterator[Metric]:
            reports = engines()
            named = [(report, labels(report)) for report in reports]
            keys = list(labels({"id": 0, "name": "", "device": ""}))
            for metric in METRICS:
                kind = CounterMetricFamily if metric.is_counter else GaugeMetricFamily
                family = kind(_PREFIX + metric.name, metric.help, labels=keys)
                for report, names in named:
                    family.add_metric(list(names.values()), float(report[metric.field]))
                yield family
            info = GaugeMetricFamily(_PREFIX + INFO.name, INFO.help, labels=[*keys, *_INFO_KEYS])
            for report, names in named:
                info.add_metric([*names.values(), *dict(facts(report)).values()], 1)
            yield info

    return Engines()


def text() -> str:
    """A page in Prometheus's text format, for a program that serves `/metrics` itself.

    Returns:
        The page; of media type `prometheus_client.CONTENT_TYPE_LATEST`.

    Raises:
        EngineError: `prometheus_client` is not installed.
    """
    engines_only = collector()
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(engines_only)
    return generate_latest(registry).decode()


_INFO_KEYS = [key for key, _ in facts({"id": 0, "method": "", "kind": "", "source": "", "shared_with": []})]
