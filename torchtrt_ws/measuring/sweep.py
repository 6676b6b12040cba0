"""Which budget to measure next. Pure: from what was measured so far to the next budget.

Time over budget falls in steps and is not monotonic (torchtrt_ws.budget.latency), so a grid spends most of its
measurements on bytes that change nothing. This finds the steps instead, by halving what lies between two measurements
that differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from torchtrt_ws.budget.latency import TOLERANCE

__all__ = ["Range", "Seen", "next_budget", "resolution_of"]

_PAGE = 4096  # budgets are whole pages: a host engine keeps no parts of them
_FINEST = 64  # a resolution of 1/64 of the streamable bytes, or of 1 MiB
_COARSEST = 8  # nothing wider than 1/8 of them stays unseen: two equal times may have another one between them
MIB = 2**20


@dataclass(frozen=True)
class Seen:
    """One measurement, as the choice of the next one needs it.

    Args:
        budget_bytes: What was asked for. What the engine then kept may be less.
        device_bytes: Bytes on the device meanwhile.
        milliseconds: The median of a call; several where several things were timed, always in the same order.
        errors: What each median may be off by, in milliseconds.
    """

    budget_bytes: int
    device_bytes: int
    milliseconds: tuple[float, ...]
    errors: tuple[float, ...] = ()


@dataclass(frozen=True)
class Range:
    """What there is to measure of one engine. All are bytes.

    Args:
        streamable: Of its weights: full residency.
        scratch: What streaming needs beside the budget. Budgets for which budget and scratch are as much as full
            residency are not measured: that is smaller and faster.
        resolution: Two measurements this close have nothing between them.
        fits: A budget from which on nothing fits into the device; None: everything does, as far as is known.
        first: Budgets to measure before others, such as the automatic one.
    """

    streamable: int
    scratch: int
    resolution: int
    fits: int | None = None
    first: tuple[int, ...] = ()

    @property
    def high(self) -> int:
        """The largest budget to stream with; 0 where there is none. Full residency itself where nothing is scratch."""
        high = self.streamable if self.scratch == 0 else max(self.streamable - self.scratch - 1, 0)
        return high // _PAGE * _PAGE if high < self.streamable else high

    def taken(self, budget: int) -> int:
        """The budget to measure for `budget` bytes: all of them, instead of one that takes more of the device."""
        return self.streamable if budget > self.high else budget


def resolution_of(streamable: int) -> int:
    """The usual resolution for so many `streamable` bytes: 1/64 of them, or 1 MiB if that is more."""
    return max(streamable // _FINEST, MIB)


def next_budget(seen: Sequence[Seen], span: Range) -> int | None:
    """The budget whose measurement tells the most.

    Args:
        seen: All measurements so far, in any order.
        span: What there is to measure.

    Returns:
        Bytes that were not asked for yet: no budget, the largest to stream with, what is wanted first; where not all
        fits, what may be the most that does; then the middle of the interval in which the curve may be the furthest
        from what is known; full residency last, as what leaves the device takes long. None: the steps are known to the
        resolution.
    """
    known = {each.budget_bytes for each in seen}

    def missing(budget: int) -> bool:
        return budget not in known and (span.fits is None or budget < span.fits)

    first = [0, span.high, *sorted(span.taken(budget) for budget in span.first)]
    for budget in first:
        if budget != span.streamable and missing(budget):
            return budget
    streaming = sorted((each for each in seen if each.budget_bytes <= span.high), key=lambda each: each.budget_bytes)
    if span.fits is not None and span.fits <= span.high:
        most = streaming[-1].budget_bytes
        if span.fits - most > span.resolution:
            return _middle(most, span.fits)
    gaps = list(_gaps(streaming, span))
    if gaps:
        return max(gaps)[1]
    return span.streamable if missing(span.streamable) else None


def _gaps(seen: Sequence[Seen], span: Range) -> Iterator[tuple[float, int]]:
    """The intervals worth a look: how much, and the budget in the middle."""
    coarse = max(span.streamable // _COARSEST, span.resolution)
    for low, high in pairwise(seen):
        width = high.budget_bytes - low.budget_bytes
        if width <= span.resolution:
            continue
        apart = _apart(low, high)
        jump = abs(high.device_bytes - low.device_bytes - width)  # memory that the budget does not explain
        if apart <= 0 and jump <= span.resolution and width <= coarse:
            continue
        # The area in which the curve may run; where both ends are equal, what equal means.
        yield max(apart, TOLERANCE) * width, _middle(low.budget_bytes, high.budget_bytes)


def _middle(low: int, high: int) -> int:
    middle = (low + high) // 2
    page = middle // _PAGE * _PAGE
    return page if page > low else middle


def _apart(low: Seen, high: Seen) -> float:
    """By what share the times differ, the most of them; 0 or less: as fast, within the tolerance and the errors."""
    shares = []
    for index, (one, other) in enumerate(zip(low.milliseconds, high.milliseconds, strict=True)):
        errors = sum(each.errors[index] for each in (low, high) if each.errors)
        longer = max(one, other)
        shares.append((abs(one - other) - errors) / longer - TOLERANCE)
    return max(shares, default=0.0)
