"""The tables of the GPU report, from samples as benchmarks/gpu prints them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(HERE))
    import report
    import table

    return report, table


def sample(**microseconds: float) -> dict[str, Any]:
    times: dict[str, Any] = {key: {"p50": value} for key, value in microseconds.items()}
    return {
        **times,
        "budget_bytes": 17,
        "load_seconds": 0.5,
        "host_peak_over_before_bytes": 1,
        "device_bytes": 2,
        "graph_device_bytes": 3_000_000,
    }


def ours(device: float, host: float, file: float) -> dict[str, Any]:
    return sample(callers_stream_us=device, own_stream_us=device + 1, host_io_us=host, default_file_us=file)


def test_off_and_auto_stand_beside_the_floor_of_their_tensors(gpu: Any) -> None:
    report, table = gpu
    floor = sample(enqueue_us=60, graph_us=30, host_io_us=100, host_io_pinned_us=110)
    row = report.summarized(100, {"floor": [floor], "ours": [ours(66, 120, 130)], "graph": [ours(36, 50, 70)]})
    text = table.markdown({"small": [row]})
    assert "| 100 % | device, caller's stream | 60.0 | 66.0 | 36.0 | 1.100 | 0.600 | 3.0 |" in text
    assert "| 100 % | device, no stream | 60.0 | 67.0 | 37.0 | 1.117 | 0.617 | 3.0 |" in text
    assert "| 100 % | host | 100.0 | 120.0 | 50.0 | 1.200 | 0.500 | 3.0 |" in text
    assert "| 100 % | the file through Module, host | 100.0 | 130.0 | 70.0 | 1.300 | 0.700 | 3.0 |" in text


def test_torch_tensorrt_is_quoted_as_a_share_of_the_floor_that_was_beside_it(gpu: Any) -> None:
    report, table = gpu
    floor = sample(enqueue_us=60, graph_us=30, host_io_us=100, host_io_pinned_us=110)
    row = report.summarized(100, {"floor": [floor], "ours": [ours(66, 120, 130)], "graph": [ours(36, 50, 70)]})
    text = table.markdown({"small": [row], "big": [row]})
    assert "| small plan, device tensors | 65 | 95 | 1.46 | 60 | 66 | 1.10 | 36 | 0.60 |" in text
    assert "| small plan, host tensors | 106 | 87 | 0.82 | 100 | 120 | 1.20 | 50 | 0.50 |" in text
    assert "| big plan, a file with default options | 331 | 364 | 1.10 | 100 | 130 | 1.30 | 70 | 0.70 |" in text
    assert "cost 60 us more than bare TensorRT takes with tensors on the device; quoted 22." in text
    assert "quoted" not in table.markdown({"small": [row]}), "with both plans only"


def test_first_and_second_context(gpu: Any) -> None:
    times = {"off": 0.1, "first": 0.11, "second": 0.011}
    samples = {
        how: [{"context_seconds": seconds, "load_seconds": 1 + seconds, "cache_bytes": 35000}]
        for how, seconds in times.items()
    }
    text = gpu[1].markdown({"runtime_cache": {"big": [{"percent": 50, "samples": samples}]}})
    assert "| big | 50 % | 100.0 | 110.0 | 11.0 | 0.100 | 1.100 | 1.110 | 1.011 | 35.0 |" in text


def test_the_crossover(gpu: Any) -> None:
    row = {
        "bytes": 65536,
        "to_device": {"direct": 7.25, "pinned": 8.0, "faster": "direct"},
        "to_host": {"direct": 9.0, "pinned": 8.5, "faster": "pinned"},
    }
    assert "| 64 | 7.2 | 8.0 | direct | 9.0 | 8.5 | pinned |" in gpu[1].markdown({"crossover": [row]})
