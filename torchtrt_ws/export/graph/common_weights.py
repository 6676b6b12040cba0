"""Which methods of a program have weights in common, such as the prefill and the decoding of one language model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch.export import ExportedProgram

__all__ = ["in_groups"]

_ENOUGH = 0.5  # of the weights of one of two methods: both have one budget then, and who needs one method loads all
_HEAD = 16  # elements that tell most tensors of one shape apart


def in_groups(programs: Mapping[str, ExportedProgram]) -> list[list[str]]:
    """Puts methods together of which at least half of the weights of one are weights of the other as well.

    Args:
        programs: Method name to the method. Weights on other devices than the CPU are not looked at.

    Returns:
        The names, those in a group in the order of `programs`, which the groups follow too.
    """
    weights = _Weights()
    sizes = {name: weights.add(name, program) for name, program in programs.items()}
    groups: list[list[str]] = []
    for name in programs:
        near = [group for group in groups if any(weights.common(name, each, sizes) >= _ENOUGH for each in group)]
        groups = [group for group in groups if group not in near]
        groups.append([each for group in near for each in group] + [name])
    order = list(programs)
    return sorted((sorted(group, key=order.index) for group in groups), key=lambda group: order.index(group[0]))


@dataclass
class _Weight:
    """One tensor, and the methods that have it."""

    tensor: torch.Tensor
    methods: set[str] = field(default_factory=set)


class _Weights:
    """The weights of all methods, equal ones once. Reads whole tensors only where they look the same."""

    def __init__(self) -> None:
        self._by_look: defaultdict[object, list[_Weight]] = defaultdict(list)

    def add(self, method: str, program: ExportedProgram) -> int:
        """Adds those of a method, and returns their bytes."""
        size = 0
        for tensor in _tensors(program):
            weight = self._find(tensor)
            if method not in weight.methods:
                size += tensor.nbytes
                weight.methods.add(method)
        return size

    def common(self, one: str, other: str, sizes: Mapping[str, int]) -> float:
        """The part that is in both, of the weights of the one that has less."""
        both = sum(
            weight.tensor.nbytes
            for alike in self._by_look.values()
            for weight in alike
            if {one, other} <= weight.methods
        )
        return both / max(min(sizes[one], sizes[other]), 1)

    def _find(self, tensor: torch.Tensor) -> _Weight:
        head = tensor[(0,) * (tensor.dim() - 1)][:_HEAD].contiguous().view(torch.uint8)
        alike = self._by_look[tensor.dtype, tensor.shape, tensor.stride(), bytes(head.numpy())]
        for weight in alike:
            if weight.tensor.data_ptr() == tensor.data_ptr() or torch.equal(weight.tensor, tensor):
                return weight
        alike.append(_Weight(tensor))
        return alike[-1]


def _tensors(program: ExportedProgram) -> Iterator[torch.Tensor]:
    for tensor in (*program.state_dict.values(), *program.constants.values()):
        is_plain = type(tensor) in (torch.Tensor, torch.nn.Parameter)  # others keep their data elsewhere
        if is_plain and tensor.device.type == "cpu" and tensor.dim() and tensor.numel():
            yield tensor.detach()
