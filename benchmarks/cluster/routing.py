"""Which replica gets a request. Pure: what is known of replicas goes in, the number of one comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Protocol

from benchmarks.cluster.served import Service


class Loaded(Protocol):
    """What a router sees of a replica."""

    @property
    def outstanding(self) -> int:
        """Requests that wait or run there."""
        ...

    @property
    def full(self) -> bool:
        """True if it refuses more."""
        ...

    @property
    def service(self) -> Service: ...


Route = Callable[[Sequence[Loaded]], int]


def round_robin() -> Route:
    """One after the other, whatever they are."""
    turns = count()
    return lambda replicas: next(turns) % len(replicas)


def least_outstanding() -> Route:
    """One with the fewest requests; of equals each in turn."""
    turns = count()

    def route(replicas: Sequence[Loaded]) -> int:
        first, size = next(turns), len(replicas)
        return min((each % size for each in range(first, first + size)), key=lambda each: replicas[each].outstanding)

    return route


def most_resident() -> Route:
    """One with the fewest requests; of equals the one with the largest part of its weights on the device."""
    return lambda replicas: min(
        range(len(replicas)), key=lambda each: (replicas[each].outstanding, -replicas[each].service.resident)
    )


def shortest_wait() -> Route:
    """The one with room that will have answered first, by its calls that are due and the measured time of one."""

    def done(replica: Loaded) -> float:
        return (replica.outstanding // replica.service.batch + 1) * replica.service.milliseconds

    return lambda replicas: min(range(len(replicas)), key=lambda each: (replicas[each].full, done(replicas[each])))


POLICIES: dict[str, Callable[[], Route]] = {
    "round robin": round_robin,
    "least outstanding": least_outstanding,
    "least outstanding, then most resident": most_resident,
    "shortest wait by the profile": shortest_wait,
}
