"""The simulation against what queueing theory knows. Seeds are fixed, so each result is always the same."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

pytest.importorskip("simpy", reason="pip install simpy==4.1.2")

from benchmarks.cluster.arrivals import poisson
from benchmarks.cluster.outcome import Outcome
from benchmarks.cluster.routing import POLICIES, least_outstanding
from benchmarks.cluster.served import Service, decoder
from benchmarks.cluster.serving import serve

UNLIMITED = 10**9
MS = 100.0


@cache
def run(load: float, count: int, replicas: int = 1, batch: int = 1, limit: int = UNLIMITED, seed: int = 5) -> Outcome:
    services = [Service(MS, batch)] * replicas
    arrivals = poisson(load * replicas * services[0].requests_per_second, count, seed)
    return serve(arrivals, services, least_outstanding(), limit)


@pytest.mark.parametrize("load", [0.2, 0.5, 0.8])
def test_one_replica_is_an_m_d_1_queue(load: float) -> None:
    """The mean wait of Pollaczek and Khinchine, within four standard errors by means of 50 batches."""
    waits = run(load, 50_000).seconds - MS / 1e3
    expected = load * (MS / 1e3) / (2 * (1 - load))
    batches = waits.reshape(50, -1).mean(axis=1)
    error = 4 * batches.std(ddof=1) / math.sqrt(len(batches))
    assert error < 0.3 * expected  # so that M/M/1, twice as long, would not pass
    assert abs(waits.mean() - expected) < error


@pytest.mark.parametrize("load", [0.2, 0.5, 0.8])
def test_those_who_do_not_wait(load: float) -> None:
    """Poisson arrivals see time averages: the server is idle for a share of 1 - load."""
    seconds = run(load, 50_000).seconds
    assert np.mean(seconds < MS / 1e3 * (1 + 1e-9)) == pytest.approx(1 - load, abs=0.015)


@pytest.mark.parametrize(("replicas", "load"), [(1, 0.5), (3, 0.7), (8, 0.9)])
def test_no_room_to_wait_is_erlangs_loss(replicas: int, load: float) -> None:
    """Erlang's B holds for any time of service."""
    offered = replicas * load
    terms = [offered**number / math.factorial(number) for number in range(replicas + 1)]
    found = run(load, 40_000, replicas, limit=1)
    assert found.refused / found.offered == pytest.approx(terms[-1] / sum(terms), abs=0.01)


def test_a_pair_of_queues_in_turn_is_an_e2_d_1_queue() -> None:
    """Every second request, to each: arrivals are more even than Poisson's, and waits shorter; none is lost."""
    arrivals = poisson(2 * 0.8 / (MS / 1e3), 40_000, seed=5)
    both = serve(arrivals, [Service(MS)] * 2, POLICIES["round robin"](), UNLIMITED)
    alone = [serve(arrivals[first::2], [Service(MS)], least_outstanding(), UNLIMITED) for first in (0, 1)]
    expected = np.concatenate([each.seconds for each in alone])
    assert both.seconds.mean() == pytest.approx(expected.mean(), rel=1e-9)
    assert both.seconds.mean() < run(0.8, 50_000).seconds.mean()


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("load", [0.3, 3.0])
def test_every_request_is_answered_or_refused(batch: int, policy: str, load: float) -> None:
    services = [Service(MS, batch), Service(3 * MS, batch), Service(MS / 5, batch)]
    arrivals = poisson(load * sum(each.requests_per_second for each in services), 5_000, seed=1)
    found = serve(arrivals, services, POLICIES[policy](), 12)
    assert found.offered == 5_000 == found.refused + len(found.seconds)
    assert (found.refused > 0) == (load > 1 or policy == "round robin")
    assert found.seconds.min() >= MS / 5 / 1e3 - 1e-9
    # No more than what a replica may hold is before anyone, in calls of the slowest.
    assert found.seconds.max() <= 3 * MS / 1e3 * (math.ceil(12 / batch) + 1)


@pytest.mark.parametrize("replicas", [1, 4])
@pytest.mark.parametrize("load", [0.1, 0.6, 0.9])
def test_utilization_is_the_load(replicas: int, load: float) -> None:
    assert run(load, 40_000, replicas).utilization == pytest.approx(load, rel=0.02)


def test_an_overloaded_replica_answers_as_many_as_it_can() -> None:
    found = run(20.0, 20_000, batch=8, limit=64)
    assert found.answers_per_second == pytest.approx(8e3 / MS, rel=0.02)
    assert found.utilization == pytest.approx(1.0, abs=0.01)
    assert found.refused / found.offered == pytest.approx(1 - 1 / 20, abs=0.01)


def test_a_call_takes_what_waits_up_to_its_batch() -> None:
    """Ten at once, of four to a call: the first alone, since it comes to an idle replica; then four, four and one."""
    arrivals = np.array([0.0, *[0.01] * 9])
    found = serve(arrivals, [Service(1000.0, 4)], least_outstanding(), UNLIMITED)
    assert found.seconds == pytest.approx([1.0, *[1.99] * 4, *[2.99] * 4, 3.99])


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("percent", [0, 25, 50, 75, 100])
def test_who_is_alone_takes_what_was_measured(batch: int, percent: int) -> None:
    service = decoder().at_percent(percent, batch)
    arrivals = np.array([0.0, 10.0, 20.0])
    found = serve(arrivals, [service], least_outstanding(), UNLIMITED)
    assert found.seconds * 1e3 == pytest.approx(service.milliseconds, rel=1e-9)
    assert found.percentile_ms(99) == pytest.approx(service.milliseconds, rel=1e-9)


def test_a_seed_is_a_result() -> None:
    first, second, other = (run(0.7, 2_000, 3, seed=seed).seconds for seed in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
