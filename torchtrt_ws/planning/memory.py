"""What the engines of a program take of one device, and which sets of them are worth keeping whole. Pure; bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torchtrt_ws.budget.profile import Point

__all__ = ["WeightGroup", "everything", "in_the_hole", "least", "most", "needed", "resident_sets"]

_MOST_SETS = 8  # of each order: with more engines than that, a set more saves little


@dataclass(frozen=True)
class WeightGroup:
    """The engines that run on the same weights; mostly one.

    Args:
        name: The first engine's.
        streamable: All weights that can be streamed, S.
        scratch: Needed beside a budget below S; 0 if not known.
        context: What the engines need besides weights and scratch; 0 if not known.
        fixed: Weights that are on the device at any budget.
        in_block: True if context and scratch lie in one block with those of the program's other engines.
        whole: True if it is one weight, more or less: S or nothing.
        points: Budgets and times of one call of each of its engines. Empty if not measured.
    """

    name: str
    streamable: int
    scratch: int = 0
    context: int = 0
    fixed: int = 0
    in_block: bool = True
    whole: bool = False
    points: tuple[Point, ...] = ()

    @property
    def edge(self) -> int:
        """The largest budget below S that is smaller than S on the device: from the next one on the hole begins."""
        return 0 if self.whole else max(self.streamable - self.scratch - 1, 0)


def in_the_hole(budget: int, group: WeightGroup) -> bool:
    """True if `budget` and its scratch take no less of the device than all weights, which are faster.

    Args:
        budget: Bytes above 0.
        group: Whose budget it is. Nothing at all (0) is never in the hole here: another engine may pay the scratch.
    """
    return 0 < budget < group.streamable and budget + group.scratch >= group.streamable


def needed(budgets: Mapping[str, int], groups: Sequence[WeightGroup]) -> int:
    """What groups take of a device together.

    Args:
        budgets: Group name to bytes.
        groups: All of the device.

    Returns:
        Bytes: the weights, context and scratch of each, and of those in one block only the largest of these.
    """
    weights = block = apart = 0
    for group in groups:
        budget = budgets[group.name]
        own = group.context + (group.scratch if budget < group.streamable else 0)
        weights += budget + group.fixed
        block = max(block, own) if group.in_block else block
        apart += 0 if group.in_block else own
    return weights + block + apart


def most(groups: Sequence[WeightGroup]) -> int:
    """What no budgets take more than: all weights, and scratch too, which may be larger than what it streams.

    Args:
        groups: All of a device.

    Returns:
        Bytes.
    """
    block = max((group.context + group.scratch for group in groups if group.in_block), default=0)
    apart = sum(group.context + group.scratch for group in groups if not group.in_block)
    return sum(group.streamable + group.fixed for group in groups) + block + apart


def resident_sets(groups: Sequence[WeightGroup]) -> list[frozenset[str]]:
    """Which groups may be worth keeping whole, whatever the others get.

    Args:
        groups: All of a device.

    Returns:
        Sets of names, the same for any amount of memory, so that more of it never leads to a worse plan: none; those
        with the most context and scratch, which makes the block smaller; the smallest; and all.
    """
    streaming = [group for group in groups if group.streamable > 0]
    by_block = sorted((g for g in streaming if g.in_block), key=lambda group: -(group.context + group.scratch))
    by_size = sorted(streaming, key=lambda group: group.streamable)
    sets = [frozenset[str]()]
    for order in (by_block, by_size):
        sets += [
            frozenset(group.name for group in order[:count]) for count in range(1, min(len(order), _MOST_SETS) + 1)
        ]
    sets.append(frozenset(group.name for group in streaming))
    return list(dict.fromkeys(sets))


def least(groups: Sequence[WeightGroup]) -> dict[str, int]:
    """The budgets that take the least of a device: nothing, or all weights where the scratch takes as much.

    Args:
        groups: All of the device.

    Returns:
        Group name to bytes.
    """
    options = (
        {group.name: group.streamable if group.name in resident else 0 for group in groups}
        for resident in resident_sets(groups)
    )
    return min(options, key=lambda budgets: (needed(budgets, groups), -sum(budgets.values())))


def everything(groups: Sequence[WeightGroup]) -> dict[str, int]:
    """All weights of all groups.

    Args:
        groups: All of a device.

    Returns:
        Group name to bytes.
    """
    return {group.name: group.streamable for group in groups}
