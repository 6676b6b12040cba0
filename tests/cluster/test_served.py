"""From measurements to what a replica takes, and GPUs as flags tell them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.cluster.gpus import Gpu
from benchmarks.cluster.served import DECODER, Served, Service, decoder, device_bytes, from_bench, largest_budget, plan

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"


@pytest.mark.parametrize("batch", [1, 8])
def test_a_percent_is_what_was_measured_at_it(batch: int) -> None:
    for row in json.loads(DECODER.read_text())[f"ours-{batch}"]["rows"]:
        if "percent" in row:
            found = decoder().at_percent(row["percent"], batch)
            assert found.milliseconds == row[f"batch_{batch}"]["decode"]["ms"]
            assert found.device_bytes == row["device_bytes"]
            assert found.batch == batch
    assert decoder().at_percent(100, batch).resident == 1.0


@pytest.mark.parametrize("batch", [1, 8])
def test_memory_that_was_measured_gives_the_budget_that_was_measured(batch: int) -> None:
    for point in decoder().points[batch]:
        found = decoder().within(point.device_bytes, batch)
        assert found.milliseconds == pytest.approx(point.milliseconds, rel=1e-6)
        assert found.device_bytes == pytest.approx(point.device_bytes, rel=1e-6)


@pytest.mark.parametrize("served", [decoder(), plan()], ids=["decoder", "plan"])
def test_more_memory_is_never_slower_and_what_fits_fits(served: Served) -> None:
    points = served.points[1]
    least, most = points[0].device_bytes, points[-1].device_bytes
    before = None
    for memory in range(least, int(1.1 * most), (most - least) // 97):
        budget = largest_budget(points, memory)
        assert budget is not None
        assert device_bytes(points, budget) <= memory
        found = served.within(memory, 1)
        assert before is None or found.milliseconds <= before.milliseconds
        assert before is None or found.resident >= before.resident
        before = found
    assert before is not None
    assert before.milliseconds == points[-1].milliseconds


def test_memory_for_almost_all_weights_is_used() -> None:
    served = decoder()
    most, all_of_it = served.at_percent(75, 1), served.at_percent(100, 1)
    found = served.within((most.device_bytes + all_of_it.device_bytes) // 2, 1)
    assert found.device_bytes == (most.device_bytes + all_of_it.device_bytes) // 2
    assert most.resident < found.resident < all_of_it.resident
    assert all_of_it.milliseconds < found.milliseconds < most.milliseconds


def test_too_little_memory_is_refused() -> None:
    least = decoder().points[1][0].device_bytes
    with pytest.raises(SystemExit, match=f"found {least - 1} bytes of a device, expected {least} at least"):
        decoder().within(least - 1, 1)


def test_a_report_of_bench(tmp_path: Path) -> None:
    report = json.loads((RESULTS / "gpu-h200.json").read_text())["commands"]["big"]["bench"]
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(report))
    served = from_bench(path)
    whole = max(report["totals"], key=lambda row: row["budget_bytes"])
    none = min(report["totals"], key=lambda row: row["budget_bytes"])
    assert served.at_percent(100, 1).milliseconds == whole["call"]["milliseconds"]
    assert served.at_percent(0, 1).milliseconds == none["call"]["milliseconds"]
    assert served.load_seconds == report["load_seconds"]
    assert served.reload is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no JSON", "expected what `torchtrt-ws bench m.pte --json` prints"),
        ("[]", "expected what `torchtrt-ws bench m.pte --json` prints"),
        ('{"totals": [], "load_seconds": 1, "streamable_bytes": 2, "file": "m"}', "up to all 2 bytes of weights"),
    ],
)
def test_a_file_that_is_none(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text(text)
    with pytest.raises(SystemExit, match=message):
        from_bench(path)


def test_a_gpu_as_a_flag() -> None:
    assert Gpu.parse("24") == Gpu(24_000_000_000)
    assert Gpu.parse("48:price=1.5:link=0.5:compute=0.25") == Gpu(48_000_000_000, 1.5, 0.5, 0.25)
    for wrong in ("", "x", "24:", "24:color=1", "24:price=x", "-1", "24:link=0", "24:price=nan"):
        with pytest.raises(ValueError):
            Gpu.parse(wrong)


def test_a_slower_gpu_computes_and_streams_slower() -> None:
    served = decoder()
    measured, computed = served.at_percent(50, 1), served.at_percent(100, 1).milliseconds
    streamed = measured.milliseconds - computed
    half_link = Gpu.parse("80:link=0.5").scaled(measured, served)
    assert half_link.milliseconds == pytest.approx(computed + 2 * streamed)
    third = Gpu.parse("80:compute=0.5:link=0.25").scaled(measured, served)
    assert third.milliseconds == pytest.approx(2 * computed + 4 * streamed)
    assert Gpu.parse("80").scaled(measured, served) == measured


def test_models_share_the_memory_of_a_gpu() -> None:
    served = decoder()
    assert Gpu.parse("24").run(served, 1, share=4) == served.within(6_000_000_000, 1)
    assert Gpu.parse("80").run(served, 8, share=4) == served.at_percent(100, 8)


def test_the_most_that_a_replica_answers() -> None:
    assert Service(125.0, 8).requests_per_second == 64
