"""The best budgets within an amount of memory. Pure; bytes.

Each function searches the same set of plans whatever the memory, and takes the best that fits: more memory is never
worse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torchtrt_ws.budget.latency import milliseconds_at, split_by_latency
from torchtrt_ws.planning.memory import WeightGroup, in_the_hole, needed, resident_sets

__all__ = ["choose"]


def choose(available: int, groups: Sequence[WeightGroup]) -> dict[str, int] | None:
    """The budgets to use.

    Args:
        available: Bytes of the device for all groups.
        groups: All of the device.

    Returns:
        Group name to bytes, which `needed` together at most `available`; None if no budgets do. No budget is in the
        hole under full residency. Where all groups are measured: measured budgets that take the least time, in sum.
        Else those that stream the least, in proportion to the sizes.
    """
    measured = all(group.points for group in groups if group.streamable > 0)
    best: tuple[float, int, dict[str, int]] | None = None
    for resident, left in _frames(available, groups):
        budgets = {group.name: group.streamable for group in groups if group.name in resident}
        others = [group for group in groups if group.name not in resident]
        budgets |= _by_time(left, others) if measured else _by_size(left, others)
        cost = _milliseconds(budgets, groups) if measured else -sum(budgets.values())
        takes = needed(budgets, groups)
        if best is None or (cost, takes) < best[:2]:
            best = (cost, takes, budgets)
    return None if best is None else {group.name: best[2][group.name] for group in groups}


def _frames(available: int, groups: Sequence[WeightGroup]) -> Iterator[tuple[frozenset[str], int]]:
    """Sets of groups that are kept whole, and what is left for the weights of the others."""
    for resident in resident_sets(groups):
        floor = {group.name: group.streamable if group.name in resident else 0 for group in groups}
        left = available - needed(floor, groups)
        if left >= 0:
            yield resident, left


def _by_time(left: int, groups: Sequence[WeightGroup]) -> dict[str, int]:
    points = {
        group.name: [point for point in group.points if not in_the_hole(point.budget_bytes, group)]
        for group in groups
        if group.streamable > 0
    }
    return {group.name: 0 for group in groups} | split_by_latency(left, points)


def _milliseconds(budgets: Mapping[str, int], groups: Sequence[WeightGroup]) -> float:
    return sum(milliseconds_at(budgets[group.name], group.points) for group in groups if group.points)


def _by_size(left: int, groups: Sequence[WeightGroup]) -> dict[str, int]:
    """In proportion to the sizes, none of them in the hole; what one cannot use goes to the others."""
    budgets = {group.name: 0 for group in groups}
    open_ = [group for group in groups if group.edge > 0]
    while open_ and left > 0:
        whole = sum(group.streamable for group in open_)
        parts = {group.name: left * group.streamable // whole for group in open_}
        parts[open_[0].name] += left - sum(parts.values())
        full = [group for group in open_ if budgets[group.name] + parts[group.name] >= group.edge]
        for group in full or open_:
            part = min(parts[group.name], group.edge - budgets[group.name])
            budgets[group.name] += part
            left -= part
        if not full:
            break
        open_ = [group for group in open_ if group not in full]
    return budgets
