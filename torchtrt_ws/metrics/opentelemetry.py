"""The engines for OpenTelemetry, where its API is installed: imported here and nowhere else, in functions only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from torchtrt_ws import __version__
from torchtrt_ws.errors import EngineError
from torchtrt_ws.metrics.series import INFO, METRICS, Metric, engines, facts, labels

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

__all__ = ["observe"]

_PREFIX = "torchtrt_ws.engine."


def observe(meter_provider: MeterProvider | None = None) -> None:
    """Makes the engines' numbers observable instruments: `torchtrt_ws.engine.runs`, `torchtrt_ws.engine.budget_bytes`.

    Once for a provider: a second call would give every number twice.

    Args:
        meter_provider: Whose readers ask for them; None for the process's.

    Raises:
        EngineError: `opentelemetry-api` is not installed.

    Example:
        torchtrt_ws.metrics.observe()
    """
    try:
        from opentelemetry.metrics import Observation, get_meter
    except ImportError as error:
        raise EngineError(
            "metrics", f"no opentelemetry.metrics ({error})", "that package", "Run `pip install torchtrt-ws[metrics]`."
        ) from error
    meter = get_meter("torchtrt_ws", __version__, meter_provider)

    def callback(metric: Metric) -> Callable[[CallbackOptions], Iterator[Observation]]:
        def observations(_: CallbackOptions) -> Iterator[Observation]:
            for report in engines():
                yield Observation(report[metric.field] + 0, labels(report))  # a bool is no number there

        return observations

    def info(_: CallbackOptions) -> Iterator[Observation]:
        for report in engines():
            yield Observation(1, {**labels(report), **dict(facts(report))})

    for metric in METRICS:
        create = meter.create_observable_counter if metric.is_counter else meter.create_observable_gauge
        create(_PREFIX + metric.name, [callback(metric)], metric.unit, metric.help)
    meter.create_observable_gauge(_PREFIX + INFO.name, [info], INFO.unit, INFO.help)
