"""The engines as Prometheus and OpenTelemetry read them, with their own readers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import torchtrt_ws
from torchtrt_ws import memory, metrics
from torchtrt_ws.metrics.series import METRICS

FEATURES, BUDGET = 256, 64 * 2**10


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    folder = tmp_path_factory.mktemp("metrics")
    path = folder / "model.pte"
    torchtrt_ws.save(torch.nn.Linear(FEATURES, FEATURES), path, arg_inputs=(torch.zeros(2, FEATURES),))
    return path


@pytest.fixture
def program(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TORCHTRT_WS_CACHE", str(tmp_path))
    program = torchtrt_ws.load(file, weight_streaming_budget=BUDGET)
    for _ in range(3):
        program(np.zeros((2, FEATURES), np.float32))
    return program


def samples(page: str) -> dict[str, dict[str, tuple[dict[str, str], float]]]:
    """By family and engine id."""
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[str, dict[str, tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found.setdefault(sample.name, {})[sample.labels["id"]] = sample.labels, sample.value
    return found


def test_prometheus_reads_what_the_report_says(file: Path, program: Any) -> None:
    (report,) = (each for each in memory.engines() if each["id"] in program._contexts.all_ids())
    page = samples(metrics.text())
    key = str(report["id"])
    labels, runs = page["torchtrt_ws_engine_runs_total"][key]
    assert labels == {"program": str(file), "engine": report["name"], "device": "cpu", "id": key}
    assert runs == 3
    engine = program.engines[0]
    streamed = 3 * (engine.streamable_bytes - engine.budget_bytes)
    assert streamed > 0
    assert page["torchtrt_ws_engine_streamed_bytes_total"][key][1] == engine.streamed_bytes == streamed
    assert page["torchtrt_ws_engine_run_seconds_total"][key][1] == pytest.approx(engine.seconds)
    assert page["torchtrt_ws_engine_budget_bytes"][key][1] == BUDGET
    assert page["torchtrt_ws_engine_cache_misses_total"][key][1] == engine.cache_misses == 1
    info = page["torchtrt_ws_engine_info"][key][0]
    assert info["kind"] == "host" and info["source"] == "load-time" and info["weights"] == key
    assert engine.streamed_bytes_per_second == pytest.approx(streamed / engine.seconds)


def test_a_second_load_finds_the_cache(file: Path, program: Any) -> None:
    again = torchtrt_ws.load(file)
    assert (again.engines[0].cache_hits, again.engines[0].cache_misses) == (1, 0)


def test_every_number_of_the_table_is_there_once_and_stays_apart(program: Any) -> None:
    names = set(samples(metrics.text()))
    wanted = {f"torchtrt_ws_engine_{metric.name}{'_total' if metric.is_counter else ''}" for metric in METRICS}
    assert names == wanted | {"torchtrt_ws_engine_info"}
    assert len(wanted) == len(METRICS)


def test_an_engine_that_has_gone_has_no_series(file: Path) -> None:
    gone = torchtrt_ws.load(file)
    (key,) = map(str, gone._contexts.all_ids())
    assert key in samples(metrics.text())["torchtrt_ws_engine_runs_total"]
    del gone
    assert key not in samples(metrics.text()).get("torchtrt_ws_engine_runs_total", {})


def test_a_collector_lives_beside_others(program: Any) -> None:
    from prometheus_client import CollectorRegistry, Counter, generate_latest

    registry = CollectorRegistry()
    Counter("requests", "Of the server.", registry=registry).inc()
    registry.register(metrics.collector())
    page = generate_latest(registry).decode()
    assert "requests_total 1.0" in page and "torchtrt_ws_engine_runs_total{" in page


def test_opentelemetry_reads_the_same(file: Path, program: Any) -> None:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    metrics.observe(MeterProvider(metric_readers=[reader]))
    data = reader.get_metrics_data()
    assert data is not None
    (scope,) = data.resource_metrics[0].scope_metrics
    found = {metric.name: metric for metric in scope.metrics}
    assert {metric.name for metric in METRICS} == {name.removeprefix("torchtrt_ws.engine.") for name in found} - {
        "info"
    }
    ids = set(map(str, program._contexts.all_ids()))
    points: list[Any] = [
        each for each in found["torchtrt_ws.engine.runs"].data.data_points if (each.attributes or {})["id"] in ids
    ]
    assert [point.value for point in points] == [3]
    assert (points[0].attributes or {})["program"] == str(file)
    assert found["torchtrt_ws.engine.streamed_bytes"].unit == "By"


@pytest.mark.parametrize(
    ("package", "call"), [("prometheus_client", "metrics.text()"), ("opentelemetry", "metrics.observe()")]
)
def test_what_is_not_installed_is_named(package: str, call: str) -> None:
    """And nothing of it is imported before somebody asks."""
    script = (
        f"import sys; sys.modules[{package!r}] = None\n"
        f"from torchtrt_ws import metrics\nfrom torchtrt_ws.errors import EngineError\n"
        f"try: {call}\nexcept EngineError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "pip install torchtrt-ws[metrics]" in done.stdout
