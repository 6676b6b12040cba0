"""The engines of this process for monitoring: runs, seconds, bytes streamed, budgets, what came from graphs and caches.

`text` is a page for Prometheus, `collector` the same for a registry of `prometheus_client`, `observe` gives the numbers
to OpenTelemetry. All read the engines when they are asked and wait for no run. Both libraries are optional:
`pip install torchtrt-ws[metrics]`.
"""

from torchtrt_ws.metrics.opentelemetry import observe
from torchtrt_ws.metrics.prometheus import collector, text

__all__ = ["collector", "observe", "text"]
