"""Which methods are one program inside: those with half of their weights in common, by content."""

from __future__ import annotations

import copy

import pytest
import torch

from torchtrt_ws.export.graph.common_weights import in_groups

WIDTH = 32


class Layers(torch.nn.Module):
    def __init__(self, *layers: torch.nn.Module) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def layer(seed: int, width: int = WIDTH) -> torch.nn.Linear:
    torch.manual_seed(seed)
    made = torch.nn.Linear(width, width)
    torch.nn.init.zeros_(made.bias)  # as fresh models have it: equal in all of them
    return made


def export(*layers: torch.nn.Module, rows: int = 2) -> torch.export.ExportedProgram:
    return torch.export.export(Layers(*layers).eval(), (torch.zeros(rows, WIDTH),))


A, B, C, D = (layer(seed) for seed in range(4))


@pytest.mark.parametrize("copied", [False, True])
def test_the_same_weights_in_other_shapes_of_call(copied: bool) -> None:
    programs = {"prefill": export(A, B, rows=8), "decode": export(A, copy.deepcopy(B) if copied else B, rows=1)}
    assert in_groups(programs) == [["prefill", "decode"]]


def test_other_weights_of_the_same_shapes() -> None:
    assert in_groups({"one": export(A), "other": export(B)}) == [["one"], ["other"]]


def test_half_of_the_smaller_one_is_enough() -> None:
    """Biases of zero are common to all, and too little by themselves."""
    assert in_groups({"whole": export(A, B, C, D), "part": export(A)}) == [["whole", "part"]]
    assert in_groups({"one": export(A, B, C), "other": export(A, D, layer(5))}) == [["one"], ["other"]]


def test_groups_join_and_keep_the_order() -> None:
    programs = {"d": export(D), "a": export(A), "b": export(B), "both": export(A, B), "last": export(C)}
    assert in_groups(programs) == [["d"], ["a", "b", "both"], ["last"]]


def test_one_element_differs() -> None:
    changed = copy.deepcopy(A)
    with torch.no_grad():
        changed.weight[-1, -1] += 1
    assert in_groups({"one": export(A), "other": export(changed)}) == [["one"], ["other"]]


def test_without_weights() -> None:
    assert in_groups({"one": export(torch.nn.ReLU()), "other": export(torch.nn.ReLU())}) == [["one"], ["other"]]
