"""Who gets a request."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from benchmarks.cluster.routing import POLICIES
from benchmarks.cluster.served import Service


@dataclass(frozen=True)
class Seen:
    outstanding: int
    service: Service
    full: bool = False


def seen(outstanding: int, milliseconds: float, resident: float, batch: int = 1) -> Seen:
    return Seen(outstanding, Service(milliseconds, batch, resident))


FAST, HALF, SLOW = (10.0, 1.0), (120.0, 0.5), (200.0, 0.25)
CASES = {
    # policy: waiting at slow, half and fast replicas, and who gets the next four
    "round robin": [((9, 0, 0), [0, 1, 2, 0])],
    "least outstanding": [((0, 0, 0), [0, 1, 2, 0]), ((1, 0, 0), [1, 1, 2, 1]), ((2, 1, 2), [1, 1, 1, 1])],
    "least outstanding, then most resident": [((0, 0, 0), [2] * 4), ((0, 0, 1), [1] * 4), ((0, 1, 1), [0] * 4)],
    "shortest wait by the profile": [((0, 0, 0), [2] * 4), ((0, 0, 10), [2] * 4), ((0, 0, 12), [1] * 4)],
}


@pytest.mark.parametrize(
    ("policy", "outstanding", "expected"), [(policy, *case) for policy, cases in CASES.items() for case in cases]
)
def test_next(policy: str, outstanding: tuple[int, int, int], expected: list[int]) -> None:
    route = POLICIES[policy]()
    replicas = [seen(count, *kind) for count, kind in zip(outstanding, (SLOW, HALF, FAST), strict=True)]
    assert [route(replicas) for _ in expected] == expected


def test_every_policy_has_a_case() -> None:
    assert CASES.keys() == POLICIES.keys()


def test_no_request_for_a_full_replica_while_another_has_room() -> None:
    slow, fast = seen(3, *SLOW), seen(5, *FAST)
    route = POLICIES["shortest wait by the profile"]()
    assert route([slow, fast]) == 1
    assert route([slow, replace(fast, full=True)]) == 0
    assert route([replace(slow, full=True), replace(fast, full=True)]) == 1


def test_a_call_that_is_not_full_costs_no_wait() -> None:
    route = POLICIES["shortest wait by the profile"]()
    assert route([seen(7, 100.0, 1.0, batch=8), seen(1, 60.0, 1.0)]) == 0  # in one call, against two
    assert route([seen(8, 100.0, 1.0, batch=8), seen(1, 60.0, 1.0)]) == 1
