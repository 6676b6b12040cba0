"""Replicas that come and go, and what their cold starts cost."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("simpy", reason="pip install simpy==4.1.2")

from benchmarks.cluster.arrivals import poisson, steps
from benchmarks.cluster.ask_cold_starts import Load, cold_start_costs
from benchmarks.cluster.ask_cost import costs, replicas_needed
from benchmarks.cluster.autoscaling import Autoscaler, serve_scaled
from benchmarks.cluster.cold_start import Rates, cold_starts
from benchmarks.cluster.gpus import Gpu
from benchmarks.cluster.routing import least_outstanding
from benchmarks.cluster.served import Service, decoder
from benchmarks.cluster.serving import serve

SERVICE = Service(100.0)  # 10 requests a second
QUICK = Autoscaler(upscale_delay=10.0, downscale_delay=60.0, most=8)


@pytest.mark.parametrize(
    ("ongoing", "expected"), [(0.0, 1), (0.5, 1), (1.0, 1), (1.1, 2), (7.5, 8), (8.0, 8), (1000.0, 8)]
)
def test_desired(ongoing: float, expected: int) -> None:
    assert QUICK.desired(ongoing) == expected


def test_a_number_that_may_not_change_is_a_fixed_number() -> None:
    arrivals = poisson(20.0, 5_000, seed=3)
    fixed = serve(arrivals, [SERVICE] * 3, least_outstanding(), 16)
    scaled = serve_scaled(arrivals, SERVICE, 5.0, Autoscaler(least=3, most=3), 3, 16)
    assert np.array_equal(scaled.seconds, fixed.seconds)
    assert scaled.gpu_seconds == pytest.approx(fixed.gpu_seconds, rel=1e-3)


def burst(cold_seconds: float) -> tuple[float, float, int]:
    arrivals = steps((5.0, 300.0), (40.0, 300.0), 2, seed=3)
    found = serve_scaled(arrivals, SERVICE, cold_seconds, QUICK, 1, 16)
    assert found.offered == len(arrivals) == found.refused + len(found.seconds)
    return found.missed(1.0), found.gpu_seconds, len(found.busy_seconds)


def test_replicas_follow_the_requests() -> None:
    missed, gpu_seconds, replicas = burst(0.0)
    assert 0 < missed < 0.2  # the look at the requests comes some seconds after they do
    assert replicas >= 5
    assert 1200 < gpu_seconds < 8 * 1200 * 0.8  # more than one always, and not all of them always


def test_a_longer_cold_start_misses_more() -> None:
    missed = [burst(seconds)[0] for seconds in (0.0, 20.0, 60.0, 150.0)]
    assert all(longer > 1.2 * shorter for shorter, longer in pairwise(missed))


def test_one_replica_that_may_stay_alone_does() -> None:
    found = serve_scaled(poisson(2.0, 2_000, seed=3), SERVICE, 30.0, Autoscaler(), 1, 16)
    assert len(found.busy_seconds) == 1
    assert found.gpu_seconds == pytest.approx(1_000, rel=0.1)


def test_a_gpu_is_held_while_its_replica_starts() -> None:
    """One is asked for after the first look, at 10 s, and is not ready in time."""
    arrivals = poisson(40.0, 4_000, seed=3)
    found = serve_scaled(arrivals, SERVICE, 1_000.0, Autoscaler(upscale_delay=10.0, most=2), 1, 16)
    assert len(found.busy_seconds) == 1
    assert found.gpu_seconds == pytest.approx(2 * arrivals[-1] - 10.0, abs=2.0)


def test_steps_have_their_rates() -> None:
    times = steps((5.0, 400.0), (40.0, 100.0), 10, seed=3)
    within = times % 500
    assert np.count_nonzero(within < 400) / 4_000 == pytest.approx(5.0, rel=0.05)
    assert np.count_nonzero(within >= 400) / 1_000 == pytest.approx(40.0, rel=0.05)
    assert np.all(np.diff(times) >= 0)
    assert times[-1] < 5_000


def test_the_stages_of_a_cold_start() -> None:
    served = decoder()
    service = served.at_percent(50, 1)
    found = cold_starts(served, service, Rates(10e9, 1e9, 0.5e9, 2e9, 3.0))
    assert [each.image for each in found] == [10.0, 0.0, 0.0, 0.0]
    assert [each.weights for each in found] == pytest.approx([served.file_bytes / 0.5e9] * 2 + [0.0, 0.0])
    assert found[0].load == 3.0 + served.load_seconds == found[1].load
    assert found[2].load == pytest.approx(found[1].load + served.file_bytes / 2e9)  # it is read from the disk
    assert served.reload is not None
    assert found[3].load == 3.0 + served.reload[1]
    for each in found:
        assert each.first_answer == pytest.approx(each.ready + service.milliseconds / 1e3)
    assert [each.ready for each in found] == sorted((each.ready for each in found), reverse=True)


def test_rows_of_cold_starts() -> None:
    load = Load(low=0.5, high=4.0, low_seconds=300.0, high_seconds=300.0, repeats=1, seed=1)
    rows = cold_start_costs([("none", 0.0), ("all", 60.0)], SERVICE, load, QUICK, 1.0, 16)
    assert [row["found"] for row in rows] == ["none", "all", "no autoscaling, 8 replicas"]
    assert rows[0]["missed"] < rows[1]["missed"]
    assert rows[2]["missed"] == 0
    assert rows[2]["gpu_hours"] == pytest.approx(8 * 600 / 3600, rel=0.01)


def test_the_replicas_that_are_needed_are_the_fewest() -> None:
    service = Service(100.0, 4)
    number = replicas_needed(service, 150.0, 0.25, 5_000, 32, seed=1)
    assert number is not None
    arrivals = poisson(150.0, 5_000, seed=1)
    enough, fewer = (serve(arrivals, [service] * each, least_outstanding(), 32) for each in (number, number - 1))
    assert enough.percentile_ms(99) <= 250 and enough.refused == 0
    assert fewer.percentile_ms(99) > 250 or fewer.refused > 0
    assert replicas_needed(service, 1.0, 0.099, 100, 32, seed=1) is None


def test_what_1000_requests_cost() -> None:
    gpus = [Gpu.parse("6:price=0.25"), Gpu.parse("14:price=0.5"), Gpu.parse("16")]
    rows = costs(decoder(), gpus, [2.0, 100.0], 1.0, 2_000, 32, seed=1)
    assert len(rows) == 2 * 2 * 4
    for row in rows:
        assert row["gpu"] == {25: "6 GB", 50: "14 GB", 75: "14 GB", 100: "16 GB"}[row["percent"]]
        price = {"6 GB": 0.25, "14 GB": 0.5, "16 GB": 1.0}[row["gpu"]]
        assert row["cost"] == pytest.approx(row["replicas"] * price * (1000 / row["rate"]) / 3600)
        (whole,) = (r for r in rows if (r["batch"], r["rate"], r["percent"]) == (row["batch"], row["rate"], 100))
        # At that price the GPUs cost the same: number times price.
        assert row["replicas"] * row["break_even"] == pytest.approx(whole["replicas"])
        (alone,) = (r for r in rows if (r["batch"], r["rate"], r["percent"]) == (1, row["rate"], 100))
        assert row["replicas"] * row["break_even_alone"] == pytest.approx(alone["replicas"])
    by_batch = {row["batch"]: row["replicas"] for row in rows if (row["percent"], row["rate"]) == (50, 100.0)}
    assert by_batch[8] < by_batch[1] / 3  # a call streams once, whatever is in it


def test_a_model_that_fits_no_gpu() -> None:
    rows = costs(decoder(), [Gpu.parse("10")], [2.0], 1.0, 500, 32, seed=1)
    assert [row["replicas"] is None for row in rows] == [False, False, True, True] * 2
    assert all(row["break_even"] is None for row in rows)  # nothing to compare with
