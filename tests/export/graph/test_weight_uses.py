"""Which weights are looked up in, which are multiplied with, and what lies behind them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from tests.export.decoder import TABLE_BYTES, VOCABULARY, WIDTH, Decoder, export, ids
from torchtrt_ws.export.graph.weight_uses import read_uses
from torchtrt_ws.export.streaming.choice import Weight, fused

IDS = torch.tensor([[1, 2, 3]])


def uses_of(module: torch.nn.Module, *inputs: torch.Tensor) -> dict[str, Weight]:
    return {each.name: each for each in read_uses(export(module, inputs)).weights}


def test_a_decoder() -> None:
    uses = uses_of(Decoder(), ids())
    table, head, gate, up = (uses[f"{name}.weight"] for name in ("table", "head", "gate", "up"))
    assert (table.bytes, table.lookups, table.others, table.stays) == (TABLE_BYTES, 1, 0, "")
    assert (head.bytes, head.lookups, head.others, head.behind) == (TABLE_BYTES, 0, 1, 0)
    assert gate.fused_with == up.fused_with != ""
    assert gate.behind is not None and gate.behind > head.bytes
    assert ("gate.weight + up.weight", 2 * gate.bytes) in fused(uses.values())


def test_a_tied_weight_is_one() -> None:
    uses = uses_of(Decoder(tied=True), ids())
    (tied,) = [each for each in uses.values() if each.bytes == TABLE_BYTES]
    assert (tied.lookups, tied.others, tied.behind) == (1, 1, 0)


class Lookup(torch.nn.Module):
    def __init__(self, look_up: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.table = torch.nn.Parameter(torch.randn(VOCABULARY, WIDTH))
        self.small = torch.nn.Parameter(torch.tensor([1, 2, 3]), requires_grad=False)
        self._look_up = look_up

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self._look_up(self.table, ids) * 2


@pytest.mark.parametrize(
    "look_up",
    [
        lambda table, ids: torch.nn.functional.embedding(ids, table),
        lambda table, ids: table[ids],
        lambda table, ids: table.index_select(0, ids.reshape(-1)),
        lambda table, ids: table[(ids.int() + 1).clamp(0, VOCABULARY - 1)],
        lambda table, ids: torch.nn.functional.embedding(torch.where(ids > 3, 0, ids), table),
    ],
)
def test_lookups(look_up: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
    table = uses_of(Lookup(look_up), IDS)["table"]
    assert (table.lookups, table.others, table.stays) == (1, 0, "")


@pytest.mark.parametrize(
    "look_up",
    [
        lambda table, ids: table.index_select(1, ids.reshape(-1)),  # of columns
        lambda table, ids: table[:, ids[0]],
        lambda table, ids: table[ids, ids],  # of elements
        lambda table, ids: table.half()[ids],
        lambda table, ids: table.t()[ids % WIDTH],  # rows of something else
    ],
)
def test_no_lookups(look_up: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
    assert uses_of(Lookup(look_up), IDS)["table"].lookups == 0


@pytest.mark.parametrize(
    ("look_up", "why"),
    [
        (lambda table, ids: table[(ids.float() * 2).long()], "computed by"),
        (lambda table, ids: table[ids.argsort()], "computed by 'argsort'"),
    ],
)
def test_lookups_that_stay(look_up: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], why: str) -> None:
    table = uses_of(Lookup(look_up), IDS)["table"]
    assert table.lookups == 1
    assert why in table.stays


def test_indices_from_a_weight_stay() -> None:
    class Positions(Lookup):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.table[self.small[None, : ids.shape[1]] + ids]

    assert "depend on the weight 'p_small'" in uses_of(Positions(lambda table, _: table), IDS)["table"].stays


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (torch.ones(VOCABULARY, WIDTH, dtype=torch.float64), "its dtype is torch.float64"),
        (torch.ones(WIDTH, VOCABULARY).t(), "contiguous"),
    ],
)
def test_tables_that_are_no_constants_stay(table: torch.Tensor, why: str) -> None:
    module = Lookup(lambda table, ids: table[ids])
    module.table = torch.nn.Parameter(table)
    assert why in uses_of(module, IDS)["table"].stays
